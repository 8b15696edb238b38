//! What runs on top of an endpoint that is attacked: it serves whoever comes, and fetches from others.
//!
//! A request says how many bytes follow and how many are wanted back. Between honest sides every byte is compared; a stranger is
//! served all the same, for nobody can tell who is hostile.

use super::{Fault, honest_magic};
use crate::pattern::Pattern;
use crate::plan::Time;
use crate::report::Rule;
use gapless_link::Random;
use gapless_udx::{
    CloseReason, Connection, ConnectionHandle, Endpoint, Event, Instant, ReadError, StreamId,
    WriteError,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Connections to make.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) to: SocketAddr,
    pub(super) at: Time,
    pub(super) streams: usize,
    /// Bytes that each stream carries there.
    pub(super) up: u64,
    /// Bytes wanted back on each.
    pub(super) down: u64,
    /// The other side is one of ours: all has to come through.
    pub(super) honest: bool,
}

/// How the application treats strangers who ask for little or much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greed {
    /// Reads all at once.
    Eager,
    /// Reads a little each time something happens.
    Slow,
    /// Reads the request and nothing more, and keeps the stream.
    Lazy,
    /// Resets the stream after the request.
    Rude,
    /// Stops the stream after the request.
    Deaf,
}

impl Greed {
    pub(super) const ALL: [Self; 5] = [Self::Eager, Self::Slow, Self::Lazy, Self::Rude, Self::Deaf];
}

pub(super) struct App {
    seed: u64,
    greed: Greed,
    /// Where the honest side is.
    partner: SocketAddr,
    tasks: Vec<Task>,
    /// By task: when all of it was through.
    done: Vec<Option<Time>>,
    started: usize,
    talks: BTreeMap<ConnectionHandle, Talk>,
    /// Events fetched.
    pub(super) events: u64,
    /// Requests of honest sides that were served whole.
    pub(super) served: u64,
}

/// What is said on one connection.
struct Talk {
    task: Option<usize>,
    /// An honest side's request came on it.
    honest: bool,
    to_open: usize,
    streams: BTreeMap<StreamId, Line>,
}

/// What is said on one stream.
#[derive(Default)]
struct Line {
    head: Vec<u8>,
    read: u64,
    /// What has to come, and how much.
    expected: Option<(Pattern, u64)>,
    /// What is to be said: bytes before the pattern, the pattern, how many bytes in all, how many are written.
    to_say: Option<(Vec<u8>, Pattern, u64)>,
    said: u64,
    finished: bool,
    heard_end: bool,
}

impl App {
    pub(super) fn new(seed: u64, partner: SocketAddr, mut tasks: Vec<Task>, greed: Greed) -> Self {
        tasks.sort_by_key(|task| task.at);
        Self {
            seed,
            greed,
            partner,
            done: vec![None; tasks.len()],
            tasks,
            started: 0,
            talks: BTreeMap::new(),
            events: 0,
            served: 0,
        }
    }

    /// When the application wants to act by itself.
    pub(super) fn next_wake(&self) -> Option<Time> {
        self.tasks.get(self.started).map(|task| task.at)
    }

    /// When the last honest task was done; `None` while one is not.
    pub(super) fn done_at(&self) -> Option<Time> {
        let honest = self.tasks.iter().zip(&self.done);
        let mut honest = honest
            .filter(|(task, _)| task.honest)
            .map(|(_, done)| *done);
        honest.try_fold(0, |latest, done| Some(latest.max(done?)))
    }

