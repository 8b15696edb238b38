//! Outsiders: they send datagrams from any address, and do not see what the honest sides exchange, or not in time.

use super::forge::{Forge, Ids, SYN, V2, V3};
use super::seeds::check_speed;
use super::world::{Setting, address, run};
use super::{Attacker, Shot};
use crate::hostile::app::{Greed, Task};
use crate::plan::{MS, SECOND, Time};
use crate::report::Violation;
use gapless_link::{Profile, Queue, Random};
use gapless_udx::{EndpointConfig, Version, VersionChoice};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What an outsider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outsider {
    /// Guesses ids, and says everything that could harm: from anywhere, and as if from the other honest side.
    Guesses,
    /// First packets from forged addresses, which nobody will ever prove.
    HalfOpen,
    /// Sends recorded datagrams again, one after the other, from one address of its own: to whom they were for, and back to whom
    /// they came from.
    Replays,
    /// Sends each datagram a second time, a little later, from an address of its own.
    Duplicates,
    /// The same from a new address each time.
    DuplicatesFromEverywhere,
}

impl Outsider {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Guesses,
        Self::HalfOpen,
        Self::Replays,
        Self::Duplicates,
        Self::DuplicatesFromEverywhere,
    ];
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct OutsiderReport {
    /// When the honest transfers were through, without the outsider and with him.
    pub done_at: [Time; 2],
    /// Datagrams that he sent.
    pub shots: u64,
    /// Datagrams that were sent to addresses which are no honest side's.
    pub answers: u64,
    /// The most that an address that proved nothing was sent for what came from it, in thousandths.
    pub amplification: u64,
    /// Connections that each honest side came to have, its own two included.
    pub connections: [u64; 2],
}

/// Runs two transfers between honest sides that dial in `version`, alone and beside the outsider.
///
/// # Errors
/// The first rule that was broken; also if the transfers are slower beside him.
pub fn run_outsider(
    outsider: Outsider,
    version: VersionChoice,
    seed: u64,
) -> Result<OutsiderReport, Violation> {
    let mut setting = setting(version, seed);
    if outsider == Outsider::HalfOpen {
        // It has nothing to do with connections that are over.
        setting.aftermath = 0;
    }
    let alone = run(&setting, None, None, None)?;
    let mut attacker = Attack {
        outsider,
        random: Random::for_purpose(seed, 700),
        recorded: VecDeque::new(),
        due: VecDeque::new(),
        next_at: MS,
        until: alone.done_at.unwrap_or_default() + setting.aftermath,
        shots: 0,
        answers: 0,
    };
    let beside = run(&setting, Some(&mut attacker), None, None)?;
    let done_at = [alone, beside.clone()].map(|outcome| outcome.done_at.unwrap_or_default());
    check_speed(done_at[0], done_at[1], 0)?;
    Ok(OutsiderReport {
        done_at,
        shots: attacker.shots,
        answers: attacker.answers,
        amplification: beside.amplification,
        connections: beside.connections,
    })
}

fn setting(version: VersionChoice, seed: u64) -> Setting {
    let mut config = EndpointConfig {
        accept_versions: vec![Version::V3, Version::V2],
        reset_secret: Some([9; 32]),
        ..EndpointConfig::default()
    };
    config.connection.version = version;
    let path = Profile {
        delay: Duration::from_millis(15),
        rate: Some(8_000_000),
        queue: Some(Queue::Bytes(16 << 20)),
        seed,
        ..Profile::default()
    };
    let task = |node: usize, at| Task {
        to: address(1 - node),
        at,
        streams: 3,
        up: 150_000,
        down: 150_000,
        honest: true,
    };
    Setting {
        seed,
        configs: [config.clone(), config],
        // The second one is dialed while the flood is on.
        tasks: [vec![task(0, 0)], vec![task(1, 100 * MS)]],
        greed: Greed::Eager,
        path,
        hostile_path: Profile {
            delay: Duration::from_millis(3),
            ..Profile::default()
        },
        finish_by: 600 * SECOND,
        receive_wait: 0,
        may_fail: false,
        aftermath: AFTERMATH,
    }
}

struct Attack {
    outsider: Outsider,
    random: Random,
    /// From, to, and what.
    recorded: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// Copies underway.
    due: VecDeque<(Time, Shot)>,
    next_at: Time,
    until: Time,
    shots: u64,
    answers: u64,
}

impl Attacker for Attack {
    fn hear(&mut self, _now: Time, _from: SocketAddr, _to: SocketAddr, _datagram: &[u8]) {
        self.answers += 1;
    }

    fn overhear(&mut self, now: Time, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        match self.outsider {
            Outsider::Replays => {
                if self.recorded.len() >= MOST_RECORDED {
                    self.recorded.pop_front();
                }
                self.recorded.push_back((from, to, datagram.to_vec()));
            }
            Outsider::Duplicates | Outsider::DuplicatesFromEverywhere => {
                let own = if self.outsider == Outsider::Duplicates {
                    own_address()
                } else {
                    self.any_address()
                };
                let shot = Shot {
                    from: own,
                    to,
                    payload: datagram.to_vec(),
                };
                self.due.push_back((now + LATER, shot));
            }
            Outsider::Guesses | Outsider::HalfOpen => {}
        }
    }

