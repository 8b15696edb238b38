//! Answers that need no connection: version negotiation and stateless reset (UDX 13, 14).

use alloc::collections::VecDeque;
use core::net::SocketAddr;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::mark;

/// The largest such answer: a stateless reset (UDX 2.5), or a version negotiation with two IDs of 20
/// bytes and two versions.
pub(crate) const MAX_ANSWER: usize = 64;

/// Answers that wait to be sent at most; more are not given.
const MAX_WAITING: usize = 16;

#[derive(Debug)]
pub(crate) struct StatelessAnswers {
    waiting: VecDeque<(SocketAddr, [u8; MAX_ANSWER], usize)>,
    per_second: u32,
    second: Instant,
    given: u32,
}

impl StatelessAnswers {
    pub(crate) fn new(per_second: u32) -> Self {
        StatelessAnswers {
            waiting: VecDeque::new(),
            per_second,
            second: Instant::ZERO,
            given: 0,
        }
    }

    /// Queues what `write` writes, unless too many were given in this second.
    pub(crate) fn give(
        &mut self,
        now: Instant,
        to: SocketAddr,
        write: impl FnOnce(&mut [u8; MAX_ANSWER]) -> Option<usize>,
    ) {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.given = 0;
        }
        if self.given >= self.per_second || self.waiting.len() >= MAX_WAITING {
            mark!(StatelessLimited);
            return;
        }
        let mut answer = [0; MAX_ANSWER];
        if let Some(len) = write(&mut answer) {
            self.given = self.given.saturating_add(1);
            self.waiting.push_back((to, answer, len));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let (to, answer, len) = self.waiting.pop_front()?;
        buffer.get_mut(..len)?.copy_from_slice(answer.get(..len)?);
        Some((to, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_answers_a_second_and_no_more() {
        let mut answers = StatelessAnswers::new(10);
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut buffer = [0; 100];
        let mut sent = 0;
        for ms in 0..2000 {
            let now = Instant::from_nanos((ms + 5000) * 1_000_000);
            answers.give(now, to, |answer| {
                answer[0] = 9;
                Some(1)
            });
            while let Some((_, len)) = answers.poll_transmit(&mut buffer) {
                assert_eq!((len, buffer[0]), (1, 9));
                sent += 1;
            }
        }
        assert_eq!(sent, 20);
    }
}
