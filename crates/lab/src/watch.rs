//! An observer on the wire. It reads every packet that the engines send and holds it to what the sender may say, knowing nothing
//! of the engines' insides.

mod asked;
mod foreign;
mod ordered;
mod resets;

use crate::peers::Kind;
use crate::plan::{Scenario, Time};
use crate::report::Rule;
use crate::spans::{Pieces, Spans};
use gapless_seq::Wire32;
use gapless_udx::wire::{
    Ack, ConnectionId, Datagram, DecodeError, Frame, Packet, Stream, Version, peek_destination,
};
use ordered::{Numbered, Seen};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A rule and how it was broken.
pub(crate) type Fault = (Rule, String);

/// What was said on the one connection of a run.
pub(crate) struct Watch {
    now: Time,
    sides: [Side; 2],
    resets: [resets::Resets; 2],
}

/// What is known of one host.
struct Side {
    /// The IDs that its packets carry, destination and source, since the first one.
    ids: Option<(ConnectionId, ConnectionId)>,
    max_datagram: usize,
    /// The version of its packets so far.
    version: Option<Version>,
    /// Numbers and what they carried, where that is one thing (version 2).
    numbered: Numbered,
    first_position: u64,
    /// It may try what lies beyond a limit, because the other side cannot be asked for a lost one (D14).
    tries_limits: bool,
    first_number: u64,
    last_number: Option<u64>,
    /// Numbers of the other side's packets that reached it.
    received: Spans,
    /// Highest of these.
    highest_received: Option<u64>,
    /// By its own ID of the stream: what it sent.
    streams: BTreeMap<u32, StreamWatch>,
    /// Bytes exchanged with each address, for the limit before an address is proven.
    paths: BTreeMap<SocketAddr, PathWatch>,
    /// The challenges it sent, by nonce, and where to.
    challenges: BTreeMap<u64, SocketAddr>,
    /// How many challenges a model sent, and that one of them arrived.
    model_asked: (u32, bool),
    /// By the other side's ID of the stream: its own ID, and limits that came before that was known.
    names: BTreeMap<u32, u32>,
    early_limits: BTreeMap<u32, u64>,
    asked: asked::Asked,
}

#[derive(Default)]
struct StreamWatch {
    pieces: Pieces,
    final_size: Option<u64>,
    /// Highest limit that the other side ever sent.
    limit: Option<u64>,
    /// Bytes that reached the other side, in version 2.
    arrived: u64,
}

#[derive(Default)]
struct PathWatch {
    received: u64,
    sent: u64,
    proven: bool,
}