    fn next_at(&self) -> Option<Time> {
        let copy = self.due.front().map(|(at, _)| *at);
        let sends = !matches!(
            self.outsider,
            Outsider::Duplicates | Outsider::DuplicatesFromEverywhere
        );
        let own = Some(self.next_at).filter(|at| sends && *at <= self.until);
        copy.into_iter().chain(own).min()
    }

    fn act(&mut self, now: Time, out: &mut Vec<Shot>) {
        let before = out.len();
        while self.due.front().is_some_and(|(at, _)| *at <= now) {
            out.extend(self.due.pop_front().map(|(_, shot)| shot));
        }
        while self.next_at <= now && self.next_at <= self.until {
            self.next_at += GAP;
            match self.outsider {
                Outsider::Guesses => self.guess(out),
                Outsider::HalfOpen => self.half_open(out),
                Outsider::Replays => self.replay(out),
                Outsider::Duplicates | Outsider::DuplicatesFromEverywhere => {}
            }
        }
        self.shots += (out.len() - before) as u64;
    }
}

impl Attack {
    fn any_address(&mut self) -> SocketAddr {
        let bits = self.random.bits();
        let host = Ipv4Addr::new(203, 0, 113, bits as u8);
        (host, 1024 + (bits >> 16) as u16 % 60_000).into()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes);
        bytes
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize]
    }

    /// An id as somebody guesses it who knows the protocol and not the connection.
    fn id(&mut self) -> Vec<u8> {
        let len = self.pick(&[8, 8, 8, 8, 0, 1, 7, 9, 20]);
        match self.random.below(4) {
            0 => vec![0; len],
            1 => vec![0xff; len],
            _ => self.bytes(len),
        }
    }

    fn guess(&mut self, out: &mut Vec<Shot>) {
        let node = self.random.below(2) as usize;
        let to = address(node);
        let any = self.any_address();
        let from = self.pick(&[any, address(1 - node)]);
        let ids = Ids {
            version: self.pick(&[V3, V2]),
            destination: self.id(),
            source: self.id(),
        };
        let payload = match self.random.below(10) {
            0 => Forge::negotiation(&ids.destination, &ids.source, &[1, 7]),
            1 => {
                let len = self.pick(&[39, 64, 1200]);
                self.bytes(len)
            }
            _ => self.harm(&ids),
        };
        out.push(Shot { from, to, payload });
    }

    /// Any frame that would harm if the id were right.
    fn harm(&mut self, ids: &Ids) -> Vec<u8> {
        let stream = self.random.bits() as u32 | 1 << 31;
        let number = self.random.bits() as u32;
        let streams = self.pick(&[(0, 0), (0, 1), (stream, 1), (stream, stream ^ 1 << 30)]);
        let nonce = self.random.bits();
        let mut forge = Forge::new(ids, self.pick(&[0, 1, 2, number]), streams);
        match self.random.below(11) {
            0 => forge.close(0, b"go away"),
            1 => forge.reset(1),
            2 => forge.stop(stream, 1),
            3 => forge.challenge(nonce),
            4 => forge.response(nonce),
            5 => forge.ack(self.pick(&[0, 1, 100, number]), 65_535, 1 << 31, &[]),
            6 => forge.stream(0, self.random.below(400_000), b"other bytes"),
            7 => forge.stream(1, self.random.below(10), b""),
            8 => forge.window(0).max_data(0).max_streams(0),
            9 => forge.ping(),
            _ => forge.new_id(9, &[1; 8], [2; 16]),
        };
        forge.done()
    }

    fn half_open(&mut self, out: &mut Vec<Shot>) {
        for _ in 0..2 {
            let ids = Ids {
                version: self.pick(&[V3, V2]),
                destination: self.bytes(8),
                source: self.bytes(8),
            };
            let mut forge = Forge::new(&ids, 0, (0, 1));
            forge.stream(SYN, 0, b"");
            let from = self.any_address();
            let to = address(self.random.below(2) as usize);
            let payload = forge.done();
            out.push(Shot { from, to, payload });
        }
    }

    /// Also long after: the last of them come when the connection is over.
    fn replay(&mut self, out: &mut Vec<Shot>) {
        let count = self.recorded.len() as u64;
        let place = self.random.below(count) as usize;
        let Some((from, to, payload)) = self.recorded.get(place).cloned() else {
            return;
        };
        // Back to its sender: it is a packet of his own that comes to him.
        let to = if self.random.below(4) == 0 { from } else { to };
        let from = own_address();
        out.push(Shot { from, to, payload });
    }
}

fn own_address() -> SocketAddr {
    (Ipv4Addr::new(198, 51, 100, 66), 6666).into()
}

/// How long it goes on when the transfers are through.
const AFTERMATH: Time = 3 * SECOND;
/// Between two tricks: 10,000 a second.
const GAP: Time = MS / 10;
/// How long after the original has arrived its copy sets out.
const LATER: Time = MS;
const MOST_RECORDED: usize = 4_000;
