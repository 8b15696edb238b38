//! Who knows nothing of a packet's connection says so at last, and nothing else (UDX 14).

use super::{Fault, wire};
use crate::plan::{SECOND, Time};
use gapless_udx::wire::{Packet, reset};

/// What one host may say of connections that it does not know.
#[derive(Default)]
pub(super) struct Resets {
    /// Packets come to it that belong to nobody there.
    strangers_come: bool,
    has_restarted: bool,
    /// When it was first sent something since, and the longest of that.
    first_at: Option<Time>,
    longest: usize,
    said: u64,
}

impl Resets {
    pub(super) fn new(strangers_come: bool) -> Self {
        Self {
            strangers_come,
            ..Self::default()
        }
    }

    pub(super) fn restart(&mut self) {
        *self = Self {
            has_restarted: true,
            ..Self::new(true)
        };
    }

    pub(super) fn may_come(&self) -> bool {
        self.strangers_come
    }

    pub(super) fn delivered(&mut self, now: Time, len: usize) {
        self.first_at.get_or_insert(now);
        self.longest = self.longest.max(len);
    }

    /// It says what is no packet.
    pub(super) fn check(&mut self, now: Time, datagram: &[u8]) -> Result<(), Fault> {
        let known_for = self.first_at.map_or(0, |first| now - first);
        let len = datagram.len();
        if !(reset::MIN_LEN..=reset::MAX_LEN).contains(&len) || len >= self.longest {
            return wire(format!("{len} bytes that are neither packet nor reset"));
        }
        if known_for < UNKNOWN_FOR {
            return wire("a reset for what may have overtaken its SYN".into());
        }
        self.said += 1;
        if self.said > PER_SECOND * (known_for / SECOND + 1) {
            return wire(format!("{} resets are too many", self.said));
        }
        Ok(())
    }

    /// Who lost its state has nothing else to say on a connection.
    pub(super) fn check_silence(&self, packet: &Packet<'_>) -> Result<(), Fault> {
        if self.has_restarted {
            let frames: Vec<_> = packet.frames().collect();
            return wire(format!("after a restart it goes on with {frames:?}"));
        }
        Ok(())
    }
}

const UNKNOWN_FOR: Time = 3 * SECOND;
const PER_SECOND: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(resets: &mut Resets, at: Time, len: usize) -> bool {
        resets.check(at, &vec![0x80; len]).is_ok()
    }

    #[test]
    fn a_reset_comes_late_and_is_short() {
        let mut resets = Resets::new(false);
        assert!(!resets.may_come());
        resets.restart();
        resets.delivered(SECOND, 60);
        assert!(resets.may_come() && !told(&mut resets, 3 * SECOND, 59));
        assert!(told(&mut resets, 4 * SECOND, 59));
        for len in [10, 38, 60, 1000] {
            assert!(!told(&mut resets, 4 * SECOND, len), "{len} bytes");
        }
    }

    #[test]
    fn resets_are_few() {
        let mut resets = Resets::new(true);
        resets.delivered(0, 1000);
        let told = (0..100).filter(|_| told(&mut resets, 3 * SECOND, 64));
        assert_eq!(told.count() as u64, 4 * PER_SECOND);
    }
}
