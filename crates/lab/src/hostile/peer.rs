//! The hostile peer: well-behaved enough to have connections, and a liar in every field.

use super::forge::{Forge, Ids, SYN, V2, V3};
use super::plan::{AckManner, Answers, HostilePlan};
use super::read::read;
use super::tricks::Trick;
use super::{Attacker, Shot};
use crate::plan::Time;
use gapless_link::Random;
use gapless_udx::wire::{Frame, Packet};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The attacker of one run: all its connections, and what it learned from them.
pub(crate) struct Hostile {
    pub(super) plan: HostilePlan,
    pub(super) random: Random,
    pub(super) victim: SocketAddr,
    pub(super) foes: Vec<Foe>,
    /// Connections that were closed, by whomever.
    pub(super) graveyard: Vec<Foe>,
    out: Vec<Shot>,
    next_trick: Time,
    pub(super) shots_left: u64,
    /// How often each trick was played.
    pub(crate) played: [u64; Trick::ALL.len()],
}

/// One connection, as the hostile side sees it.
#[derive(Clone, Debug)]
pub(super) struct Foe {
    pub(super) ids: Ids,
    pub(super) from: SocketAddr,
    pub(super) number: u32,
    pub(super) streams: Vec<Line>,
    /// Numbers heard from the victim, the newest last.
    pub(super) heard: VecDeque<u32>,
    pub(super) largest: Option<u32>,
    pub(super) sent: VecDeque<Vec<u8>>,
    pub(super) got: VecDeque<Vec<u8>>,
}

/// A stream, as the hostile side addresses it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) destination: u32,
    pub(super) source: u32,
    /// Where honest data would go on.
    pub(super) offset: u64,
}

