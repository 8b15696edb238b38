//! Who says that a stream is blocked (STREAM_DATA_BLOCKED) is told the limit, or that the stream is over; and at once, for what was
//! said before is lost (D13).

use super::{Fault, Watch};
use crate::plan::Time;
use crate::report::{Rule, Seconds};
use gapless_udx::wire::{Frame, Packet, Version};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

/// What one side was asked. Streams by the asking side's own ID.
#[derive(Default)]
pub(super) struct Asked {
    /// Data of these streams reached it, so that it knows them.
    known: HashSet<u32>,
    /// It gave these up and said so.
    given_up: HashSet<u32>,
    since: HashMap<u32, Time>,
}

impl Watch {
    /// The number after the last that `host` sent.
    pub(crate) fn next_number(&self, host: usize) -> u64 {
        let side = &self.sides[host];
        side.last_number.map_or(side.first_number, |last| last + 1)
    }

    /// The present, for what follows.
    pub(crate) fn tell(&mut self, now: Time) {
        self.now = now;
    }

    /// A packet reached `host`. Only what may be obeyed counts (V6), and in version 2 a stream may not be known yet though its
    /// opening arrived.
    pub(super) fn note_asked(&mut self, host: usize, from: SocketAddr, packet: &Packet<'_>) {
        let now = self.now;
        let side = &mut self.sides[host];
        let proven = host == 0 || side.paths.get(&from).is_some_and(|path| path.proven);
        let own = packet.header().source_stream;
        if packet.header().version != Version::V3.wire() {
            return;
        }
        for frame in packet.frames() {
            match frame {
                Frame::Stream(_) => {
                    side.asked.known.insert(own);
                }
                Frame::ResetStream { .. } | Frame::StopSending { .. } => {
                    side.asked.given_up.insert(own);
                    side.asked.since.remove(&own);
                }
                Frame::StreamDataBlocked { .. }
                    if proven
                        && side.asked.known.contains(&own)
                        && !side.asked.given_up.contains(&own) =>
                {
                    side.asked.since.entry(own).or_insert(now);
                }
                _ => {}
            }
        }
    }

    /// `host` sends a packet for the stream that the other side calls `other`.
    pub(super) fn note_told(&mut self, host: usize, other: u32, frame: &Frame<'_>) {
        let asked = &mut self.sides[host].asked;
        match frame {
            Frame::WindowUpdate { .. } => {
                asked.since.remove(&other);
            }
            Frame::ResetStream { .. } | Frame::StopSending { .. } => {
                asked.since.remove(&other);
                asked.given_up.insert(other);
            }
            _ => {}
        }
    }

    /// `host` has sent all that it wants to: whom has it not answered for so long?
    pub(crate) fn check_told(&self, host: usize, patience: Time) -> Result<(), Fault> {
        let overdue = |&(_, &since): &(&u32, &Time)| self.now.saturating_sub(since) > patience;
        match self.sides[host].asked.since.iter().find(overdue) {
            Some((stream, since)) => Err((
                Rule::Progress,
                format!(
                    "it was asked for the limit of stream {stream:x} at {}, and has not told it",
                    Seconds(*since)
                ),
            )),
            None => Ok(()),
        }
    }
}