    /// Connections whose other side is known to be honest.
    pub(super) fn honest(&self) -> impl Iterator<Item = ConnectionHandle> + '_ {
        let honest = self.talks.iter().filter(|(_, talk)| talk.honest);
        honest.map(|(handle, _)| *handle)
    }

    /// Does all that can be done. True if there was anything.
    pub(super) fn act(&mut self, now: Time, endpoint: &mut Endpoint) -> Result<bool, Fault> {
        let mut active = false;
        while self.next_wake().is_some_and(|at| at <= now) {
            self.dial(now, endpoint)?;
            active = true;
        }
        while let Some((handle, event)) = endpoint.poll_event() {
            self.events += 1;
            active = true;
            self.on_event(now, endpoint, handle, event)?;
        }
        Ok(active)
    }

    /// Closes what strangers left open.
    pub(super) fn hang_up(&mut self, endpoint: &mut Endpoint) {
        for handle in std::mem::take(&mut self.talks).into_keys() {
            endpoint.release(handle);
        }
    }

    fn dial(&mut self, now: Time, endpoint: &mut Endpoint) -> Result<(), Fault> {
        let place = self.started;
        self.started += 1;
        let task = &self.tasks[place];
        match endpoint.connect(Instant::from_nanos(now), task.to) {
            Ok(handle) => {
                let talk = Talk {
                    task: Some(place),
                    honest: task.honest,
                    to_open: task.streams,
                    streams: BTreeMap::new(),
                };
                self.talks.insert(handle, talk);
                self.open_streams(endpoint, handle);
                Ok(())
            }
            Err(error) if task.honest => Err((Rule::Harm, format!("cannot dial: {error}"))),
            Err(_) => Ok(()),
        }
    }

    fn open_streams(&mut self, endpoint: &mut Endpoint, handle: ConnectionHandle) {
        let Some(talk) = self.talks.get_mut(&handle) else {
            return;
        };
        let Some(place) = talk.task else { return };
        let task = &self.tasks[place];
        let mut opened = Vec::new();
        while talk.to_open > 0
            && let Some(connection) = endpoint.connection_mut(handle)
            && let Ok(id) = connection.open()
        {
            talk.to_open -= 1;
            let key = (place * 1000 + talk.to_open) as u64;
            let magic = if task.honest {
                honest_magic(self.seed)
            } else {
                1
            };
            let head = [magic, key, task.up, task.down].map(u64::to_be_bytes);
            let there = Pattern::new(self.seed, key as usize, false);
            let back = Pattern::new(self.seed, key as usize, true);
            let line = Line {
                expected: task.honest.then_some((back, task.down)),
                to_say: Some((head.concat(), there, task.up)),
                ..Line::default()
            };
            talk.streams.insert(id, line);
            opened.push(id);
        }
        for id in opened {
            let _ = self.serve(0, endpoint, handle, id);
        }
    }

    fn on_event(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        event: Event,
    ) -> Result<(), Fault> {
        match event {
            Event::Incoming => {
                while let Some(handle) = endpoint.accept() {
                    let talk = Talk {
                        task: None,
                        honest: false,
                        to_open: 0,
                        streams: BTreeMap::new(),
                    };
                    self.talks.insert(handle, talk);
                }
            }
            Event::StreamOpened => {
                while let Some(id) = endpoint.connection_mut(handle).and_then(Connection::accept) {
                    if let Some(talk) = self.talks.get_mut(&handle) {
                        talk.streams.insert(id, Line::default());
                    }
                    self.serve(now, endpoint, handle, id)?;
                }
            }
            Event::StreamsAvailable => self.open_streams(endpoint, handle),
            Event::Readable(id) | Event::Writable(id) | Event::Acknowledged(id) => {
                self.serve(now, endpoint, handle, id)?;
            }
            Event::Reset { id, .. } => self.serve(now, endpoint, handle, id)?,
            Event::Moved { from, to } => self.on_moved(handle, from, to)?,
            Event::Closed => self.on_closed(endpoint, handle)?,
            _ => {}
        }
        Ok(())
    }

    fn on_moved(
        &self,
        handle: ConnectionHandle,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<(), Fault> {
        let honest = self.talks.get(&handle).is_some_and(|talk| talk.honest);
        if honest {
            let detail = format!("an honest connection was moved from {from} to {to}");
            return Err((Rule::Harm, detail));
        }
        Ok(())
    }

    fn on_closed(
        &mut self,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
    ) -> Result<(), Fault> {
        let reason = endpoint
            .connection(handle)
            .and_then(|connection| connection.close_reason().cloned());
        endpoint.release(handle);
        let Some(talk) = self.talks.remove(&handle) else {
            return Ok(());
        };
        let unfinished = match talk.task {
            Some(place) => talk.honest && self.done[place].is_none(),
            // The client goes when it has all, before this side knows that it has.
            None => talk.honest && !talk.streams.values().all(Line::is_whole),
        };
        self.served += talk.streams.values().filter(|line| line.is_whole()).count() as u64;
        let fits = matches!(reason, Some(CloseReason::Peer { code: 0, .. }));
        if unfinished || (talk.honest && talk.task.is_none() && !fits) {
            let detail = format!("an honest connection ended: {reason:?}");
            return Err((Rule::Harm, detail));
        }
        Ok(())
    }

    /// Reads and writes what can be read and written on one stream.
    fn serve(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        id: StreamId,
    ) -> Result<(), Fault> {
        let (Some(talk), Some(connection)) =
            (self.talks.get_mut(&handle), endpoint.connection_mut(handle))
        else {
            return Ok(());
        };
        let Some(line) = talk.streams.get_mut(&id) else {
            return Ok(());
        };
        let is_served = talk.task.is_none();
        let mut over = false;
        if is_served {
            over |= line.read_head(connection, id, self.seed);
            // What was recorded and sent again from elsewhere says the same words.
            let from_partner = connection.remote_address() == self.partner;
            talk.honest |= line.expected.is_some() && from_partner;
        }
        let greed = if line.expected.is_some() || line.head.len() < HEAD {
            Greed::Eager
        } else {
            self.greed
        };
        if !is_served || line.head.len() == HEAD {
            over |= line.read(connection, id, greed)?;
            over |= line.say(connection, id);
        }
        if !over {
            return Ok(());
        }
        let whole = line.is_whole();
        talk.streams.remove(&id);
        connection.release_stream(id);
        if talk.honest && !whole {
            let detail = format!("a stream of an honest connection was cut off: {id:?}");
            return Err((Rule::Harm, detail));
        }
        self.served += u64::from(talk.honest && is_served);
        let all = talk.streams.is_empty() && talk.to_open == 0;
        if let Some(place) = talk.task
            && all
        {
            self.done[place] = Some(now);
            self.talks.remove(&handle);
            endpoint.release(handle);
        }
        Ok(())
    }
}

