//! A model of a foreign peer as the carrier: the lab's engine on a real socket and a real clock.

use crate::app::{self, Failure};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use gapless_lab::peers::{self, Foreign, Read};
use gapless_udx::Instant;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// Datagrams handled before the application has its turn. A program has threads for that; and Go loses streams when more than 16 wait
/// for the application (UDX 7.3).
const BATCH: usize = 4;

/// What tokio's timers count in.
const TIMER: Duration = Duration::from_millis(1);

/// No datagram of any peer is larger; of UDP's own 65,507 none would be read.
const LARGEST: usize = 64 << 10;

/// One socket with a model behind it.
#[derive(Clone)]
pub(crate) struct Socket(Rc<Inner>);

struct Inner {
    model: RefCell<Box<dyn Foreign + Send>>,
    io: UdpSocket,
    began: std::time::Instant,
    /// Something came from the network or was due: who waits may look again.
    changed: Notify,
    /// The application did something: there may be datagrams to send.
    acted: Notify,
}

impl Socket {
    pub(crate) fn new(model: Box<dyn Foreign + Send>, io: std::net::UdpSocket) -> Result<Self> {
        io.set_nonblocking(true)?;
        Ok(Self(Rc::new(Inner {
            model: RefCell::new(model),
            io: UdpSocket::from_std(io)?,
            began: std::time::Instant::now(),
            changed: Notify::new(),
            acted: Notify::new(),
        })))
    }

    /// Carries datagrams and time to the model; never ends by itself.
    pub(crate) async fn drive(&self) -> Result<()> {
        let inner = &self.0;
        let mut buffer = vec![0; LARGEST];
        loop {
            let acted = inner.acted.notified();
            inner.model.borrow_mut().handle_timeout(self.now());
            inner.changed.notify_waiters();
            self.send_all().await?;
            let deadline = inner.model.borrow().next_deadline();
            let pause = deadline.map(|at| at.saturating_duration_since(self.now()));
            tokio::select! {
                () = acted => {}
                ready = inner.io.readable() => {
                    ready?;
                    self.receive_some(&mut buffer);
                    inner.changed.notify_waiters();
                    tokio::task::yield_now().await;
                }
                () = sleep(pause) => {}
            }
        }
    }

    fn receive_some(&self, buffer: &mut [u8]) {
        let mut model = self.0.model.borrow_mut();
        for _ in 0..BATCH {
            // An error here is one that an earlier datagram met: nobody listens there (any more).
            let Ok((size, from)) = self.0.io.try_recv_from(buffer) else {
                return;
            };
            if let Some(datagram) = buffer.get(..size) {
                model.handle(self.now(), from, datagram);
            }
        }
    }

    async fn send_all(&self) -> Result<()> {
        loop {
            let next = self.0.model.borrow_mut().poll_transmit(self.now());
            let Some((to, datagram)) = next else {
                return Ok(());
            };
            // As above: not this datagram's fault, and the model's own timers repeat it.
            let _ = self.0.io.send_to(&datagram, to).await;
        }
    }

