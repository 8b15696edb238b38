//! What stands on the wire: IP packets, TCP segments with their options, ICMP errors.
//!
//! Each kind has one checked way in (`parse`), after which no access can fail, and one way out (`write`), which says its length first. Nothing here
//! knows a connection.

mod checksum;
mod flags;
mod icmp;
mod ip;
mod options;
mod reader;
mod segment;
mod writer;

pub use checksum::Checksum;
pub use flags::Flags;
pub use icmp::{IcmpError, Quoted, Reason};
pub(crate) use ip::protocol;
pub use ip::{
    Ecn, IPV4_HEADER, IPV6_HEADER, Packet, PacketError, PacketHeader, header_len, is_answerable,
};
pub use options::{
    MAX_OPTIONS, MAX_SACK_BLOCKS, MAX_WINDOW_SHIFT, Options, SackBlock, SackBlocks, Timestamps,
    UserTimeout,
};
pub(crate) use segment::CHECKSUM_AT;
pub use segment::{Header, MAX_HEADER, MIN_HEADER, Segment, SegmentError, Verify};
