//! Two ends at one table: any model or our engine, over two links, in virtual time.
//!
//! The dialer opens one stream; both sides write what their [`Talk`] says and read what comes. What a side must read is known to the
//! last byte, so silence, loss and damage are told apart.

use bytes::Bytes;
use gapless_lab::peers::{self, Foreign, Kind, ReceiveOrder, foreign};
use gapless_link::{Link, Profile};
use gapless_udx::{
    ConnectionConfig, ConnectionHandle, Endpoint, EndpointConfig, Instant, ReadError, Received,
    StreamId, Version, VersionChoice, WriteError,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What one side does on the stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talk {
    /// Bytes to write. The dialer writes at once, the acceptor when it has the stream.
    pub(crate) writes: usize,
    /// Writes only after so many bytes came.
    pub(crate) after: usize,
    /// Calls the library's ping at these times.
    pub(crate) pings: Vec<Duration>,
}

/// What one side has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) written: usize,
    pub(crate) read: usize,
    /// Every byte was the one that its position demands.
    pub(crate) is_intact: bool,
    pub(crate) ended: bool,
    /// How the stream or the connection failed, if this side was told.
    pub(crate) error: Option<String>,
    /// When the last byte or end came.
    pub(crate) last_at: Option<Instant>,
}

pub(crate) enum End {
    Model {
        peer: Box<dyn Foreign>,
        connection: Option<peers::Connection>,
        stream: Option<peers::Stream>,
    },
    Ours {
        endpoint: Box<Endpoint>,
        connection: Option<ConnectionHandle>,
        stream: Option<StreamId>,
    },
}

/// Decides a datagram's fate before the link does: `None` loses it, a duration holds it back.
pub(crate) type Meddler<'a> = Box<dyn FnMut(Instant, usize, &[u8]) -> Option<Duration> + 'a>;

pub(crate) struct Table<'a> {
    pub(crate) now: Instant,
    pub(crate) ends: [End; 2],
    talks: [Talk; 2],
    pub(crate) seen: [Seen; 2],
    links: [Link; 2],
    held: Vec<(Instant, usize, Vec<u8>)>,
    meddler: Option<Meddler<'a>>,
    pinged: [usize; 2],
    finished: [bool; 2],
    pub(crate) datagrams: [u64; 2],
}

impl End {
    pub(crate) fn model(kind: Kind, seed: u64) -> Self {
        Self::Model {
            peer: foreign(kind, seed),
            connection: None,
            stream: None,
        }
    }

    /// Our engine, with the wire version that it dials.
    pub(crate) fn ours(seed: u8, version: VersionChoice) -> Self {
        Self::ours_with(
            seed,
            ConnectionConfig {
                version,
                ..ConnectionConfig::default()
            },
        )
    }

    pub(crate) fn ours_with(seed: u8, connection: ConnectionConfig) -> Self {
        let config = EndpointConfig {
            connection,
            accept_versions: vec![Version::V3, Version::V2],
            ..EndpointConfig::default()
        };
        Self::Ours {
            endpoint: Box::new(Endpoint::new(config, [seed; 32])),
            connection: None,
            stream: None,
        }
    }

    pub(crate) fn order(&self) -> Option<ReceiveOrder> {
        match self {
            Self::Model {
                peer, connection, ..
            } => connection.and_then(|connection| peer.receive_order(connection)),
            Self::Ours { .. } => None,
        }
    }

    fn dial(&mut self, now: Instant, to: SocketAddr) {
        match self {
            Self::Model {
                peer,
                connection,
                stream,
            } => {
                let dialed = peer.connect(now, to);
                *connection = Some(dialed);
                *stream = peer.open(now, dialed);
            }
            Self::Ours {
                endpoint,
                connection,
                stream,
            } => {
                let dialed = endpoint.connect(now, to).unwrap();
                *connection = Some(dialed);
                *stream = endpoint.connection_mut(dialed).unwrap().open().ok();
            }
        }
    }