impl Hostile {
    pub(super) fn new(plan: HostilePlan, victim: SocketAddr) -> Self {
        Self {
            random: Random::for_purpose(plan.seed, 600),
            victim,
            foes: Vec::new(),
            graveyard: Vec::new(),
            out: Vec::new(),
            next_trick: plan.begins,
            shots_left: plan.shots,
            played: [0; Trick::ALL.len()],
            plan,
        }
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.random.below(count) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize]
    }

    pub(super) fn word(&mut self) -> u32 {
        self.random.bits() as u32
    }

    /// Values around which arithmetic goes wrong, and any.
    pub(super) fn wild(&mut self) -> u64 {
        let edge = self.pick(&[
            0,
            1,
            255,
            65_535,
            1 << 31,
            (1 << 32) - 1,
            1 << 32,
            (1 << 53) - 1,
            1 << 62,
            u64::MAX,
        ]);
        match self.below(4) {
            0 => edge,
            1 => edge.wrapping_add(self.below(3)).wrapping_sub(1),
            2 => self.below(100_000),
            _ => self.random.bits(),
        }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes);
        bytes
    }

    /// An address of its own: datagrams sent there arrive.
    pub(super) fn own_address(&mut self) -> SocketAddr {
        let host = 1 + self.below(4) as u8;
        (
            Ipv4Addr::new(198, 51, 100, host),
            5000 + self.below(50) as u16,
        )
            .into()
    }

    /// An address of somebody who has no part in this.
    pub(super) fn forged_address(&mut self) -> SocketAddr {
        if self.one_in(8) {
            return self.pick(&[
                SocketAddr::from(([0, 0, 0, 0], 1)),
                SocketAddr::from(([255, 255, 255, 255], 9)),
                SocketAddr::from(([224, 0, 0, 1], 9)),
                SocketAddr::from(([203, 0, 113, 7], 0)),
                SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 4001)),
            ]);
        }
        let bits = self.random.bits();
        let host = Ipv4Addr::new(203, 0, 113, bits as u8);
        (host, 1024 + (bits >> 16) as u16 % 60_000).into()
    }

    pub(super) fn version(&mut self) -> u32 {
        let versions = self.plan.versions;
        self.pick(versions)
    }

    /// A live connection, made if there is none.
    pub(super) fn foe(&mut self, now: Time) -> usize {
        let few = self.foes.len() < self.plan.connections && self.one_in(10);
        if self.foes.is_empty() || few {
            self.dial(now);
        }
        self.below(self.foes.len() as u64) as usize
    }

    /// Opens a connection, as one of the known implementations does, and asks to be sent something.
    pub(super) fn dial(&mut self, _now: Time) -> usize {
        let ids = Ids {
            version: self.version(),
            destination: self.bytes(8),
            source: self.bytes(8),
        };
        let from = self.own_address();
        let line = self.new_line();
        let mut foe = Foe::new(ids, from);
        let ids = self.pick(&[(0, 0), (0, line.source), (line.destination, line.source)]);
        let request = self.request();
        let mut forge = Forge::new(&foe.ids, 0, ids);
        // A version 2 connection opens without data as often as with.
        let data = self.one_in(2) && ids.1 != 0;
        forge.stream(SYN, 0, if data { &request } else { &[] });
        match self.below(3) {
            0 => {}
            1 => {
                forge.max_data(16 << 20).max_streams(1024);
            }
            // The mark of our own kind, to be treated as one (`peer`).
            _ => {
                forge.max_data((16 << 20) | 0x6A50 | 10).max_streams(65_535);
            }
        }
        foe.number = 1;
        let packet = forge.done();
        if ids.1 != 0 {
            foe.streams.push(Line {
                offset: if data { request.len() as u64 } else { 0 },
                ..line
            });
        }
        self.foes.push(foe);
        let at = self.foes.len() - 1;
        self.shoot(at, packet);
        at
    }

    /// What makes a server send.
    pub(super) fn request(&mut self) -> Vec<u8> {
        let down = self.below(150_000);
        [0, self.random.bits(), 0, down]
            .map(u64::to_be_bytes)
            .concat()
    }

    pub(super) fn new_line(&mut self) -> Line {
        let source = match self.below(3) {
            0 => 1 + 2 * self.below(50) as u32,
            _ => self.word() | 1 << 31,
        };
        let destination = if self.one_in(2) {
            0
        } else {
            self.word() | 1 << 31
        };
        Line {
            destination,
            source,
            offset: 0,
        }
    }

    /// A stream of the connection, made if there is none.
    pub(super) fn line(&mut self, at: usize) -> usize {
        if self.foes[at].streams.is_empty() {
            let line = self.new_line();
            let request = self.request();
            let number = self.foes[at].take_number();
            let mut forge = Forge::new(&self.foes[at].ids, number, line.ids());
            forge.stream(SYN, 0, &request);
            self.foes[at].streams.push(Line {
                offset: request.len() as u64,
                ..line
            });
            self.shoot(at, forge.done());
        }
        let count = self.foes[at].streams.len() as u64;
        self.below(count) as usize
    }

    /// Sends a packet on a connection, from its address.
    pub(super) fn shoot(&mut self, at: usize, packet: Vec<u8>) {
        let from = self.foes[at].from;
        let sent = &mut self.foes[at].sent;
        if sent.len() >= KEPT {
            sent.pop_front();
        }
        sent.push_back(packet.clone());
        self.shoot_from(from, packet);
    }

    pub(super) fn shoot_from(&mut self, from: SocketAddr, payload: Vec<u8>) {
        self.shots_left = self.shots_left.saturating_sub(1);
        let to = self.victim;
        self.out.push(Shot { from, to, payload });
    }

    pub(super) fn bury(&mut self, at: usize) {
        let foe = self.foes.swap_remove(at);
        if self.graveyard.len() >= KEPT {
            self.graveyard.remove(0);
        }
        self.graveyard.push(foe);
    }

    /// What a well-behaved side does with a packet, as far as the plan has it behave.
    fn behave(&mut self, at: usize, packet: &Packet<'_>) {
        let numbered = packet.frames().any(|frame| match frame {
            Frame::Ping => u32::from(packet.header().number) != 0,
            _ => frame.is_numbered_stream(),
        });
        let number = u32::from(packet.header().number);
        if numbered {
            self.foes[at].heard(number);
            let foe = &self.foes[at];
            let mut forge = Forge::new(&foe.ids, 0, (0, 0));
            match self.plan.acks {
                AckManner::Each => {
                    forge.ack(number, 0, 1, &[]);
                    self.shoot(at, forge.done());
                }
                AckManner::All => {
                    forge.ack(number, 0, number.saturating_add(1), &[]);
                    self.shoot(at, forge.done());
                }
                AckManner::Twice => {
                    forge.ack(number, 65_535, number.saturating_add(1), &[]);
                    let packet = forge.done();
                    self.shoot(at, packet.clone());
                    self.shoot(at, packet);
                }
                AckManner::Never => {}
            }
        }
        for frame in packet.frames() {
            if let Frame::PathChallenge { nonce } = frame {
                let mut forge = Forge::new(&self.foes[at].ids, 0, (0, 0));
                match self.plan.answers {
                    Answers::Never => continue,
                    Answers::Here => forge.response(nonce),
                    Answers::Wrong => forge.response(nonce ^ 1),
                    Answers::Elsewhere => forge.response(nonce),
                };
                let packet = forge.done();
                if self.plan.answers == Answers::Elsewhere {
                    let from = self.own_address();
                    self.shoot_from(from, packet);
                } else {
                    self.shoot(at, packet);
                }
            }
        }
        let closes = |frame| matches!(frame, Frame::ConnectionClose { .. });
        if packet.frames().any(closes) {
            self.bury(at);
        }
    }

    /// Somebody dials one of the hostile addresses.
    fn accept(&mut self, to: SocketAddr, packet: &Packet<'_>) -> Option<usize> {
        let header = packet.header();
        let opens = packet.frames().any(|frame| frame.has_syn());
        if !opens || !self.plan.listens {
            return None;
        }
        // Who is asked in version 3 may answer in another (UDX 13).
        let version = if self.one_in(4) {
            self.version()
        } else {
            header.version
        };
        let ids = Ids {
            version,
            destination: header.source.as_slice().to_vec(),
            source: header.destination.as_slice().to_vec(),
        };
        let mut foe = Foe::new(ids, to);
        foe.streams.push(Line {
            destination: header.source_stream,
            source: header.destination_stream,
            offset: 0,
        });
        self.foes.push(foe);
        Some(self.foes.len() - 1)
    }
}

