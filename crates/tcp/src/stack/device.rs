//! What a device can do beside carrying packets, and what it is told with each (segmentation and checksum offload).

use crate::wire::{CHECKSUM_AT, Verify};
use core::num::NonZeroU16;

/// A device that takes large segments and cuts them up (TSO, GSO), or carries them whole to a receiver that takes them so.
///
/// For each segment it copies the header, writes the sequence number, the length and the checksum, and leaves FIN and PSH to the last one and CWR to
/// the first one. IPv4 packets are never fragmented and so need no identification (RFC 6864 4.1); one that counts up does no harm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Trains {
    /// Octets of the largest packet before it is cut up, headers included. Less than the MTU means the MTU.
    pub octets: u16,
    /// Segments of which it may consist at most.
    pub segments: NonZeroU16,
}

impl Default for Trains {
    /// What an IPv4 packet can be long, and as many segments as fit.
    fn default() -> Self {
        Self {
            octets: u16::MAX,
            segments: NonZeroU16::MAX,
        }
    }
}

/// A packet that was written for the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Transmit {
    /// Octets of the packet.
    pub length: usize,
    /// Octets of its headers, of IP and TCP, in front of the data.
    pub headers: u16,
    /// Octets of data in each segment that the device makes of it; the last may have fewer. `None`: it leaves as it is.
    pub segment_size: Option<NonZeroU16>,
    /// What the device completes, with [`Verify::Device`]. `None`: the checksum is written, that of a train for the train as a whole.
    pub checksum: Option<PartialChecksum>,
}

/// A checksum of which the device does the greater part: the field holds the sum of the pseudo header, and it adds what begins at `start`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartialChecksum {
    /// Octets from the front of the packet to where its sum begins: the TCP header.
    pub start: u16,
    /// Octets from there to the field.
    pub offset: u16,
}

impl Transmit {
    pub(super) fn new(length: usize, ip: usize, tcp: usize, checksums: Verify) -> Self {
        let checksum = PartialChecksum {
            start: short(ip),
            offset: short(CHECKSUM_AT),
        };
        Self {
            length,
            headers: short(ip.saturating_add(tcp)),
            segment_size: None,
            checksum: (checksums == Verify::Device).then_some(checksum),
        }
    }
}

/// A packet that a device hands over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival<'a> {
    /// The packet. One that the device put together of several (GRO, LRO) is taken as well.
    pub packet: &'a [u8],
    /// Whether the device has seen to the checksum of this packet; [`Checksums::receive`](crate::Checksums::receive) is for all of them.
    pub checksum: Verify,
}

impl<'a> From<&'a [u8]> for Arrival<'a> {
    fn from(packet: &'a [u8]) -> Self {
        Self {
            packet,
            checksum: Verify::Here,
        }
    }
}

/// Headers have at most 120 octets.
fn short(octets: usize) -> u16 {
    u16::try_from(octets).unwrap_or(u16::MAX)
}