    fn accept(&mut self) {
        match self {
            Self::Model {
                peer,
                connection,
                stream,
            } => {
                *connection = connection.or_else(|| peer.accept());
                if let Some(accepted) = *connection {
                    *stream = stream.or_else(|| peer.accept_stream(accepted));
                }
            }
            Self::Ours {
                endpoint,
                connection,
                stream,
            } => {
                *connection = connection.or_else(|| endpoint.accept());
                let accepted = connection.and_then(|handle| endpoint.connection_mut(handle));
                if let Some(accepted) = accepted {
                    *stream = stream.or_else(|| accepted.accept());
                }
            }
        }
    }

    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        match self {
            Self::Model { peer, .. } => peer.handle(now, from, datagram),
            Self::Ours { endpoint, .. } => endpoint.handle(
                now,
                Received {
                    from,
                    ecn: None,
                    segment_size: datagram.len(),
                    data: datagram,
                },
            ),
        }
    }

    fn transmit(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Self::Model { peer, .. } => {
                while let Some((_, datagram)) = peer.poll_transmit(now) {
                    out.push(datagram);
                }
            }
            Self::Ours { endpoint, .. } => {
                let mut buffer = vec![0; 65_536];
                while let Some(transmit) = endpoint.poll_transmit(now, &mut buffer) {
                    let train = buffer[..transmit.len].chunks(transmit.segment_size);
                    out.extend(train.map(<[u8]>::to_vec));
                }
            }
        }
        out
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Model { peer, .. } => peer.next_deadline(),
            Self::Ours { endpoint, .. } => endpoint.next_deadline(),
        }
    }

    fn on_time(&mut self, now: Instant) {
        match self {
            Self::Model { peer, .. } => peer.handle_timeout(now),
            Self::Ours { endpoint, .. } => endpoint.handle_timeout(now),
        }
    }

    fn ping(&mut self, now: Instant) {
        match self {
            Self::Model {
                peer,
                connection: Some(connection),
                ..
            } => peer.ping(now, *connection),
            Self::Ours {
                endpoint,
                connection: Some(connection),
                ..
            } => {
                if let Some(connection) = endpoint.connection_mut(*connection) {
                    connection.ping(now);
                }
            }
            _ => {}
        }
    }

    /// How many bytes were taken, or why none will be.
    fn write(&mut self, now: Instant, data: &[u8]) -> Result<usize, String> {
        match self {
            Self::Model {
                peer,
                connection: Some(connection),
                stream: Some(stream),
            } => Ok(peer.write(now, *connection, *stream, data)),
            Self::Ours {
                endpoint,
                connection: Some(connection),
                stream: Some(stream),
            } => {
                let Some(connection) = endpoint.connection_mut(*connection) else {
                    return Err("the connection is gone".into());
                };
                match connection.write(*stream, &mut Bytes::copy_from_slice(data)) {
                    Ok(taken) => Ok(taken),
                    Err(WriteError::Blocked) => Ok(0),
                    Err(error) => Err(format!("{error:?}: {:?}", connection.close_reason())),
                }
            }
            _ => Ok(0),
        }
    }

    fn finish(&mut self, now: Instant) {
        match self {
            Self::Model {
                peer,
                connection: Some(connection),
                stream: Some(stream),
            } => peer.finish(now, *connection, *stream),
            Self::Ours {
                endpoint,
                connection: Some(connection),
                stream: Some(stream),
            } => {
                if let Some(connection) = endpoint.connection_mut(*connection) {
                    let _ = connection.finish(*stream);
                }
            }
            _ => {}
        }
    }

    /// `None` where nothing is there; the end is empty.
    fn read(&mut self, now: Instant) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Model {
                peer,
                connection: Some(connection),
                stream: Some(stream),
            } => match peer.read(now, *connection, *stream, 1 << 20) {
                peers::Read::Data(data) => Ok(Some(data)),
                peers::Read::Pending => Ok(None),
                peers::Read::End => Ok(Some(Vec::new())),
                peers::Read::Reset(code) => Err(format!("reset {code}")),
                peers::Read::Closed => Err("closed".into()),
            },
            Self::Ours {
                endpoint,
                connection: Some(connection),
                stream: Some(stream),
            } => {
                let Some(connection) = endpoint.connection_mut(*connection) else {
                    return Err("the connection is gone".into());
                };
                match connection.read(*stream, 1 << 20) {
                    Ok(data) => Ok(Some(data.map_or(Vec::new(), |data| data.to_vec()))),
                    Err(ReadError::Blocked) => Ok(None),
                    Err(error) => Err(format!("{error:?}: {:?}", connection.close_reason())),
                }
            }
            // A connection that ended before its stream came is an answer, too.
            Self::Ours {
                endpoint,
                connection: Some(connection),
                ..
            } => match endpoint.connection(*connection) {
                Some(connection) if !connection.is_closed() => Ok(None),
                Some(connection) => Err(format!("{:?}", connection.close_reason())),
                None => Err("the connection is gone".into()),
            },
            _ => Ok(None),
        }
    }
}

impl<'a> Table<'a> {
    /// The dialer sits first. Both directions have the same profile.
    pub(crate) fn new(ends: [End; 2], talks: [Talk; 2], profile: &Profile) -> Self {
        let seen = Seen {
            is_intact: true,
            ..Seen::default()
        };
        let mut table = Self {
            now: Instant::ZERO,
            ends,
            talks,
            seen: [seen.clone(), seen],
            links: [Link::new(profile, 0), Link::new(profile, 1)],
            held: Vec::new(),
            meddler: None,
            pinged: [0; 2],
            finished: [false; 2],
            datagrams: [0; 2],
        };
        table.ends[0].dial(Instant::ZERO, address(1));
        table
    }

    pub(crate) fn meddle(
        mut self,
        meddler: impl FnMut(Instant, usize, &[u8]) -> Option<Duration> + 'a,
    ) -> Self {
        self.meddler = Some(Box::new(meddler));
        self
    }

    pub(crate) fn set_profile(&mut self, profile: &Profile) {
        for link in &mut self.links {
            link.set_profile(profile);
        }
    }

