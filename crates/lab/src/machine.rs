//! What runs at one end: our engine, or a model of another one. The application above calls both in the same way.

use crate::app::Streams;
use crate::peers::{self, Foreign, Kind, Read, foreign};
use crate::plan::Time;
use bytes::Bytes;
use gapless_udx::{
    CloseReason, Connection, ConnectionHandle, Endpoint, EndpointConfig, Event, Instant, OpenError,
    ReadError, Received, StreamId, WriteError,
};
use std::net::SocketAddr;

/// One end's engine, with its one connection.
pub(crate) enum Machine {
    Ours(Ours),
    Model(Model),
}

/// Our engine.
pub(crate) struct Ours {
    pub(crate) endpoint: Box<Endpoint>,
    handle: Option<ConnectionHandle>,
    clock: Clock,
}

/// What our engine is told of the time.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    /// Steps in which it goes on; 0: evenly.
    pub(crate) tick: Time,
}

impl Clock {
    pub(crate) fn at(self, now: Time) -> Instant {
        let since = now.checked_rem(self.tick).unwrap_or(0);
        Instant::from_nanos(now - since)
    }

    /// When it will show that time.
    pub(crate) fn shows(self, time: Instant) -> Instant {
        let time = time.as_nanos();
        match self.tick {
            0 => Instant::from_nanos(time),
            tick => Instant::from_nanos(time.div_ceil(tick).saturating_mul(tick)),
        }
    }
}

/// A foreign one. It gives no events: who wants to know something has to ask.
pub(crate) struct Model {
    pub(crate) kind: Kind,
    peer: Box<dyn Foreign + Send>,
    connection: Option<peers::Connection>,
    /// Who ended the connection, if it is over.
    closed_here: bool,
}

/// Names a stream of either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum StreamKey {
    Ours(StreamId),
    Model(peers::Stream),
}

impl Machine {
    pub(crate) fn new(
        config: EndpointConfig,
        seed: [u8; 32],
        kind: Option<Kind>,
        tick: Time,
    ) -> Self {
        match kind {
            None => Self::Ours(Ours {
                endpoint: Box::new(Endpoint::new(config, seed)),
                handle: None,
                clock: Clock { tick },
            }),
            Some(kind) => Self::Model(Model {
                kind,
                peer: foreign(kind, u64::from_be_bytes(first(seed))),
                connection: None,
                closed_here: false,
            }),
        }
    }

    /// All that our engine keeps for a while is kept for long enough.
    pub(crate) fn outlive(&mut self, at: Time) {
        if let Self::Ours(ours) = self {
            ours.endpoint.handle_timeout(Instant::from_nanos(at));
        }
    }

