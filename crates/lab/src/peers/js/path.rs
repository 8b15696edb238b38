//! The JS peer's paths: proof of an address, moving to another, and the search for the largest datagram (UDX 11).

use gapless_udx::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Three times what came, until the address is proven.
pub(super) struct Proof {
    pub(super) nonce: [u8; 8],
    pub(super) attempts: u32,
    pub(super) again_at: Option<Instant>,
    received: usize,
    sent: usize,
    waiting: VecDeque<Vec<u8>>,
}

impl Proof {
    pub(super) fn new(nonce: [u8; 8]) -> Self {
        Self {
            nonce,
            attempts: 0,
            again_at: None,
            received: 0,
            sent: 0,
            waiting: VecDeque::new(),
        }
    }

    /// What may leave now that so much came.
    pub(super) fn on_received(&mut self, size: usize) -> Vec<Vec<u8>> {
        self.received += size;
        let mut due = Vec::new();
        while let Some(first) = self.waiting.front() {
            if self.sent + first.len() > 3 * self.received {
                break;
            }
            self.sent += first.len();
            due.extend(self.waiting.pop_front());
        }
        due
    }

    /// The datagram again if it may leave.
    pub(super) fn admit(&mut self, datagram: Vec<u8>) -> Option<Vec<u8>> {
        if !self.waiting.is_empty() || self.sent + datagram.len() > 3 * self.received {
            if self.waiting.len() < MAX_WAITING {
                self.waiting.push_back(datagram);
            }
            return None;
        }
        self.sent += datagram.len();
        Some(datagram)
    }

    pub(super) fn into_waiting(self) -> VecDeque<Vec<u8>> {
        self.waiting
    }
}

/// A challenge to an address that packets came from.
#[derive(Clone, Copy)]
pub(super) struct Challenge {
    pub(super) to: SocketAddr,
    pub(super) nonce: [u8; 8],
    pub(super) expires: Instant,
}

/// The binary search between what works and what might.
pub(super) struct Search {
    pub(super) size: usize,
    upper: usize,
    probe: Option<Probe>,
}

#[derive(Clone, Copy)]
struct Probe {
    size: usize,
    number: u32,
    expires: Instant,
}

impl Search {
    pub(super) fn new(base: usize, largest: usize) -> Self {
        Self {
            size: base,
            upper: largest.max(base),
            probe: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.probe.map(|probe| probe.expires)
    }

    /// The size to probe next, if none is underway.
    pub(super) fn next(&self) -> Option<usize> {
        let next = (self.size + self.upper).div_ceil(2);
        (self.probe.is_none() && next > self.size).then_some(next)
    }

    pub(super) fn on_sent(&mut self, size: usize, number: u32, expires: Instant) {
        self.probe = Some(Probe {
            size,
            number,
            expires,
        });
    }

    pub(super) fn on_ack(&mut self, covers: impl Fn(u32) -> bool) {
        if let Some(probe) = self.probe.filter(|probe| covers(probe.number)) {
            self.size = self.size.max(probe.size);
            self.probe = None;
        }
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        if let Some(probe) = self.probe.filter(|probe| probe.expires <= now) {
            self.upper = probe.size - 1;
            self.probe = None;
        }
    }
}

/// How long a challenge to a new address waits.
pub(super) const CHALLENGE: Duration = Duration::from_secs(5);
/// Challenges to prove the peer's address.
pub(super) const MAX_ATTEMPTS: u32 = 4;
/// Datagrams that wait for an address to be proven.
const MAX_WAITING: usize = 256;
