//! Where packets go: address validation, anti-amplification, and following a peer that moves
//! (UDX 11, V6, V18).

use core::net::SocketAddr;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::{mark, sabotage};

use crate::endpoint::Nonces;

/// Bytes sent to an unproven address per byte received from it (UDX 11, V18).
const AMPLIFICATION: u64 = 3;

/// How long one candidate address is asked before another may take its place (UDX 11).
const CANDIDATE_LIFETIME: Duration = Duration::from_secs(5);

/// The longest pause between repetitions of a challenge.
const MAX_CHALLENGE_PAUSE: Duration = Duration::from_secs(2);

/// The address in use, and a candidate to move to.
#[derive(Debug)]
pub(crate) struct Path {
    remote: SocketAddr,
    /// The remote answered a challenge from there, or this side chose it by dialing.
    validated: bool,
    received: u64,
    sent: u64,
    /// The question whether the remote is really there.
    challenge: Option<Challenge>,
    candidate: Option<Candidate>,
    nonces: Nonces,
}

#[derive(Debug)]
struct Challenge {
    nonce: u64,
    /// When to ask (again).
    due: Instant,
    asked: u32,
    /// When it was asked first.
    since: Instant,
}

#[derive(Debug)]
struct Candidate {
    remote: SocketAddr,
    challenge: Challenge,
    since: Instant,
    received: u64,
    sent: u64,
}

/// What a PATH_RESPONSE proved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proven {
    /// Nothing: no such question was asked, or not there.
    Nothing,
    /// The address in use is the peer's. The time from question to answer, if it was asked once
    /// (Karn).
    Current { rtt: Option<Duration> },
    /// The peer is now there; packets go there from now on.
    Moved { from: SocketAddr, to: SocketAddr },
}

impl Path {
    pub(crate) fn dialed(remote: SocketAddr, nonces: Nonces) -> Self {
        Path {
            remote,
            validated: true,
            received: 0,
            sent: 0,
            challenge: None,
            candidate: None,
            nonces,
        }
    }