impl Attacker for Hostile {
    fn hear(&mut self, _now: Time, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        // What goes to the addresses that it only pretends to have is heard by others.
        if from != self.victim || !is_own(to) {
            return;
        }
        let Some(packet) = read(datagram) else { return };
        let id = packet.header().destination.as_slice();
        let known = self.foes.iter().position(|foe| foe.ids.source == id);
        let Some(at) = known.or_else(|| self.accept(to, &packet)) else {
            return;
        };
        let got = &mut self.foes[at].got;
        if got.len() >= KEPT {
            got.pop_front();
        }
        got.push_back(datagram.to_vec());
        self.behave(at, &packet);
    }

    fn next_at(&self) -> Option<Time> {
        if !self.out.is_empty() {
            return Some(0);
        }
        (self.shots_left > 0).then_some(self.next_trick)
    }

    fn act(&mut self, now: Time, out: &mut Vec<Shot>) {
        while self.shots_left > 0 && self.next_trick <= now {
            let tricks = self.plan.tricks.clone();
            let trick = self.pick(&tricks);
            self.played[trick as usize] += 1;
            self.play(now, trick);
            let gap = self.plan.gap;
            self.next_trick = now + self.random.between(gap / 4, gap);
        }
        out.append(&mut self.out);
    }
}

impl Foe {
    fn new(ids: Ids, from: SocketAddr) -> Self {
        Self {
            ids,
            from,
            number: 0,
            streams: Vec::new(),
            heard: VecDeque::new(),
            largest: None,
            sent: VecDeque::new(),
            got: VecDeque::new(),
        }
    }

    fn heard(&mut self, number: u32) {
        if self.heard.len() >= 600 {
            self.heard.pop_front();
        }
        self.heard.push_back(number);
        self.largest = self.largest.max(Some(number));
    }

    /// The next number of a well-behaved sender.
    pub(super) fn take_number(&mut self) -> u32 {
        let number = self.number;
        self.number = number.wrapping_add(1);
        number
    }
}

impl Line {
    pub(super) fn ids(&self) -> (u32, u32) {
        (self.destination, self.source)
    }
}

/// Whether datagrams to that address reach the hostile side.
fn is_own(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[..3] == [198, 51, 100])
}

/// The versions that a plan may mix.
pub(super) const VERSIONS: [&[u32]; 3] = [&[V3], &[V2], &[V3, V2]];
/// Packets and connections remembered, to be sent again.
const KEPT: usize = 40;