    fn now(&self) -> Instant {
        let nanos = self.0.began.elapsed().as_nanos();
        // Nothing starts at zero: models may take that for "never".
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// Tries again after each change until there is a result. An attempt without one has changed nothing, and must not call `drive`, which
    /// would call everybody who waits again: two tasks that wake each other all the time are a program that has no time left on a busy machine.
    async fn when<R>(&self, mut attempt: impl FnMut(&mut dyn Foreign, Instant) -> Option<R>) -> R {
        loop {
            let changed = self.0.changed.notified();
            let result = attempt(self.0.model.borrow_mut().as_mut(), self.now());
            if let Some(result) = result {
                // Reading makes room in a window, writing makes packets: both may have something to send.
                self.0.acted.notify_one();
                return result;
            }
            changed.await;
        }
    }

    /// Dials; for a model, too, the connection is there at once.
    pub(crate) fn connect(&self, to: SocketAddr) -> Connection {
        let id = self.0.model.borrow_mut().connect(self.now(), to);
        self.0.acted.notify_one();
        Connection {
            socket: self.clone(),
            id,
        }
    }

    pub(crate) async fn accept(&self) -> Connection {
        let id = self.when(|model, _| model.accept()).await;
        Connection {
            socket: self.clone(),
            id,
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        // A pacer waits for fractions of that between two packets, and would be slowed down to one packet each.
        Some(pause) if pause < TIMER => tokio::task::yield_now().await,
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// A connection of a model.
#[derive(Clone)]
pub(crate) struct Connection {
    socket: Socket,
    id: peers::Connection,
}

impl Connection {
    /// Ends the connection, if the model knows how to.
    pub(crate) fn close(&self) {
        let now = self.socket.now();
        self.socket.0.model.borrow_mut().close(now, self.id, 0);
        self.socket.0.acted.notify_one();
    }
}

impl app::Connection for Connection {
    type Stream = Stream;

    async fn open(&self) -> Result<Stream> {
        let now = self.socket.now();
        let opened = self.socket.0.model.borrow_mut().open(now, self.id);
        self.socket.0.acted.notify_one();
        let id = opened.context("the model opens no more streams")?;
        Ok(Stream {
            connection: self.clone(),
            id,
        })
    }

    async fn accept(&self) -> Result<Stream> {
        let accepted = self
            .socket
            .when(|model, _| match model.accept_stream(self.id) {
                Some(id) => Some(Some(id)),
                None if model.is_closed(self.id) => Some(None),
                None => None,
            });
        match accepted.await {
            Some(id) => Ok(Stream {
                connection: self.clone(),
                id,
            }),
            None => bail!("the connection ended"),
        }
    }

    async fn ping(&self) -> Result<()> {
        let now = self.socket.now();
        self.socket.0.model.borrow_mut().ping(now, self.id);
        self.socket.0.acted.notify_one();
        Ok(())
    }
}

pub(crate) struct Stream {
    connection: Connection,
    id: peers::Stream,
}

impl app::Stream for Stream {
    async fn write(&mut self, mut data: Bytes) -> Result<(), Failure> {
        let (socket, connection, stream) = self.parts();
        while !data.is_empty() {
            let taken = socket.when(|model, now| {
                match model.write(now, connection, stream, &data) {
                    0 if model.is_closed(connection) => Some(Err(closed())),
                    // A reset shows on reading only.
                    0 => match model.read(now, connection, stream, 0) {
                        Read::Reset(code) => Some(Err(Failure::Reset(code))),
                        Read::Closed => Some(Err(closed())),
                        Read::Data(_) | Read::Pending | Read::End => None,
                    },
                    taken => Some(Ok(taken)),
                }
            });
            let _ = data.split_to(taken.await?);
        }
        Ok(())
    }

    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, Failure> {
        let (socket, connection, stream) = self.parts();
        let read = socket.when(
            |model, now| match model.read(now, connection, stream, max) {
                Read::Pending => None,
                Read::Data(data) => Some(Ok(Some(Bytes::from(data)))),
                Read::End => Some(Ok(None)),
                Read::Reset(code) => Some(Err(Failure::Reset(code))),
                Read::Closed => Some(Err(closed())),
            },
        );
        read.await
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        let (socket, connection, stream) = self.parts();
        let mut model = socket.0.model.borrow_mut();
        model.finish(socket.now(), connection, stream);
        socket.0.acted.notify_one();
        Ok(())
    }

    async fn reset(&mut self, code: u32) {
        let (socket, connection, stream) = self.parts();
        let mut model = socket.0.model.borrow_mut();
        model.reset(socket.now(), connection, stream, code);
        socket.0.acted.notify_one();
    }
}

impl Stream {
    fn parts(&self) -> (&Socket, peers::Connection, peers::Stream) {
        (&self.connection.socket, self.connection.id, self.id)
    }
}

fn closed() -> Failure {
    Failure::Other("the connection ended".to_owned())
}