impl Line {
    /// The request. True if the stream is over before it is whole.
    fn read_head(&mut self, connection: &mut Connection, id: StreamId, seed: u64) -> bool {
        while self.head.len() < HEAD {
            match connection.read(id, HEAD - self.head.len()) {
                Ok(Some(bytes)) => self.head.extend_from_slice(&bytes),
                Err(ReadError::Blocked) => return false,
                Ok(None) | Err(_) => return true,
            }
            if self.head.len() == HEAD {
                self.understand(seed);
            }
        }
        false
    }

    fn understand(&mut self, seed: u64) {
        let mut words = self.head.chunks_exact(8).map(|word| {
            let word: [u8; 8] = word.try_into().unwrap_or_default();
            u64::from_be_bytes(word)
        });
        let [magic, key, up, down] = std::array::from_fn(|_| words.next().unwrap_or(0));
        let honest = magic == honest_magic(seed);
        self.expected = honest.then(|| (Pattern::new(seed, key as usize, false), up));
        let down = if honest {
            down
        } else {
            down % MOST_FOR_STRANGERS
        };
        self.to_say = Some((Vec::new(), Pattern::new(seed, key as usize, true), down));
    }

    /// True if nothing more can be said or heard.
    fn read(
        &mut self,
        connection: &mut Connection,
        id: StreamId,
        greed: Greed,
    ) -> Result<bool, Fault> {
        match greed {
            Greed::Lazy => return Ok(false),
            Greed::Rude => {
                connection.reset(id, 9);
                return Ok(true);
            }
            Greed::Deaf => connection.stop(id, 8),
            Greed::Eager | Greed::Slow => {}
        }
        let size = if greed == Greed::Slow { 100 } else { 64 * 1024 };
        while !self.heard_end {
            match connection.read(id, size) {
                Ok(Some(bytes)) => self.hear(&bytes)?,
                Ok(None) => self.heard_end = true,
                Err(ReadError::Blocked) => break,
                Err(_) => return Ok(true),
            }
            if greed == Greed::Slow {
                break;
            }
        }
        Ok(self.finished && self.heard_end && self.is_acknowledged(connection, id))
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Some((pattern, most)) = self.expected {
            let wrong = pattern.first_wrong(self.read, bytes);
            let beyond = self.read + bytes.len() as u64 > most;
            if wrong.is_some() || beyond {
                let at = wrong.unwrap_or(most);
                return Err((Rule::Delivery, format!("a wrong byte at {at} of {most}")));
            }
        }
        self.read += bytes.len() as u64;
        Ok(())
    }

    fn say(&mut self, connection: &mut Connection, id: StreamId) -> bool {
        let Some((head, pattern, most)) = &self.to_say else {
            return false;
        };
        let whole = *most + head.len() as u64;
        while self.said < whole {
            let mut piece = match head
                .get(self.said as usize..)
                .filter(|rest| !rest.is_empty())
            {
                Some(rest) => rest.to_vec().into(),
                None => {
                    let from = self.said - head.len() as u64;
                    pattern.bytes(from, (most - from).min(PIECE) as usize)
                }
            };
            match connection.write(id, &mut piece) {
                Ok(written) => self.said += written as u64,
                Err(WriteError::Blocked) => return false,
                Err(_) => return true,
            }
        }
        if !self.finished {
            self.finished = true;
            return connection.finish(id).is_err();
        }
        self.heard_end && self.is_acknowledged(connection, id)
    }

    /// Whoever closes before all is acknowledged takes it back (V21).
    fn is_acknowledged(&self, connection: &Connection, id: StreamId) -> bool {
        connection.is_acknowledged(id)
    }

    /// All that was promised was heard and said.
    fn is_whole(&self) -> bool {
        let heard = self.expected.is_none_or(|(_, most)| self.read == most);
        heard && self.heard_end && self.finished
    }
}

/// A seed's application for strangers.
pub(super) fn draw_greed(random: &mut Random) -> Greed {
    Greed::ALL[random.below(Greed::ALL.len() as u64) as usize]
}

/// Bytes of a request: who asks, which, how much there and back.
const HEAD: usize = 32;
/// Bytes written at once.
const PIECE: u64 = 16 * 1024;
/// A stranger is given at most so many bytes on a stream.
const MOST_FOR_STRANGERS: u64 = 200_000;