impl Watch {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let is_dart_3 = |kind: Kind| matches!(kind, Kind::Dart(_)) && kind.version() == 3;
        let side = |host: usize| {
            let connection = &scenario.hosts[host].config.connection;
            Side {
                ids: None,
                max_datagram: connection.max_datagram.into(),
                version: None,
                numbered: Numbered::default(),
                first_position: connection.first_position,
                tries_limits: scenario.hosts[1 - host].model.is_some_and(is_dart_3),
                first_number: connection.first_number,
                last_number: None,
                received: Spans::default(),
                highest_received: None,
                streams: BTreeMap::new(),
                paths: BTreeMap::new(),
                challenges: BTreeMap::new(),
                model_asked: (0, false),
                names: BTreeMap::new(),
                early_limits: BTreeMap::new(),
                asked: asked::Asked::default(),
            }
        };
        Self {
            now: 0,
            sides: [side(0), side(1)],
            resets: [(); 2].map(|()| resets::Resets::new(scenario.copyist)),
        }
    }

    /// The host has lost its state.
    pub(crate) fn restarted(&mut self, host: usize) {
        self.resets[host].restart();
    }

    /// The version of the host's packets so far.
    pub(crate) fn version(&self, host: usize) -> Option<Version> {
        self.sides[host].version
    }

    /// A host sends a datagram.
    pub(crate) fn sent(
        &mut self,
        host: usize,
        to: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Fault> {
        let packet = match decode(datagram) {
            Ok(Datagram::Packet(packet)) => packet,
            Ok(Datagram::VersionNegotiation(_)) => {
                return self.check_amplification(host, to, datagram.len());
            }
            Err(_) if self.resets[host].may_come() => {
                return self.resets[host].check(self.now, datagram);
            }
            other => return wire(format!("it sent what is not a packet: {other:?}")),
        };
        self.resets[host].check_silence(&packet)?;
        self.check_header(host, &packet, datagram.len())?;
        self.check_amplification(host, to, datagram.len())?;
        let (own, other) = (
            packet.header().source_stream,
            packet.header().destination_stream,
        );
        self.hear_name(host, own, other);
        match Version::from_wire(packet.header().version) {
            Some(Version::V2) => self.check_ordered(host, &packet)?,
            _ => self.check_number(host, &packet)?,
        }
        self.note_remote(host, to, &packet);
        for frame in packet.frames() {
            self.note_told(host, other, &frame);
            match frame {
                Frame::Stream(stream) => self.check_stream(host, own, &stream)?,
                Frame::Ack(ack) => self.check_ack(host, &ack)?,
                Frame::WindowUpdate { limit } => self.check_limit(host, other, limit)?,
                Frame::PathChallenge { nonce } => {
                    self.sides[host].challenges.insert(nonce, to);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A datagram reached a host, undamaged.
    pub(crate) fn delivered(&mut self, host: usize, from: SocketAddr, datagram: &[u8]) {
        self.resets[host].delivered(self.now, datagram.len());
        let Ok(Datagram::Packet(packet)) = decode(datagram) else {
            return;
        };
        self.note_model_asked(1 - host, &packet);
        let side = &mut self.sides[host];
        let path = side.paths.entry(from).or_default();
        path.received += datagram.len() as u64;
        for frame in packet.frames() {
            // UDX 11: wherever it comes from, it was there that the challenge was read.
            if let Frame::PathResponse { nonce } = frame
                && let Some(asked) = side.challenges.get(&nonce)
            {
                side.paths.entry(*asked).or_default().proven = true;
            }
        }
        self.note_asked(host, from, &packet);
        if is_numbered(&packet) {
            let side = &mut self.sides[host];
            let expected = side.highest_received.unwrap_or(side.first_number);
            let number = packet.header().number.expand(expected);
            let known = side.received.covers(number..number + 1);
            side.received.insert(number..number + 1);
            side.highest_received = side.highest_received.max(Some(number));
            if !known {
                self.note_arrived(1 - host, &packet);
            }
        }
    }

    /// A datagram that the other side never sent reached a host from that side's address. V18 counts whatever came from there, so this one
    /// may be answered by three times its size, too.
    pub(crate) fn forged(&mut self, host: usize, from: SocketAddr, len: usize) {
        self.resets[host].delivered(self.now, len);
        let path = self.sides[host].paths.entry(from).or_default();
        path.received += len as u64;
    }

    fn note_arrived(&mut self, sender: usize, packet: &Packet<'_>) {
        for frame in packet.frames() {
            if let Frame::Ordered(frame) = frame {
                let own = packet.header().source_stream;
                let watch = self.sides[sender].stream(own);
                watch.arrived += frame.data.len() as u64;
            }
        }
    }

    fn check_header(&mut self, host: usize, packet: &Packet<'_>, len: usize) -> Result<(), Fault> {
        let side = &mut self.sides[host];
        let header = packet.header();
        let ids = (header.destination, header.source);
        let version = Version::from_wire(header.version);
        let Some(version) = version else {
            return wire(format!("a packet of version {}", header.version));
        };
        // UDX 13: a dialer may learn its version as long as it has sent one record.
        let opening = host == 0 && side.last_number == Some(side.first_number);
        if side
            .version
            .replace(version)
            .is_some_and(|before| before != version)
            && !opening
        {
            return wire(format!(
                "a packet of {version:?} after some of another version"
            ));
        }
        if *side.ids.get_or_insert(ids) != ids {
            return wire("a packet with other connection IDs".into());
        }
        if len > side.max_datagram {
            return wire(format!(
                "a datagram of {len} bytes, {} are allowed",
                side.max_datagram
            ));
        }
        Ok(())
    }

    /// UDX 11: three times what came, until the address is proven. It binds the side that was dialed.
    fn check_amplification(
        &mut self,
        host: usize,
        to: SocketAddr,
        len: usize,
    ) -> Result<(), Fault> {
        let path = self.sides[host].paths.entry(to).or_default();
        path.sent += len as u64;
        if host == 1 && !path.proven && path.sent > 3 * path.received {
            return wire(format!(
                "{} bytes went to an unproven address that sent {}",
                path.sent, path.received
            ));
        }
        Ok(())
    }

    /// UDX 3: each transmission takes a fresh number.
    fn check_number(&mut self, host: usize, packet: &Packet<'_>) -> Result<(), Fault> {
        if !is_numbered(packet) {
            return Ok(());
        }
        let side = &mut self.sides[host];
        if side.repeats_opening(packet) {
            return Ok(());
        }
        let least = side.last_number.map_or(side.first_number, |last| last + 1);
        let number = packet.header().number.expand(least);
        if number < least {
            return Err((
                Rule::Books,
                format!("the number {number} was used again, {least} is the next one"),
            ));
        }
        side.last_number = Some(number);
        if number == side.first_number {
            side.numbered.open(number, packet.header().source_stream);
        }
        Ok(())
    }

    /// UDX2 3: a number is used again for what it carried, and for nothing else.
    fn check_ordered(&mut self, host: usize, packet: &Packet<'_>) -> Result<(), Fault> {
        if !is_numbered(packet) {
            return Ok(());
        }
        let side = &mut self.sides[host];
        let next = side.last_number.map_or(side.first_number, |last| last + 1);
        let number = packet.header().number.expand(next);
        if let Seen::New(frame) = side.numbered.take(packet, number, next)? {
            side.last_number = Some(number);
            let own = packet.header().source_stream;
            let at = side.stream(own).pieces.end();
            self.check_stream(host, own, &frame.at(at))?;
        }
        Ok(())
    }

    fn check_stream(&mut self, host: usize, own: u32, stream: &Stream<'_>) -> Result<(), Fault> {
        let side = &mut self.sides[host];
        let initial = side.first_position + INITIAL_LIMIT;
        // UDX2 9.3: where updates may never come, what has arrived is credit.
        let granted = match side.version {
            Some(Version::V2) => initial + side.stream(own).arrived,
            _ => initial,
        };
        let (first, tries) = (side.first_position, side.tries_limits);
        let watch = side.stream(own);
        let range = stream.offset..stream.offset + stream.data.len() as u64;
        let end = range.end;
        let mut limit = watch.limit.unwrap_or(initial).max(granted);
        if tries {
            limit += (limit - first).min(LARGEST_WINDOW) + TRIAL;
        }
        if end > limit {
            return Err((
                Rule::InFlight,
                format!("stream {own:x} reaches {end}, its limit is {limit}"),
            ));
        }
        // V1: peers that reassemble by boundaries lose bytes when they change.
        if !watch.pieces.take(range.clone()) {
            return wire(format!(
                "stream {own:x}: {range:?} has other boundaries than before"
            ));
        }
        if stream.fin && watch.final_size.is_some_and(|size| size != end) {
            return wire(format!(
                "stream {own:x} ended at {:?} and now at {end}",
                watch.final_size
            ));
        }
        if stream.fin {
            watch.final_size = Some(end);
        }
        if watch
            .final_size
            .is_some_and(|size| size < watch.pieces.end())
        {
            return wire(format!("stream {own:x} goes on behind its end"));
        }
        Ok(())
    }

    /// V13 and R3 from the other side: only what arrived is acknowledged.
    fn check_ack(&mut self, host: usize, ack: &Ack<'_>) -> Result<(), Fault> {
        let side = &self.sides[host];
        let expected = side.highest_received.unwrap_or(side.first_number);
        let largest = ack.largest.expand(expected);
        for range in ack.ranges(largest) {
            let (first, last) = (*range.start(), *range.end());
            if !side.received.covers(first..last + 1) {
                return Err((
                    Rule::Acknowledgement,
                    format!("it acknowledged {range:?}, not all of which reached it"),
                ));
            }
        }
        Ok(())
    }

    /// R4: an advertised edge never moves left. `other` is the stream's ID at the side that may send so much.
    fn check_limit(&mut self, host: usize, other: u32, limit: Wire32) -> Result<(), Fault> {
        let side = &mut self.sides[1 - host];
        let initial = side.first_position + INITIAL_LIMIT;
        let watch = side.stream(other);
        let held = watch.limit.unwrap_or(0);
        let limit = limit.expand(held.max(initial));
        if limit < held {
            return Err((
                Rule::Window,
                format!("the limit of stream {other:x} went from {held} to {limit}"),
            ));
        }
        watch.limit = Some(limit);
        Ok(())
    }
}

impl Side {
    fn stream(&mut self, own: u32) -> &mut StreamWatch {
        let first = self.first_position;
        self.streams.entry(own).or_insert_with(|| StreamWatch {
            pieces: Pieces::starting_at(first),
            ..StreamWatch::default()
        })
    }

    /// UDX 13: who does not know its peer's version has one record, a SYN without data, under one number.
    fn repeats_opening(&self, packet: &Packet<'_>) -> bool {
        let opening = |frame: &Frame<'_>| matches!(frame, Frame::Stream(it) if it.syn && !it.fin && it.data.is_empty());
        let number = packet.header().number.expand(self.first_number);
        self.last_number == Some(self.first_number)
            && number == self.first_number
            && packet.frames().any(|frame| opening(&frame))
    }
}

/// A datagram, in the version that it names.
pub(crate) fn decode(datagram: &[u8]) -> Result<Datagram<'_>, DecodeError> {
    let version = peek_destination(datagram).and_then(|(version, _)| Version::from_wire(version));
    Datagram::decode_as(datagram, version.unwrap_or_default().dialect())
}

/// UDX 3: what takes a number.
pub(crate) fn is_numbered(packet: &Packet<'_>) -> bool {
    packet.frames().any(|frame| match frame {
        Frame::Stream(stream) => stream.is_numbered(),
        Frame::Ordered(stream) => stream.is_numbered(),
        // UDX2 D14: of version 2, nobody.
        Frame::Ping => packet.header().number.raw() != 0,
        _ => false,
    })
}

fn wire<T>(detail: String) -> Result<T, Fault> {
    Err((Rule::Wire, detail))
}

/// D14: what trials add to a limit, at most as much as a window of Dart's is large.
const LARGEST_WINDOW: u64 = 4 << 20;
const TRIAL: u64 = 1_200;

/// UDX 10.1: both sides begin with it in each direction.
const INITIAL_LIMIT: u64 = 65_536;

#[cfg(test)]
mod tests;
