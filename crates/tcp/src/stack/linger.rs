//! TIME-WAIT when nothing is left but to answer late segments (RFC 9293 3.4.2, RFC 1337, RFC 6191).

use crate::wire::{Flags, Header, Options, Segment, Timestamps};
use gapless_recovery::Instant;
use gapless_seq::{Wire32, sabotage};

/// What late segments are judged by: a hundred octets instead of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Linger {
    /// SND.NXT.
    pub(crate) sequence: u64,
    /// RCV.NXT.
    pub(crate) acknowledgment: u64,
    pub(crate) window: u16,
    /// What would be sent now, if timestamps were agreed on.
    pub(crate) stamps: Option<Timestamps>,
    /// When it is over.
    pub(crate) until: Instant,
}

/// What becomes of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Late {
    /// The peer's FIN again: it is acknowledged, and the time begins anew.
    Acknowledge,
    /// A new connection between the same ends (RFC 9293 3.10.7.4, RFC 6191 section 2).
    Anew,
    /// Nothing.
    Drop,
}

impl Linger {
    pub(crate) fn judge(&self, segment: &Segment<'_>) -> Late {
        let header = &segment.header;
        // RFC 1337 section 3: a RST does not end it.
        if header.flags.has(Flags::RST) {
            return Late::Drop;
        }
        let sequence = header.sequence.expand(self.acknowledgment);
        if header.flags.has(Flags::SYN) {
            if header.flags.has(Flags::ACK) {
                return Late::Acknowledge;
            }
            let is_newer = match (self.stamps, header.options.timestamps) {
                (Some(ours), Some(theirs)) => {
                    let recent = u64::from(u32::from(ours.echo)).saturating_add(1 << 32);
                    theirs.value.expand(recent) > recent
                }
                _ => sequence > self.acknowledgment,
            };
            return if is_newer {
                Late::Anew
            } else {
                Late::Acknowledge
            };
        }
        if segment.length() > 0 && !sabotage!(LateFinIgnored) {
            Late::Acknowledge
        } else {
            Late::Drop
        }
    }

    /// The acknowledgment; ports are the stack's.
    pub(crate) fn answer(&self, ports: (u16, u16)) -> Header {
        Header {
            source_port: ports.0,
            destination_port: ports.1,
            sequence: Wire32::truncate(self.sequence),
            acknowledgment: Wire32::truncate(self.acknowledgment),
            flags: Flags::ACK,
            window: self.window,
            urgent: 0,
            options: Options {
                timestamps: self.stamps,
                ..Options::NONE
            },
        }
    }
}
