//! A model in the place of one side of a recorded conversation: it is given what the real peer was given, when it was given, and has
//! to say what the real peer said.
//!
//! Compared are stream IDs, frames, numbers and times. Connection IDs are mapped, because the model draws its own; the words of a
//! CONNECTION_CLOSE are the application's. Threads of the real peer race: what it sent within [`RACE`] may come in any order, and
//! such packets may have drawn each other's numbers.

use gapless_lab::peers::wire::{Frame, Numbering, Packet, decode_as};
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
    pub(crate) dials: bool,
    /// From the recorder to the other side.
    pub(crate) delay: Duration,
    pub(crate) application: Application,
    /// How long after a packet the application's thread gets to read: it may find two in one.
    pub(crate) reads_after: Duration,
    /// How much later than asked for timers come.
    pub(crate) timers_late: Duration,
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
    Script,
}

/// On the last stream there is, or a new one if there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
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
        let problems = compare(&recorded, &said, end);
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
}

impl Said {
    fn new(at: Duration, datagram: &[u8]) -> Option<Self> {
        let version = u32::from_be_bytes(*datagram.first_chunk()?);
        let mut packet = decode_as(datagram, version, Numbering::Go)?;
        packet.frames.iter_mut().for_each(|frame| {
            if let Frame::ConnectionClose { reason, .. } = frame {
                reason.clear();
            }
        });
        Some(Self { at, packet })
    }

    /// Equal but for IDs, number, and an ACK's delay within the tolerance.
    fn says_as(&self, other: &Self) -> bool {
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
                a == b && a_delay.abs_diff(b_delay) <= TOLERANCE.as_millis() as u64
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

/// The model with its application, and what comes to it when.
struct Stage<'a> {
    replay: &'a Replay,
    model: Box<dyn Foreign + Send>,
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
    /// The model's IDs, as they stand in packets to it: destination, then source.
    ids: Option<(Vec<u8>, Vec<u8>)>,
    said: Vec<Said>,
    read: usize,
}

impl<'a> Stage<'a> {
    fn new(replay: &'a Replay, lines: &'a [Line], recorded: &[Said]) -> Self {
        let arrivals = lines
            .iter()
            .filter(|line| line.from_dialer != replay.dials && !line.dropped)
            .map(|line| (line.at + replay.delay, &line.bytes[..]))
            .collect();
        let dial = recorded.first().filter(|_| replay.dials);
        let dial = dial.map(|first| (first.at, None));
        let script = replay.script.iter();
        let script = script.map(|&(at, act)| (Duration::from_secs_f64(at / 1e3), Some(act)));
        let mut acts: Vec<_> = dial.into_iter().chain(script).collect();
        acts.sort_by_key(|&(at, _)| at);
        Self {
            replay,
            model: foreign(replay.kind, 1),
            arrivals,
            acts,
            wrote: wrote(recorded),
            written: HashMap::new(),
            connection: None,
            streams: Vec::new(),
            ended: Vec::new(),
            serves_at: None,
            ids: None,
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
            let Some(at) = next.filter(|&at| at <= end + TOLERANCE) else {
                return (self.said, self.read);
            };
            let now = Instant::from_nanos(at.as_nanos() as u64);
            if arrival == Some(at) {
                let datagram = self.mapped(self.arrivals[arrived].1);
                self.model.handle(now, OTHER, &datagram);
                arrived += 1;
            } else if act == Some(at) {
                self.act(now, self.acts[acted].1);
                acted += 1;
            } else if timer == Some(at) {
                self.model.handle_timeout(now);
            }
            let serves_at = *self.serves_at.get_or_insert(at + self.replay.reads_after);
            if serves_at <= at {
                self.serves_at = None;
                self.serve(now);
            }
            while let Some((_, datagram)) = self.model.poll_transmit(now) {
                let said = Said::new(at, &datagram).expect("a model sends packets");
                let Packet {
                    destination,
                    source,
                    ..
                } = &said.packet;
                let ids = (source.clone(), destination.clone());
                assert_eq!(*self.ids.get_or_insert(ids.clone()), ids);
                self.said.push(said);
            }
        }
    }

    /// With the model's own IDs, once it has drawn some.
    fn mapped(&self, datagram: &[u8]) -> Vec<u8> {
        let mut datagram = datagram.to_vec();
        if let Some((destination, source)) = self.ids.as_ref().filter(|_| self.replay.dials) {
            datagram[5..13].copy_from_slice(destination);
            datagram[14..22].copy_from_slice(source);
        }
        datagram
    }

    fn act(&mut self, now: Instant, act: Option<Act>) {
        let Some(act) = act else {
            self.connection = Some(self.model.connect(now, OTHER));
            return;
        };
        let connection = self.connection.expect("a connection to act on");
        if self.streams.is_empty() && !matches!(act, Act::Close(_)) {
            let stream = self.model.open(now, connection);
            self.streams.push(stream.expect("a first stream"));
        }
        let stream = self.streams.last().copied();
        match (act, stream) {
            (Act::Close(code), _) => self.model.close(now, connection, code),
            (_, None) => unreachable!("there is a stream"),
            (Act::Write(count), Some(stream)) => {
                let done = self.written.entry(stream).or_default();
                let id = if self.replay.dials { 1 } else { 2 };
                let bytes = &self.wrote[&id][*done..*done + count];
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
fn compare(recorded: &[Said], said: &[Said], end: Duration) -> Vec<String> {
    let mut problems = Vec::new();
    let mut taken = vec![false; said.len()];
    let mut pairs: Vec<(&Said, &Said)> = Vec::new();
    for real in recorded {
        let fits = |&(index, model): &(usize, &Said)| {
            !taken[index] && model.at.abs_diff(real.at) <= TOLERANCE && model.says_as(real)
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
        .filter(|&(model, &taken)| !taken && model.at + TOLERANCE < end);
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
/// Between the model's time and the recorder's: timers and threads of a busy machine.
const TOLERANCE: Duration = Duration::from_millis(8);
/// What the real peer sends closer together may have come from two of its threads.
const RACE: Duration = Duration::from_micros(1500);