    /// Our engine, if it is ours.
    pub(crate) fn ours(&self) -> Option<&Endpoint> {
        match self {
            Self::Ours(ours) => Some(&ours.endpoint),
            Self::Model(_) => None,
        }
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Ours(_) => None,
            Self::Model(model) => Some(model.kind),
        }
    }

    pub(crate) fn has_connection(&self) -> bool {
        match self {
            Self::Ours(ours) => ours.handle.is_some(),
            Self::Model(model) => model.connection.is_some(),
        }
    }

    /// Our engine's connection.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        let Self::Ours(ours) = self else {
            return None;
        };
        ours.endpoint.connection(ours.handle?)
    }

    /// What the engine is told of this time.
    pub(crate) fn at(&self, now: Time) -> Instant {
        match self {
            Self::Ours(ours) => ours.clock.at(now),
            Self::Model(_) => Instant::from_nanos(now),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::Ours(ours) => {
                let deadline = ours.endpoint.next_deadline()?;
                Some(ours.clock.shows(deadline))
            }
            Self::Model(model) => model.peer.next_deadline(),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Ours(ours) => ours.endpoint.is_idle(),
            Self::Model(_) => true,
        }
    }

    /// What a model knows of its connection's end.
    pub(crate) fn model_closed(&self) -> Option<CloseReason> {
        let Self::Model(model) = self else {
            return None;
        };
        if !model.peer.is_closed(model.connection?) {
            return None;
        }
        Some(if model.closed_here {
            CloseReason::Local { code: 0 }
        } else {
            CloseReason::Peer {
                code: 0,
                reason: Vec::new(),
            }
        })
    }

    pub(crate) fn receive(&mut self, now: Time, received: Received<'_>) {
        let now = self.at(now);
        match self {
            Self::Ours(ours) => ours.endpoint.handle(now, received),
            Self::Model(model) => {
                for datagram in received.data.chunks(received.segment_size.max(1)) {
                    model.peer.handle(now, received.from, datagram);
                }
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        let now = self.at(now);
        match self {
            Self::Ours(ours) => ours.endpoint.handle_timeout(now),
            Self::Model(model) => model.peer.handle_timeout(now),
        }
    }

    pub(crate) fn dial(&mut self, now: Time, remote: SocketAddr) -> Result<(), String> {
        let now = self.at(now);
        match self {
            Self::Ours(ours) => {
                let dialed = ours.endpoint.connect(now, remote);
                let handle = dialed.map_err(|error| format!("the dial was refused: {error}"))?;
                ours.handle = Some(handle);
            }
            Self::Model(model) => model.connection = Some(model.peer.connect(now, remote)),
        }
        Ok(())
    }

    /// The next event of our engine, and whether it is that of the run's connection.
    pub(crate) fn poll_event(&mut self) -> Option<(bool, Event)> {
        let Self::Ours(ours) = self else {
            return None;
        };
        let (handle, event) = ours.endpoint.poll_event()?;
        Some((ours.handle == Some(handle), event))
    }

    /// Takes a connection that came; true if there was one. The first is the run's.
    pub(crate) fn accept(&mut self) -> bool {
        match self {
            Self::Ours(ours) => {
                let accepted = ours.endpoint.accept();
                ours.handle = ours.handle.or(accepted);
                accepted.is_some()
            }
            Self::Model(model) => {
                let accepted = model.peer.accept();
                model.connection = model.connection.or(accepted);
                accepted.is_some()
            }
        }
    }

    pub(crate) fn open(&mut self, now: Time) -> Result<StreamKey, OpenError> {
        match self {
            Self::Ours(ours) => {
                let connection = ours.call().ok_or(OpenError::Closed)?;
                connection.open().map(StreamKey::Ours)
            }
            Self::Model(model) => {
                let connection = model.connection.ok_or(OpenError::Closed)?;
                let opened = model.peer.open(Instant::from_nanos(now), connection);
                opened.map(StreamKey::Model).ok_or(OpenError::Limit)
            }
        }
    }

    pub(crate) fn accept_stream(&mut self) -> Option<StreamKey> {
        match self {
            Self::Ours(ours) => ours.call()?.accept().map(StreamKey::Ours),
            Self::Model(model) => model
                .peer
                .accept_stream(model.connection?)
                .map(StreamKey::Model),
        }
    }

    pub(crate) fn close(&mut self, now: Time, code: u32) {
        let now = self.at(now);
        match self {
            Self::Ours(ours) => {
                if let Some(connection) = ours.call() {
                    connection.close(now, code, b"the run ends");
                }
            }
            Self::Model(model) => {
                if let Some(connection) = model.connection {
                    model.closed_here = true;
                    model.peer.close(now, connection, code);
                }
            }
        }
    }

    /// Lets our engine forget a connection that is over.
    pub(crate) fn forget(&mut self) {
        if let Self::Ours(Ours {
            endpoint,
            handle: Some(handle),
            ..
        }) = self
        {
            endpoint.release(*handle);
        }
    }
}

impl Streams for Machine {
    type Key = StreamKey;

    fn read(
        &mut self,
        now: Time,
        stream: StreamKey,
        max: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        match (self, stream) {
            (Self::Ours(ours), StreamKey::Ours(id)) => {
                ours.call().ok_or(ReadError::Closed)?.read(id, max)
            }
            (Self::Model(model), StreamKey::Model(stream)) => match model.read(now, stream, max) {
                Read::Data(bytes) => Ok(Some(bytes.into())),
                Read::End => Ok(None),
                Read::Pending => Err(ReadError::Blocked),
                Read::Reset(code) => Err(ReadError::Reset(code)),
                Read::Closed => Err(ReadError::Closed),
            },
            _ => Err(ReadError::Unknown),
        }
    }

    fn write(
        &mut self,
        now: Time,
        stream: StreamKey,
        data: &mut Bytes,
    ) -> Result<usize, WriteError> {
        match (self, stream) {
            (Self::Ours(ours), StreamKey::Ours(id)) => {
                ours.call().ok_or(WriteError::Closed)?.write(id, data)
            }
            (Self::Model(model), StreamKey::Model(stream)) => model.write(now, stream, data),
            _ => Err(WriteError::Unknown),
        }
    }

    fn finish(&mut self, now: Time, stream: StreamKey) -> Result<(), WriteError> {
        match (self, stream) {
            (Self::Ours(ours), StreamKey::Ours(id)) => {
                ours.call().ok_or(WriteError::Closed)?.finish(id)
            }
            (Self::Model(model), StreamKey::Model(stream)) => {
                let connection = model.connection.ok_or(WriteError::Closed)?;
                model
                    .peer
                    .finish(Instant::from_nanos(now), connection, stream);
                Ok(())
            }
            _ => Err(WriteError::Unknown),
        }
    }

    fn reset(&mut self, now: Time, stream: StreamKey, code: u32) {
        match (self, stream) {
            (Self::Ours(ours), StreamKey::Ours(id)) => {
                if let Some(connection) = ours.call() {
                    connection.reset(id, code);
                }
            }
            (Self::Model(model), StreamKey::Model(stream)) => model.reset(now, stream, code),
            _ => {}
        }
    }

    /// A model has no call that stops one direction: it resets the stream.
    fn stop(&mut self, now: Time, stream: StreamKey, code: u32) {
        match (self, stream) {
            (Self::Ours(ours), StreamKey::Ours(id)) => {
                if let Some(connection) = ours.call() {
                    connection.stop(id, code);
                }
            }
            (Self::Model(model), StreamKey::Model(stream)) => model.reset(now, stream, code),
            _ => {}
        }
    }

    fn release(&mut self, _now: Time, stream: StreamKey) {
        if let (Self::Ours(ours), StreamKey::Ours(id)) = (self, stream)
            && let Some(connection) = ours.call()
        {
            connection.release_stream(id);
        }
    }

    /// A model's application is never told of the acknowledgement.
    fn tells_acknowledgement(&self, _stream: StreamKey) -> bool {
        self.kind().is_none()
    }
}

impl Ours {
    fn call(&mut self) -> Option<&mut Connection> {
        self.endpoint.connection_mut(self.handle?)
    }
}

impl Model {
    pub(crate) fn poll_transmit(&mut self, now: Time) -> Option<(SocketAddr, Vec<u8>)> {
        self.peer.poll_transmit(Instant::from_nanos(now))
    }

    fn read(&mut self, now: Time, stream: peers::Stream, max: usize) -> Read {
        match self.connection {
            Some(connection) => {
                let now = Instant::from_nanos(now);
                self.peer.read(now, connection, stream, max)
            }
            None => Read::Closed,
        }
    }

    fn write(
        &mut self,
        now: Time,
        stream: peers::Stream,
        data: &mut Bytes,
    ) -> Result<usize, WriteError> {
        let connection = self.connection.ok_or(WriteError::Closed)?;
        let now = Instant::from_nanos(now);
        match self.peer.write(now, connection, stream, data) {
            0 => match self.peer.read(now, connection, stream, 0) {
                Read::Reset(code) => Err(WriteError::Reset(code)),
                Read::Closed => Err(WriteError::Closed),
                _ => Err(WriteError::Blocked),
            },
            taken => Ok(data.split_to(taken).len()),
        }
    }

    fn reset(&mut self, now: Time, stream: peers::Stream, code: u32) {
        if let Some(connection) = self.connection {
            self.peer
                .reset(Instant::from_nanos(now), connection, stream, code);
        }
    }
}

fn first(seed: [u8; 32]) -> [u8; 8] {
    seed.first_chunk().copied().unwrap_or_default()
}
