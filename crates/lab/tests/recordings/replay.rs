//! A model in the place of one side of a recorded conversation: it is given what the real peer was given, when it was given, and has
//! to say what the real peer said.
//!
//! Compared are stream IDs, frames, numbers and times. Connection IDs and the nonces of challenges are mapped, because the model draws
//! its own; the words of a CONNECTION_CLOSE are the application's, and reset tokens come from a secret that was not recorded. Threads of the real peer race: what it sent within [`RACE`] may come in any order, and
//! such packets may have drawn each other's numbers.

use gapless_lab::peers::wire::{Frame, Numbering, Packet, decode_as, decode_negotiation};
use gapless_lab::peers::{Connection, Foreign, Kind, Read, Stream, foreign};
use gapless_udx::Instant;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// One conversation and one side of it.
pub(crate) struct Replay {
    /// Folder of the version, and the file's name there.
    pub(crate) file: (&'static str, &'static str),
    pub(crate) kind: Kind,
    /// A model with other settings than the kind's.
    pub(crate) model: Option<fn() -> Box<dyn Foreign + Send>>,
    pub(crate) dials: bool,
    /// From the recorder to the other side.
    pub(crate) delay: Duration,
    pub(crate) application: Application,
    /// How long after a packet the application's thread gets to read: it may find two in one.
    pub(crate) reads_after: Duration,
    /// How much later than asked for timers come.
    pub(crate) timers_late: Duration,
    /// The real acceptor had to load its code first: what came before its first answer was handled then.
    pub(crate) starts_slowly: bool,
    /// Between the model's time and the recorder's: timers, threads, and programs that have just started.
    pub(crate) tolerance: Duration,
    /// From this packet on, those to the model come from another address.
    pub(crate) moves_with: Option<usize>,
    /// What else the application does, by milliseconds since the recorder started. A dialer dials when its first packet was recorded.
    pub(crate) script: Vec<(f64, Act)>,
}

/// What the application does of its own accord. It reads in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Application {
    /// Writes back what it reads, and finishes when the other side does.
    Echo,
    /// Finishes when the other side does.
    Sink,
    /// Does not even read.
    Deaf,
    Script,
}

/// On the last stream there is, or a new one if there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// One more stream, the last one from now on.
    Open,
    Ping,
    /// So many bytes of what the real peer's application wrote.
    Write(usize),
    Finish,
    Reset(u32),
    Close(u32),
}

impl Replay {
    /// Fails with all that differs. The result: bytes that the application read.
    pub(crate) fn check(&self) -> usize {
        let lines = read(self.file);
        let recorded: Vec<Said> = lines
            .iter()
            .filter(|line| line.from_dialer == self.dials)
            .map(|line| Said::new(line.at, &line.bytes).expect("the real peer sends packets"))
            .collect();
        let end = lines.last().map_or(Duration::ZERO, |line| line.at);
        let (said, read) = Stage::new(self, &lines, &recorded).run(end);
        let problems = compare(&recorded, &said, end, self.tolerance);
        assert!(
            problems.is_empty(),
            "{:?} as {} of {}:\n{}",
            self.kind,
            if self.dials { "dialer" } else { "acceptor" },
            self.file.1,
            problems.join("\n")
        );
        read
    }
}

/// A line of a recording.
struct Line {
    at: Duration,
    from_dialer: bool,
    bytes: Vec<u8>,
    dropped: bool,
}