    pub(crate) fn accepted(remote: SocketAddr, nonces: Nonces, now: Instant) -> Self {
        let mut path = Path {
            validated: false,
            ..Path::dialed(remote, nonces)
        };
        let nonce = path.nonces.draw();
        path.challenge = Some(Challenge {
            nonce,
            due: now,
            asked: 0,
            since: now,
        });
        path
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub(crate) fn is_validated(&self) -> bool {
        self.validated
    }

    /// Whether a frame that could harm (RESET, CLOSE, ACK) may be obeyed from there (V6).
    pub(crate) fn may_obey(&self, from: SocketAddr) -> bool {
        from == self.remote
    }

    /// A valid packet of this connection came from there.
    pub(crate) fn on_datagram(&mut self, now: Instant, from: SocketAddr, bytes: u64) {
        if from == self.remote {
            self.received = self.received.saturating_add(bytes);
            return;
        }
        mark!(CameFromElsewhere);
        sabotage!(MovedUnproven, self.remote = from);
        let known = self.candidate.as_mut().filter(|it| it.remote == from);
        let (received, sent) = known.map_or((bytes, 0), |candidate| {
            candidate.received = candidate.received.saturating_add(bytes);
            (candidate.received, candidate.sent)
        });
        let live = self.candidate.as_ref().filter(|candidate| {
            now.saturating_duration_since(candidate.since) < CANDIDATE_LIFETIME
        });
        match live {
            // One candidate at a time: whoever floods from many addresses moves nothing.
            Some(_live) => mark!(CandidateTurnedAway, _live.remote != from),
            // Also the same one again, which still speaks from there: the challenges may have been lost.
            None => {
                mark!(CandidateGivenUp, self.candidate.is_some());
                mark!(CandidateAsked);
                let nonce = self.nonces.draw();
                self.candidate = Some(Candidate {
                    remote: from,
                    challenge: Challenge {
                        nonce,
                        due: now,
                        asked: 0,
                        since: now,
                    },
                    since: now,
                    received,
                    sent,
                });
            }
        }
    }

    pub(crate) fn on_response(&mut self, now: Instant, from: SocketAddr, nonce: u64) -> Proven {
        // UDX 11: the address in use is proven wherever the response comes from, since nobody
        // else can have seen the nonce.
        if let Some(challenge) = self.challenge.take_if(|challenge| challenge.nonce == nonce) {
            self.validated = true;
            mark!(ChallengeAnswered);
            let rtt = now.saturating_duration_since(challenge.since);
            return Proven::Current {
                rtt: (challenge.asked == 1).then_some(rtt),
            };
        }
        let Some(candidate) = &self.candidate else {
            mark!(ResponseIgnored);
            return Proven::Nothing;
        };
        if candidate.challenge.nonce != nonce || candidate.remote != from {
            mark!(ResponseIgnored);
            return Proven::Nothing;
        }
        let moved = Proven::Moved {
            from: self.remote,
            to: candidate.remote,
        };
        self.remote = candidate.remote;
        self.received = candidate.received;
        self.sent = candidate.sent;
        self.validated = true;
        self.challenge = None;
        self.candidate = None;
        moved
    }

    /// Bytes that may be sent to the address in use now. Zero when unproven and spent.
    pub(crate) fn allowance(&self) -> u64 {
        if self.validated || sabotage!(AllowanceIgnored) {
            return u64::MAX;
        }
        self.received
            .saturating_mul(AMPLIFICATION)
            .saturating_sub(self.sent)
    }

    pub(crate) fn on_sent(&mut self, to: SocketAddr, bytes: u64) {
        if to == self.remote {
            self.sent = self.sent.saturating_add(bytes);
        } else if let Some(candidate) = self.candidate.as_mut().filter(|c| c.remote == to) {
            candidate.sent = candidate.sent.saturating_add(bytes);
        }
    }

    /// The challenge that is due: where to and with which nonce. `size` is what it will cost; an
    /// unproven address that has not sent a third of it is not asked. Call
    /// [`on_challenge_sent`](Self::on_challenge_sent) once it is written.
    pub(crate) fn due_challenge(&self, now: Instant, size: u64) -> Option<(SocketAddr, u64)> {
        let current = self.challenge.as_ref().filter(|challenge| {
            challenge.due <= now && (self.validated || self.allowance() >= size)
        });
        if let Some(challenge) = current {
            return Some((self.remote, challenge.nonce));
        }
        mark!(
            AllowanceHoldsChallenge,
            self.challenge.is_some() && self.allowance() < size
        );
        let candidate = self.candidate.as_ref()?;
        let allowance = candidate
            .received
            .saturating_mul(AMPLIFICATION)
            .saturating_sub(candidate.sent);
        let expired = now.saturating_duration_since(candidate.since) >= CANDIDATE_LIFETIME;
        (candidate.challenge.due <= now && allowance >= size && !expired)
            .then_some((candidate.remote, candidate.challenge.nonce))
    }

    pub(crate) fn on_challenge_sent(&mut self, now: Instant, nonce: u64, pto: Duration) {
        let candidate = self
            .candidate
            .as_mut()
            .map(|candidate| &mut candidate.challenge);
        for challenge in self.challenge.as_mut().into_iter().chain(candidate) {
            if challenge.nonce == nonce {
                if challenge.asked == 0 {
                    challenge.since = now;
                }
                mark!(ChallengeRepeated, challenge.asked > 0);
                challenge.asked = challenge.asked.saturating_add(1);
                let factor = 1_u32
                    .checked_shl(challenge.asked.min(5).saturating_sub(1))
                    .unwrap_or(1);
                let pause = pto.saturating_mul(factor).min(MAX_CHALLENGE_PAUSE);
                challenge.due = now.saturating_add(pause);
            }
        }
    }

    /// When a challenge is to be repeated, given that `size` bytes may be sent for it.
    pub(crate) fn deadline(&self, now: Instant, size: u64) -> Option<Instant> {
        let current = self
            .challenge
            .as_ref()
            .filter(|_| self.validated || self.allowance() >= size)
            .map(|challenge| challenge.due);
        let candidate = self.candidate.as_ref().and_then(|candidate| {
            let allowance = candidate
                .received
                .saturating_mul(AMPLIFICATION)
                .saturating_sub(candidate.sent);
            let expires = candidate.since.saturating_add(CANDIDATE_LIFETIME);
            (allowance >= size && candidate.challenge.due < expires && now < expires)
                .then_some(candidate.challenge.due)
        });
        current.into_iter().chain(candidate).min()
    }

    /// Asks the address in use whether it is there, as the portable ping (UDX 12).
    pub(crate) fn ask(&mut self, now: Instant) -> u64 {
        if let Some(challenge) = &self.challenge {
            return challenge.nonce;
        }
        let nonce = self.nonces.draw();
        self.challenge = Some(Challenge {
            nonce,
            due: now,
            asked: 0,
            since: now,
        });
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    const PTO: Duration = Duration::from_millis(300);

    fn nonces() -> Nonces {
        Nonces::new([7; 32])
    }

    // V18
    #[test]
    fn an_unproven_address_gets_three_times_what_it_sent() {
        let mut path = Path::accepted(address(1), nonces(), at(0));
        path.on_datagram(at(0), address(1), 50);
        assert_eq!(path.allowance(), 150);
        path.on_sent(address(1), 140);
        assert_eq!(path.allowance(), 10);
        assert_eq!(
            path.due_challenge(at(0), 69),
            None,
            "not even a challenge beyond that"
        );
        path.on_datagram(at(0), address(1), 50);
        let (to, nonce) = path.due_challenge(at(0), 69).unwrap();
        assert_eq!(to, address(1));
        assert_eq!(
            path.on_response(at(0), address(1), nonce ^ 1),
            Proven::Nothing
        );
        path.on_challenge_sent(at(0), nonce, PTO);
        let proven = path.on_response(at(40), address(1), nonce);
        let rtt = Some(Duration::from_millis(40));
        assert_eq!(proven, Proven::Current { rtt });
        assert_eq!(path.allowance(), u64::MAX);
    }

    #[test]
    fn a_challenge_is_repeated_with_growing_pauses() {
        let mut path = Path::accepted(address(1), nonces(), at(0));
        path.on_datagram(at(0), address(1), 1000);
        let mut pauses = alloc::vec::Vec::new();
        let mut now = at(0);
        for _ in 0..6 {
            let (_, nonce) = path.due_challenge(now, 43).unwrap();
            path.on_challenge_sent(now, nonce, PTO);
            assert_eq!(path.due_challenge(now, 43), None);
            let next = path.deadline(now, 43).unwrap();
            pauses.push(next.saturating_duration_since(now).as_millis());
            now = next;
        }
        assert_eq!(pauses, [300, 600, 1200, 2000, 2000, 2000]);
    }

    #[test]
    fn a_challenge_that_was_repeated_measures_nothing() {
        let mut path = Path::dialed(address(1), nonces());
        let nonce = path.ask(at(0));
        path.on_challenge_sent(at(0), nonce, PTO);
        path.on_challenge_sent(at(300), nonce, PTO);
        let proven = path.on_response(at(340), address(1), nonce);
        assert_eq!(proven, Proven::Current { rtt: None });
    }

    #[test]
    fn a_peer_that_moves_is_followed_once_the_new_address_answered() {
        let mut path = Path::dialed(address(1), nonces());
        path.on_datagram(at(0), address(2), 100);
        assert!(!path.may_obey(address(2)));
        let (to, nonce) = path.due_challenge(at(0), 43).unwrap();
        assert_eq!((to, path.remote()), (address(2), address(1)));
        assert_eq!(
            path.on_response(at(0), address(3), nonce),
            Proven::Nothing,
            "not from there"
        );
        let moved = Proven::Moved {
            from: address(1),
            to: address(2),
        };
        assert_eq!(path.on_response(at(0), address(2), nonce), moved);
        assert_eq!(path.remote(), address(2));
    }

    #[test]
    fn who_still_speaks_from_there_is_asked_again_after_five_seconds_of_losses() {
        let mut path = Path::dialed(address(1), nonces());
        path.on_datagram(at(0), address(2), 100);
        let (_, first) = path.due_challenge(at(0), 43).unwrap();
        path.on_challenge_sent(at(0), first, PTO);
        path.on_sent(address(2), 300);
        path.on_datagram(at(5000), address(2), 10);
        assert_eq!(path.due_challenge(at(5000), 43), None, "V18 counts on");
        path.on_datagram(at(5000), address(2), 10);
        let (to, second) = path.due_challenge(at(5000), 43).unwrap();
        assert_eq!(to, address(2));
        let moved = Proven::Moved {
            from: address(1),
            to: address(2),
        };
        assert_eq!(path.on_response(at(5100), address(2), second), moved);
    }

    #[test]
    fn one_candidate_at_a_time_and_for_five_seconds() {
        let mut path = Path::dialed(address(1), nonces());
        path.on_datagram(at(0), address(2), 100);
        path.on_datagram(at(4999), address(3), 100);
        assert_eq!(path.due_challenge(at(4999), 43).unwrap().0, address(2));
        path.on_datagram(at(5000), address(3), 100);
        assert_eq!(path.due_challenge(at(5000), 43).unwrap().0, address(3));
        assert_eq!(
            path.deadline(at(10_000), 43),
            None,
            "an expired candidate keeps no timer"
        );
    }
}