    /// Runs until both sides know how it ended, or for so long. True if they know.
    pub(crate) fn run(&mut self, at_most: Duration) -> bool {
        let end = self.now + at_most;
        loop {
            self.turn();
            if (0..2).all(|side| self.is_over(side)) {
                return true;
            }
            let Some(next) = self.next_time().filter(|next| *next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
        }
    }

    /// This side has all that the other wrote and its end, or an error.
    pub(crate) fn is_over(&self, side: usize) -> bool {
        let seen = &self.seen[side];
        let has_all = seen.ended && seen.read == self.talks[1 - side].writes && seen.is_intact;
        has_all || seen.error.is_some()
    }

    pub(crate) fn is_delivered(&self) -> bool {
        (0..2).all(|side| self.is_over(side) && self.seen[side].error.is_none())
    }

    fn next_time(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(Link::next_delivery);
        let ends = self.ends.iter().filter_map(End::deadline);
        let held = self.held.iter().map(|(at, ..)| *at);
        let pings = (0..2).filter_map(|side| {
            let next = self.talks[side].pings.get(self.pinged[side])?;
            Some(Instant::ZERO + *next)
        });
        let links = links.map(Instant::from_nanos);
        let next = links.chain(ends).chain(held).chain(pings).min()?;
        // What is due now was done: time goes on.
        Some(next.max(self.now + Duration::from_nanos(1)))
    }

    fn turn(&mut self) {
        let now = self.now;
        for side in 0..2 {
            if self.ends[side].deadline().is_some_and(|at| at <= now) {
                self.ends[side].on_time(now);
            }
            while let Some(arrived) = self.links[1 - side].poll(now.as_nanos()) {
                self.ends[side].handle(now, address(1 - side), &arrived.payload);
            }
            let ping = self.talks[side].pings.get(self.pinged[side]);
            if ping.is_some_and(|at| Instant::ZERO + *at <= now) {
                self.pinged[side] += 1;
                self.ends[side].ping(now);
            }
            self.act(side);
        }
        self.release_held();
        for side in 0..2 {
            for datagram in self.ends[side].transmit(now) {
                self.send(side, &datagram);
            }
            // R9: who has nothing to send waits for a time that is to come.
            if let End::Ours { endpoint, .. } = &self.ends[side] {
                let deadline = endpoint.next_deadline();
                assert!(deadline.is_none_or(|at| at > now), "{now:?}: {deadline:?}");
            }
        }
    }

    fn send(&mut self, side: usize, datagram: &[u8]) {
        self.datagrams[side] += 1;
        let fate = match &mut self.meddler {
            Some(meddler) => meddler(self.now, side, datagram),
            None => Some(Duration::ZERO),
        };
        match fate {
            None => {}
            Some(Duration::ZERO) => self.links[side].send(self.now.as_nanos(), datagram, ()),
            Some(held) => self.held.push((self.now + held, side, datagram.to_vec())),
        }
    }

    fn release_held(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.held = later;
        let due: Vec<(Instant, usize, Vec<u8>)> = due;
        for (_, side, datagram) in due {
            self.links[side].send(now.as_nanos(), &datagram, ());
        }
    }

    fn act(&mut self, side: usize) {
        let now = self.now;
        if side == 1 {
            self.ends[1].accept();
        }
        let (end, talk) = (&mut self.ends[side], &self.talks[side]);
        let seen = &mut self.seen[side];
        while seen.error.is_none() && !seen.ended {
            match end.read(now) {
                Ok(None) => break,
                Ok(Some(data)) if data.is_empty() => seen.ended = true,
                Ok(Some(data)) => {
                    let at = seen.read;
                    let expected = (at..at + data.len()).map(|at| byte(1 - side, at));
                    seen.is_intact &= expected.eq(data.iter().copied());
                    seen.read += data.len();
                }
                Err(error) => seen.error = Some(error),
            }
            seen.last_at = Some(now);
        }
        while seen.written < talk.writes && seen.read >= talk.after && seen.error.is_none() {
            let upto = talk.writes.min(seen.written + 10_000);
            let data: Vec<u8> = (seen.written..upto).map(|at| byte(side, at)).collect();
            match end.write(now, &data) {
                Ok(0) => break,
                Ok(taken) => seen.written += taken,
                Err(error) => seen.error = Some(error),
            }
        }
        if seen.written == talk.writes && seen.read >= talk.after && !self.finished[side] {
            let has_stream = match end {
                End::Model { stream, .. } => stream.is_some(),
                End::Ours { stream, .. } => stream.is_some(),
            };
            if has_stream {
                self.finished[side] = true;
                end.finish(now);
            }
        }
    }
}

/// The byte at a position of what a side writes.
fn byte(side: usize, at: usize) -> u8 {
    let value = 31 * at + at / 251 + 97 * side;
    value.to_le_bytes()[0]
}

/// Addresses set aside for documentation (RFC 5737).
pub(crate) fn address(side: usize) -> SocketAddr {
    let last = if side == 0 { 1 } else { 2 };
    (Ipv4Addr::new(192, 0, 2, last), 4001).into()
}