fn read((version, name): (&str, &str)) -> Vec<Line> {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../udx/tests/vectors");
    let path = vectors
        .join(version)
        .join("conversations")
        .join(name)
        .with_extension("jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let line = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let hex = json["hex"].as_str().expect("a datagram");
        Line {
            at: Duration::from_micros(json["t_us"].as_u64().expect("a time")),
            from_dialer: json["dir"] == "c2s",
            bytes: (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
                .collect(),
            dropped: json["dropped"] == true,
        }
    };
    text.lines().map(line).collect()
}

/// A datagram that one of the two said.
struct Said {
    at: Duration,
    packet: Packet,
    /// Of a challenge.
    nonce: Option<[u8; 8]>,
}

impl Said {
    fn new(at: Duration, datagram: &[u8]) -> Option<Self> {
        let version = u32::from_be_bytes(*datagram.first_chunk()?);
        let mut packet = match version {
            0 => negotiation(datagram)?,
            _ => decode_as(datagram, version, Numbering::Go)?,
        };
        let mut challenge = None;
        packet.frames.iter_mut().for_each(|frame| match frame {
            Frame::ConnectionClose { reason, .. } => reason.clear(),
            Frame::PathChallenge(nonce) => challenge = Some(std::mem::take(nonce)),
            Frame::NewConnectionId { id, token, .. } => {
                id.clear();
                *token = [0; 16];
            }
            _ => {}
        });
        Some(Self {
            at,
            packet,
            nonce: challenge,
        })
    }

    /// Equal but for IDs, number, and an ACK's delay within the tolerance.
    fn says_as(&self, other: &Self, tolerance: Duration) -> bool {
        let (a, b) = (&self.packet, &other.packet);
        let ids = |it: &Packet| (it.version, it.destination_stream, it.source_stream);
        let without_delay = |frame: &Frame| {
            let mut frame = frame.clone();
            let mut waited = 0;
            if let Frame::Ack { delay, .. } = &mut frame {
                waited = std::mem::take(delay);
            }
            (frame, u64::from(waited))
        };
        ids(a) == ids(b)
            && a.frames.len() == b.frames.len()
            && a.frames.iter().zip(&b.frames).all(|(a, b)| {
                let ((a, a_delay), (b, b_delay)) = (without_delay(a), without_delay(b));
                a == b && a_delay.abs_diff(b_delay) <= tolerance.as_millis() as u64
            })
    }

    fn text(&self) -> String {
        let Packet {
            sequence,
            destination_stream,
            source_stream,
            frames,
            ..
        } = &self.packet;
        let frames: Vec<String> = frames
            .iter()
            .map(|frame| match frame {
                Frame::Stream {
                    syn,
                    fin,
                    offset,
                    data,
                } => format!("Stream {offset}+{} syn {syn} fin {fin}", data.len()),
                other => format!("{other:?}"),
            })
            .collect();
        format!(
            "{:.2} ms #{sequence} {source_stream}->{destination_stream} {}",
            self.at.as_secs_f64() * 1e3,
            frames.join(", ")
        )
    }
}

/// What the real peer drew.
struct Recorded {
    /// Its own, then its peer's.
    ids: (Vec<u8>, Vec<u8>),
    nonces: Vec<[u8; 8]>,
}

/// The model with its application, and what comes to it when.
struct Stage<'a> {
    replay: &'a Replay,
    model: Box<dyn Foreign + Send>,
    recorded: Recorded,
    /// The other side's packets as they arrive, in order.
    arrivals: Vec<(Duration, &'a [u8])>,
    acts: Vec<(Duration, Option<Act>)>,
    /// What the real peer's application wrote, by stream ID.
    wrote: HashMap<u32, Vec<u8>>,
    written: HashMap<Stream, usize>,
    connection: Option<Connection>,
    streams: Vec<Stream>,
    ended: Vec<Stream>,
    serves_at: Option<Duration>,
    /// The model's connection IDs: its own, then the peer's.
    ids: Option<(Vec<u8>, Vec<u8>)>,
    nonces: Vec<[u8; 8]>,
    said: Vec<Said>,
    read: usize,
}

impl<'a> Stage<'a> {
    fn new(replay: &'a Replay, lines: &'a [Line], recorded: &[Said]) -> Self {
        let started = recorded
            .first()
            .filter(|_| replay.starts_slowly && !replay.dials);
        let started = started.map_or(Duration::ZERO, |first| first.at);
        let arrivals = lines
            .iter()
            .filter(|line| line.from_dialer != replay.dials && !line.dropped)
            .map(|line| ((line.at + replay.delay).max(started), &line.bytes[..]))
            .collect();
        let dial = recorded.first().filter(|_| replay.dials);
        let dial = dial.map(|first| (first.at, None));
        let script = replay.script.iter();
        let script = script.map(|&(at, act)| (Duration::from_secs_f64(at / 1e3), Some(act)));
        let mut acts: Vec<_> = dial.into_iter().chain(script).collect();
        acts.sort_by_key(|&(at, _)| at);
        Self {
            replay,
            model: replay
                .model
                .map_or_else(|| foreign(replay.kind, 1), |model| model()),
            arrivals,
            acts,
            wrote: wrote(recorded),
            written: HashMap::new(),
            connection: None,
            streams: Vec::new(),
            ended: Vec::new(),
            serves_at: None,
            recorded: Recorded {
                ids: recorded
                    .first()
                    .map_or_else(Default::default, |first| ids_of(&first.packet)),
                nonces: recorded.iter().filter_map(|said| said.nonce).collect(),
            },
            ids: None,
            nonces: Vec::new(),
            said: Vec::new(),
            read: 0,
        }
    }

    fn run(mut self, end: Duration) -> (Vec<Said>, usize) {
        let (mut arrived, mut acted) = (0, 0);
        loop {
            let arrival = self.arrivals.get(arrived).map(|&(at, _)| at);
            let act = self.acts.get(acted).map(|&(at, _)| at);
            let timer = self.model.next_deadline();
            let timer =
                timer.map(|at| Duration::from_nanos(at.as_nanos()) + self.replay.timers_late);
            let next = [arrival, act, timer, self.serves_at]
                .into_iter()
                .flatten()
                .min();
            let Some(at) = next.filter(|&at| at <= end + self.replay.tolerance) else {
                return (self.said, self.read);
            };
            let now = Instant::from_nanos(at.as_nanos() as u64);
            if arrival == Some(at) {
                let datagram = self.mapped(self.arrivals[arrived].1);
                let has_moved = self.replay.moves_with.is_some_and(|first| arrived >= first);
                let from = if has_moved { MOVED } else { OTHER };
                self.model.handle(now, from, &datagram);
                arrived += 1;
            } else if act == Some(at) {
                // What an application does in one go leaves in one go.
                while self.acts.get(acted).is_some_and(|&(due, _)| due == at) {
                    self.act(now, self.acts[acted].1);
                    acted += 1;
                }
            } else if timer == Some(at) {
                self.model.handle_timeout(now);
            }
            let serves_at = *self.serves_at.get_or_insert(at + self.replay.reads_after);
            if serves_at <= at {
                self.serves_at = None;
                self.serve(now);
            }
            self.transmit(now);
        }
    }

    fn transmit(&mut self, now: Instant) {
        while let Some((_, datagram)) = self.model.poll_transmit(now) {
            let at = Duration::from_nanos(now.as_nanos());
            let said = Said::new(at, &datagram).expect("a model sends packets");
            self.nonces.extend(said.nonce);
            if said.packet.version != 0 {
                let ids = ids_of(&said.packet);
                assert_eq!(*self.ids.get_or_insert(ids.clone()), ids);
            }
            self.said.push(said);
        }
    }

    /// With the model's own IDs and nonces in the place of the recorded ones.
    fn mapped(&self, datagram: &[u8]) -> Vec<u8> {
        let mut datagram = datagram.to_vec();
        if let Some((own, peer)) = self.ids.as_ref().filter(|_| self.replay.dials) {
            replace(&mut datagram, &self.recorded.ids.0, own);
            replace(&mut datagram, &self.recorded.ids.1, peer);
        }
        for (recorded, nonce) in self.recorded.nonces.iter().zip(&self.nonces) {
            replace(&mut datagram, recorded, nonce);
        }
        datagram
    }

    fn act(&mut self, now: Instant, act: Option<Act>) {
        let Some(act) = act else {
            self.connection = Some(self.model.connect(now, OTHER));
            return;
        };
        let connection = self.connection.expect("a connection to act on");
        if self.streams.is_empty() && !matches!(act, Act::Close(_) | Act::Open | Act::Ping) {
            let stream = self.model.open(now, connection);
            self.streams.push(stream.expect("a first stream"));
        }
        let stream = self.streams.last().copied();
        match (act, stream) {
            (Act::Close(code), _) => self.model.close(now, connection, code),
            (Act::Ping, _) => self.model.ping(now, connection),
            (Act::Open, _) => {
                let stream = self.model.open(now, connection);
                self.streams.push(stream.expect("one more stream"));
            }
            (_, None) => unreachable!("there is a stream"),
            (Act::Write(count), Some(stream)) => {
                let done = self.written.entry(stream).or_default();
                let before = 2 * (self.streams.len() as u32 - 1);
                let id = before + if self.replay.dials { 1 } else { 2 };
                let wrote = self.wrote.entry(id).or_default();
                // What the real peer never got to send is not known.
                wrote.resize(wrote.len().max(*done + count), 0);
                let bytes = &wrote[*done..*done + count];
                *done += count;
                assert_eq!(self.model.write(now, connection, stream, bytes), count);
            }
            (Act::Finish, Some(stream)) => self.model.finish(now, connection, stream),
            (Act::Reset(code), Some(stream)) => self.model.reset(now, connection, stream, code),
        }
    }

    /// The rest of the application: takes what there is.
    fn serve(&mut self, now: Instant) {
        // A late SYN makes another connection; the application has a thread for each.
        while let Some(connection) = self.model.accept() {
            self.connection = Some(connection);
            self.streams.clear();
            self.ended.clear();
        }
        let Some(connection) = self.connection else {
            return;
        };
        let application = self.replay.application;
        while let Some(stream) = self.model.accept_stream(connection) {
            self.streams.push(stream);
        }
        if application == Application::Deaf {
            return;
        }
        for stream in self.streams.clone() {
            while !self.ended.contains(&stream) {
                let read = self.model.read(now, connection, stream, 1 << 16);
                if let Read::Data(bytes) = &read {
                    self.read += bytes.len();
                }
                match read {
                    Read::Data(bytes) if application == Application::Echo => {
                        assert_eq!(
                            self.model.write(now, connection, stream, &bytes),
                            bytes.len()
                        );
                        // Without a thread of its own, an application writes one piece before it reads the next.
                        if self.replay.reads_after.is_zero() {
                            self.transmit(now);
                        }
                    }
                    Read::Data(_) => {}
                    Read::Pending => break,
                    Read::End | Read::Reset(_) | Read::Closed => {
                        self.ended.push(stream);
                        if application != Application::Script {
                            self.model.finish(now, connection, stream);
                        }
                    }
                }
            }
        }
    }
}

/// A version negotiation as a packet without frames, whose stream IDs are the first versions.
fn negotiation(datagram: &[u8]) -> Option<Packet> {
    let negotiation = decode_negotiation(datagram)?;
    let mut versions = negotiation.versions.into_iter();
    Some(Packet {
        version: 0,
        destination: negotiation.destination,
        source: negotiation.source,
        sequence: 0,
        destination_stream: versions.next()?,
        source_stream: versions.next().unwrap_or(0),
        frames: Vec::new(),
    })
}

fn ids_of(packet: &Packet) -> (Vec<u8>, Vec<u8>) {
    (packet.source.clone(), packet.destination.clone())
}

/// Every occurrence of `old`, which is long enough not to occur by chance.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    assert!(old.len() == new.len() && old.len() >= 8);
    for at in 0..bytes.len().saturating_sub(old.len() - 1) {
        let place = &mut bytes[at..at + old.len()];
        if place == old {
            place.copy_from_slice(new);
        }
    }
}

