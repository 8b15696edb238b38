//! The streams of one connection as this layer sees them: who waits for them, and how far each end is.

use super::wakes::Wakes;
use gapless_udx::{Connection, StreamId};
use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::Notify;

/// What a dropped receiving half throws away per read.
const DISCARD: usize = 1 << 20;

/// Code of a STOP_SENDING or RESET_STREAM that nobody chose (UDX 15: none).
const NO_CODE: u32 = 0;

#[derive(Default)]
pub(crate) struct Streams {
    streams: HashMap<StreamId, Stream>,
    any_ever: bool,
}

pub(crate) struct Stream {
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    /// Tasks that wait for the fate of what was written. Most streams never have one.
    pub(crate) changed: Option<Arc<Notify>>,
    pub(crate) send: Sending,
    receive: Receiving,
    send_held: bool,
}

/// How far the sending half is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sending {
    Open,
    Finished,
    /// The peer has everything, the end included.
    Acknowledged,
    /// Given up by this side.
    Reset,
    /// Given up by the peer.
    Stopped(u32),
}

/// How far the receiving half is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Receiving {
    /// The application reads.
    Held,
    /// The application dropped its half: what comes is thrown away.
    Discarding,
    /// Nothing more will come.
    Ended,
}

impl Stream {
    fn settled(&self) -> bool {
        !matches!(self.send, Sending::Open | Sending::Finished)
    }

    /// What a task can wait on for a change of the sending half.
    pub(crate) fn changed(&mut self) -> Arc<Notify> {
        self.changed.get_or_insert_default().clone()
    }
}

impl Streams {
    pub(crate) fn insert(&mut self, id: StreamId) {
        self.any_ever = true;
        self.streams.insert(
            id,
            Stream {
                reader: None,
                writer: None,
                changed: None,
                send: Sending::Open,
                receive: Receiving::Held,
                send_held: true,
            },
        );
    }

    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(&id)
    }

    /// The same streams under other names.
    pub(super) fn renamed(self, names: &HashMap<StreamId, StreamId>) -> Self {
        let renamed = |(id, stream)| (names.get(&id).copied().unwrap_or(id), stream);
        Self {
            streams: self.streams.into_iter().map(renamed).collect(),
            any_ever: self.any_ever,
        }
    }

    /// Whether this side has said all on the stream.
    pub(super) fn is_finished(&self, id: StreamId) -> bool {
        let stream = self.streams.get(&id);
        stream.is_some_and(|stream| stream.send == Sending::Finished)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    pub(crate) fn any_ever(&self) -> bool {
        self.any_ever
    }

    /// Whether the peer has everything that was written.
    pub(crate) fn all_arrived(&self) -> bool {
        self.streams.values().all(Stream::settled)
    }

    /// Whether the peer has ended all that it writes.
    pub(crate) fn all_ended(&self) -> bool {
        self.streams
            .values()
            .all(|stream| stream.receive == Receiving::Ended)
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        for stream in self.streams.values_mut() {
            wakes.task(stream.reader.take());
            wakes.task(stream.writer.take());
            wakes.stream(stream.changed.as_ref());
        }
    }

    pub(crate) fn on_readable(
        &mut self,
        id: StreamId,
        connection: &mut Connection,
        wakes: &mut Wakes,
    ) {
        if let Some(stream) = self.streams.get_mut(&id) {
            wakes.task(stream.reader.take());
            discard(id, stream, connection);
        }
    }

    pub(crate) fn on_writable(&mut self, id: StreamId, wakes: &mut Wakes) {
        if let Some(stream) = self.streams.get_mut(&id) {
            wakes.task(stream.writer.take());
        }
    }

    pub(crate) fn on_acknowledged(&mut self, id: StreamId, wakes: &mut Wakes) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.send = Sending::Acknowledged;
            wakes.stream(stream.changed.as_ref());
        }
    }

    /// UDX 8.4: a reset ends both directions, and so does the answer to STOP_SENDING.
    pub(crate) fn on_reset(&mut self, id: StreamId, code: u32, wakes: &mut Wakes) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if !stream.settled() {
            stream.send = Sending::Stopped(code);
        }
        if stream.receive == Receiving::Discarding {
            stream.receive = Receiving::Ended;
        }
        wakes.task(stream.reader.take());
        wakes.task(stream.writer.take());
        wakes.stream(stream.changed.as_ref());
    }

    /// The application dropped its sending half: that is an end of the stream, unless it said otherwise before.
    pub(crate) fn drop_sending(&mut self, id: StreamId, connection: Option<&mut Connection>) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.send_held = false;
        stream.writer = None;
        if stream.send == Sending::Open
            && let Some(connection) = connection
        {
            stream.send = match connection.finish(id) {
                Ok(()) => Sending::Finished,
                Err(_) => Sending::Reset,
            };
        }
    }

    /// The application dropped its receiving half.
    pub(crate) fn drop_receiving(
        &mut self,
        id: StreamId,
        ended: bool,
        connection: Option<&mut Connection>,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.reader = None;
        stream.receive = match (ended, connection) {
            (false, Some(connection)) => {
                stream.receive = Receiving::Discarding;
                discard(id, stream, connection);
                stream.receive
            }
            _ => Receiving::Ended,
        };
    }

    /// Whether the stream was forgotten because nothing can happen to it any more.
    pub(crate) fn forget_if_done(&mut self, id: StreamId, connection_over: bool) -> bool {
        let done = self.streams.get(&id).is_some_and(|stream| {
            let unheld = !stream.send_held && stream.receive != Receiving::Held;
            let through = stream.settled() && stream.receive == Receiving::Ended;
            unheld && (through || connection_over)
        });
        if done {
            self.streams.remove(&id);
        }
        done
    }
}

/// Throws away what came for a receiving half that the application dropped.
fn discard(id: StreamId, stream: &mut Stream, connection: &mut Connection) {
    if stream.receive != Receiving::Discarding {
        return;
    }
    let mut came = false;
    loop {
        match connection.read(id, DISCARD) {
            Ok(Some(_)) => came = true,
            Err(gapless_udx::ReadError::Blocked) => break,
            Ok(None) | Err(_) => {
                stream.receive = Receiving::Ended;
                return;
            }
        }
    }
    // UDX 8.4: the answer to STOP_SENDING is a reset, which would take back what this side wrote. So the peer is told to stop only
    // when the whole stream was dropped, all that was written has arrived, and the peer still sends.
    if came && !stream.send_held && stream.settled() {
        connection.stop(id, NO_CODE);
        stream.receive = Receiving::Ended;
    }
}
