//! What a model says is not held to the rules, but it counts for what our side may then do.

use super::{INITIAL_LIMIT, PathWatch, Watch, decode};
use gapless_udx::wire::{Datagram, Frame, Packet};

impl Watch {
    /// A model at `host` sends a datagram: the limits that it gives count, the highest of each.
    pub(crate) fn overheard(&mut self, host: usize, datagram: &[u8]) {
        let Ok(Datagram::Packet(packet)) = decode(datagram) else {
            return;
        };
        let header = packet.header();
        for frame in packet.frames() {
            if let Frame::PathChallenge { .. } = frame {
                self.sides[host].model_asked.0 += 1;
            }
            if let Frame::WindowUpdate { limit } = frame {
                let side = &mut self.sides[1 - host];
                // UDX 8.1: who never learns our ID of a stream names its own alone, or goes on with the one that it made up.
                let named = side.names.get(&header.source_stream).copied();
                let own = named.or(Some(header.destination_stream).filter(|&own| own != 0));
                let held = match own {
                    Some(own) => side.stream(own).limit.get_or_insert(0),
                    None => side.early_limits.entry(header.source_stream).or_default(),
                };
                *held = (*held).max(limit.expand((*held).max(INITIAL_LIMIT)));
            }
        }
    }

    /// UDX 11: the model at `host` asked whether we are there, and none of it arrived. It sends no more than three times what comes, asks
    /// four times in all, and its repetitions wait behind all that did not fit before them.
    pub(crate) fn is_held_back(&self, host: usize) -> bool {
        let (asked, arrived) = self.sides[host].model_asked;
        asked > 0 && !arrived
    }

    /// What the model at `sender` asked has arrived.
    pub(super) fn note_model_asked(&mut self, sender: usize, packet: &Packet<'_>) {
        let asks = |frame| matches!(frame, Frame::PathChallenge { .. });
        self.sides[sender].model_asked.1 |= packet.frames().any(asks);
    }

    /// UDX 11: nowhere may this side send so much as a challenge.
    pub(crate) fn may_say_nothing(&self, host: usize) -> bool {
        let paths = &self.sides[host].paths;
        let is_spent = |path: &PathWatch| !path.proven && path.sent + CHALLENGE > 3 * path.received;
        !paths.is_empty() && paths.values().all(is_spent)
    }

    /// Our side sends on a stream and says what the other side calls it.
    pub(super) fn hear_name(&mut self, host: usize, own: u32, other: u32) {
        let side = &mut self.sides[host];
        if other == 0 || side.names.insert(other, own).is_some() {
            return;
        }
        if let Some(limit) = side.early_limits.remove(&other) {
            let held = side.stream(own).limit.get_or_insert(0);
            *held = (*held).max(limit);
        }
    }
}

/// Bytes of a packet with PATH_CHALLENGE alone.
const CHALLENGE: u64 = 43;