/// The bytes of each stream, as first sent: by number in version 2, by offset in version 3.
fn wrote(recorded: &[Said]) -> HashMap<u32, Vec<u8>> {
    let mut pieces: Vec<(u32, u64, &[u8])> = Vec::new();
    for said in recorded {
        for frame in &said.packet.frames {
            if let Frame::Stream { offset, data, .. } = frame {
                let place = match said.packet.version {
                    2 => said.packet.sequence.into(),
                    _ => *offset,
                };
                if !data.is_empty() {
                    pieces.push((said.packet.source_stream, place, data));
                }
            }
        }
    }
    pieces.sort_unstable();
    pieces.dedup();
    let mut wrote: HashMap<u32, Vec<u8>> = HashMap::new();
    for (stream, _, data) in pieces {
        wrote.entry(stream).or_default().extend_from_slice(data);
    }
    wrote
}

/// What of the two differs.
fn compare(recorded: &[Said], said: &[Said], end: Duration, tolerance: Duration) -> Vec<String> {
    let mut problems = Vec::new();
    let mut taken = vec![false; said.len()];
    let mut pairs: Vec<(&Said, &Said)> = Vec::new();
    for real in recorded {
        let fits = |&(index, model): &(usize, &Said)| {
            !taken[index]
                && model.at.abs_diff(real.at) <= tolerance
                && model.says_as(real, tolerance)
        };
        let mut candidates: Vec<_> = said.iter().enumerate().filter(fits).collect();
        // Equal ones: the one with its number, if there is one.
        candidates
            .sort_by_key(|(index, model)| (model.packet.sequence != real.packet.sequence, *index));
        match candidates.first() {
            Some(&(index, model)) => {
                taken[index] = true;
                pairs.push((real, model));
            }
            None => problems.push(format!("the real one said, the model not: {}", real.text())),
        }
    }
    // The recording may end before all that was said reached the recorder.
    let extra = said
        .iter()
        .zip(&taken)
        .filter(|&(model, &taken)| !taken && model.at + tolerance < end);
    problems.extend(extra.map(|(model, _)| format!("only the model said: {}", model.text())));
    problems.extend(compare_order(&pairs));
    problems
}

/// Order and numbers, of packets that did not race.
fn compare_order(pairs: &[(&Said, &Said)]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut latest = Duration::ZERO;
    for race in pairs.chunk_by(|(a, _), (b, _)| b.at - a.at <= RACE) {
        let numbers = |of: fn(&(&Said, &Said)) -> u32| {
            let mut numbers: Vec<u32> = race.iter().map(of).collect();
            numbers.sort_unstable();
            numbers
        };
        let (real, model) = (
            numbers(|(real, _)| real.packet.sequence),
            numbers(|(_, model)| model.packet.sequence),
        );
        if real != model {
            let text = race[0].0.text();
            problems.push(format!(
                "from {text}: numbers {real:?}, the model's {model:?}"
            ));
        }
        let times = race.iter().map(|(_, model)| model.at);
        if times
            .clone()
            .min()
            .is_some_and(|first| first + RACE < latest)
        {
            problems.push(format!("the model said it too early: {}", race[0].0.text()));
        }
        latest = times.max().unwrap_or(latest);
    }
    problems
}

const OTHER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4001);
const MOVED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4002);
/// What the real peer sends closer together may have come from two of its threads.
const RACE: Duration = Duration::from_micros(1500);
