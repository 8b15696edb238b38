//! Who says that a stream is blocked (STREAM_DATA_BLOCKED) is told the limit, or that the stream is over; and at once, for what was
//! said before is lost (D13).

use super::{Fault, Watch};
use crate::plan::Time;
use crate::report::{Rule, Seconds};
use gapless_udx::wire::{Frame, Packet, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What one side was asked. Streams by the asking side's own ID.
#[derive(Default)]
pub(super) struct Asked {
    /// Data of these streams reached it, so that it knows them.
    known: BTreeSet<u32>,
    /// Of these there is nothing to tell. They were given up, and that was said; or their FIN is here. Who has sent a FIN has sent each
    /// byte once within what it was granted (UDX 8.3), and what is sent again lies there, too: no limit means anything to it any more,
    /// and what it asked before needs no answer.
    settled: BTreeSet<u32>,
    since: BTreeMap<u32, Time>,
    /// Where it sent last what is not for another path.
    remote: Option<SocketAddr>,
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
        // An address that was proven once and left since is not obeyed, either.
        let is_there = side.asked.remote == Some(from);
        let proven = is_there && side.paths.get(&from).is_some_and(|path| path.proven);
        let proven = host == 0 || proven;
        let own = packet.header().source_stream;
        if packet.header().version != Version::V3.wire() {
            return;
        }
        for frame in packet.frames() {
            match frame {
                Frame::Stream(stream) if !stream.fin => {
                    side.asked.known.insert(own);
                }
                Frame::Stream(_) | Frame::ResetStream { .. } | Frame::StopSending { .. } => {
                    side.asked.settled.insert(own);
                    side.asked.since.remove(&own);
                }
                Frame::StreamDataBlocked { .. }
                    if proven
                        && side.asked.known.contains(&own)
                        && !side.asked.settled.contains(&own) =>
                {
                    side.asked.since.entry(own).or_insert(now);
                }
                _ => {}
            }
        }
    }

    /// `host` sends a packet there.
    pub(super) fn note_remote(&mut self, host: usize, to: SocketAddr, packet: &Packet<'_>) {
        let is_path = |frame| {
            matches!(
                frame,
                Frame::PathChallenge { .. } | Frame::PathResponse { .. }
            )
        };
        if !packet.frames().any(is_path) {
            self.sides[host].asked.remote = Some(to);
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
                asked.settled.insert(other);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{MS, Scenario};
    use gapless_link::Profile;
    use gapless_udx::wire::{ConnectionId, Encoder, Header, Stream};

    const STREAM: u32 = 0x8000_0001;

    fn packet(frame: &Frame<'_>) -> Vec<u8> {
        let id = ConnectionId::new(&[7; 8]).expect("eight bytes are an ID");
        let mut buffer = vec![0; 1500];
        let mut encoder = Encoder::new(&mut buffer, Version::V3);
        let header = Header {
            version: Version::V3.wire(),
            destination: id,
            source: id,
            number: 1.into(),
            destination_stream: STREAM + 1,
            source_stream: STREAM,
        };
        encoder.header(&header).expect("there is room");
        encoder.frame(frame).expect("there is room");
        let len = encoder.written();
        buffer.truncate(len);
        buffer
    }

    /// Whether the dialer still owes an answer a second after these came.
    fn owes(frames: &[Frame<'_>]) -> bool {
        let scenario = Scenario::plain(1, &Profile::default(), vec![]);
        let mut watch = Watch::new(&scenario);
        let from = ([192, 0, 2, 2], 4001).into();
        for frame in frames {
            watch.delivered(0, from, &packet(frame));
        }
        watch.tell(1_000 * MS);
        watch.check_told(0, 100 * MS).is_err()
    }

    #[test]
    fn who_asks_is_owed_an_answer_unless_no_limit_means_anything_to_it() {
        let stream = |fin| {
            Frame::Stream(Stream {
                fin,
                syn: true,
                offset: 0,
                data: b"data",
            })
        };
        let asks = Frame::StreamDataBlocked {
            stream: STREAM,
            limit: 65_536,
        };
        assert!(owes(&[stream(false), asks]));
        assert!(!owes(&[asks]), "the stream is not known");
        assert!(!owes(&[stream(false), asks, stream(true)]));
        assert!(!owes(&[stream(false), stream(true), asks]));
        let gives_up = Frame::ResetStream { code: 1 };
        assert!(!owes(&[stream(false), gives_up, asks]));
    }
}
