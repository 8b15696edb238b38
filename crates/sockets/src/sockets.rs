//! The handle.

use crate::error::{ConnectError, Waits};
use crate::shared::Core;
use crate::stream::Stream;
use crate::waits::{Place, Ticket};
use crate::{Host, Listener};
use alloc::sync::Arc;
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::task::{Poll, Waker};
use gapless_tcp::{Arrival, Instant, ListenError, Stack, Transmit};

/// A TCP that threads and tasks share.
///
/// Its clones are the same one. The engine lives until the last of them is gone, with all streams and listeners.
#[derive(Debug)]
pub struct Sockets<H> {
    host: Arc<H>,
}

impl<H> Clone for Sockets<H> {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
        }
    }
}

/// For the application.
impl<H: Host> Sockets<H> {
    /// Dials; see [`Stack::connect`].
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(
        &self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Result<Stream<H>, ConnectError> {
        let stream = self.start_connect(local, remote)?;
        stream.connected().await?;
        Ok(stream)
    }

    /// Dials and does not wait: [`Stream::poll_connected`] tells what became of it, and what is written meanwhile goes when there is a connection.
    ///
    /// # Errors
    /// [`ConnectError`], but not [`Failed`](ConnectError::Failed).
    pub fn start_connect(
        &self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Result<Stream<H>, ConnectError> {
        let now = self.host.now();
        let (id, tuple) = self.with(|core| {
            if core.is_down() {
                return Err(ConnectError::Down);
            }
            let id = core.stack.connect(now, local, remote)?;
            let tuple = core.stack.tuple(id).ok_or(ConnectError::Down)?;
            Ok((id, tuple))
        })?;
        Ok(Stream::new(self.clone(), id, tuple))
    }

    /// Waits for connections; see [`Stack::listen`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn listen(
        &self,
        address: Option<IpAddr>,
        port: Option<u16>,
        backlog: usize,
    ) -> Result<Listener<H>, ListenError> {
        self.listen_as(address, port, backlog, false)
    }

    /// As [`listen`](Self::listen), for proxies: a SYN is answered only once it was decided upon, by [`Offered`](crate::Offered).
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn listen_holding(
        &self,
        address: Option<IpAddr>,
        port: Option<u16>,
        backlog: usize,
    ) -> Result<Listener<H>, ListenError> {
        self.listen_as(address, port, backlog, true)
    }

    fn listen_as(
        &self,
        address: Option<IpAddr>,
        port: Option<u16>,
        backlog: usize,
        holds: bool,
    ) -> Result<Listener<H>, ListenError> {
        let id = self.with(|core| core.stack.listen(address, port, backlog, holds))?;
        Ok(Listener::new(self.clone(), id))
    }
}

/// For who moves packets: any number of callers at once.
impl<H: Host> Sockets<H> {
    /// Around what is behind the host's lock.
    pub fn new(host: H) -> Self {
        Self {
            host: Arc::new(host),
        }
    }

    /// What was supplied.
    #[must_use]
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Takes packets from the device, under one lock; see [`Stack::handle_batch`].
    pub fn handle<'a, P: Into<Arrival<'a>>>(&self, packets: impl IntoIterator<Item = P>) {
        let now = self.host.now();
        let arrivals = packets.into_iter().map(Into::into);
        self.with(|core| core.stack.handle_batch(now, arrivals));
    }

    /// The next packet for the device; see [`Stack::poll_transmit`].
    #[must_use]
    pub fn poll_transmit(&self, buffer: &mut [u8]) -> Option<usize> {
        let now = self.host.now();
        self.with(|core| core.stack.poll_transmit(now, buffer))
    }

    /// The next packet for a device that cuts large ones up; see [`Stack::poll_train`].
    #[must_use]
    pub fn poll_train(&self, buffer: &mut [u8]) -> Option<Transmit> {
        let now = self.host.now();
        self.with(|core| core.stack.poll_train(now, buffer))
    }

    /// Does what is due. When there is something again, unless one of the other calls changes that.
    pub fn on_timeout(&self) -> Option<Instant> {
        let now = self.host.now();
        self.with(|core| {
            core.stack.on_timeout(now);
            core.stack.next_deadline()
        })
    }

    /// Looks whether it is time to sleep, and if so sees to it that the task is woken when there is something to send. For one caller: a later one
    /// takes his place, and anybody else is to look from time to time.
    #[must_use]
    pub fn poll_sleep(&self, waker: &Waker) -> Sleep {
        let (answer, _dropped_unlocked) = self.host.with(|core| {
            if core.stack.may_transmit() {
                return (Sleep::NotYet, None);
            }
            let before = core.sleep(waker.clone());
            (Sleep::Until(core.stack.next_deadline()), before)
        });
        answer
    }

    /// Wakes who sleeps, although there is nothing to send.
    pub fn rouse(&self) {
        if let Some(driver) = self.host.with(Core::take_sleeper) {
            driver.wake();
        }
    }

    /// Says that nobody will move packets any more. Whoever waits, or comes to wait, is told so.
    pub fn take_down(&self) {
        self.with(Core::take_down);
    }

    /// The engine itself: addresses, counts, settings. What is done to connections here, wakes who waits for them.
    pub fn with_stack<R>(&self, f: impl FnOnce(&mut Stack) -> R) -> R {
        self.with(|core| f(&mut core.stack))
    }
}

/// What who moves packets may do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sleep {
    /// There may be something to send.
    NotYet,
    /// Until then [`on_timeout`](Sockets::on_timeout) has nothing to do; `None`: for ever.
    Until(Option<Instant>),
}

/// For streams and listeners.
impl<H: Host> Sockets<H> {
    pub(crate) fn now(&self) -> Instant {
        self.host.now()
    }

    /// Does something, and wakes whom it concerns.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        let (result, mut waker) = self.host.with(|core| (f(core), core.next_wake()));
        while let Some(due) = waker {
            // Without the lock: it may run anything.
            due.wake();
            waker = self.host.with(Core::next_wake);
        }
        result
    }

    /// Tries, and sees to it that the task is woken when another try is due.
    pub(crate) fn poll<R, E: Waits>(
        &self,
        place: Place,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        attempt: impl FnOnce(&mut Core) -> Result<R, E>,
    ) -> Poll<Result<R, E>> {
        let (answer, _dropped_unlocked) = self.with(|core| match attempt(core) {
            Err(error) if error.is_wait() => {
                if core.is_down() {
                    return (Poll::Ready(Err(E::DOWN)), None);
                }
                let ticket = *ticket.get_or_insert_with(|| core.ticket());
                match core.wait(place, ticket, waker) {
                    Ok(before) => (Poll::Pending, before),
                    Err(error) => (Poll::Ready(Err(error.into())), None),
                }
            }
            done => (Poll::Ready(done), None),
        });
        answer
    }

    /// Waits as an own caller, beside any number of others.
    pub(crate) async fn wait<R, E: Waits>(
        &self,
        place: Place,
        mut attempt: impl FnMut(&mut Core) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut waiting = Waiting {
            sockets: self,
            place,
            ticket: None,
        };
        poll_fn(|cx| self.poll(place, &mut waiting.ticket, cx.waker(), &mut attempt)).await
    }
}

/// Leaves its place when it is dropped: whoever lost patience is not woken for it later.
struct Waiting<'a, H: Host> {
    sockets: &'a Sockets<H>,
    place: Place,
    ticket: Option<Ticket>,
}

impl<H: Host> Drop for Waiting<'_, H> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let _dropped_unlocked = self
                .sockets
                .host
                .with(|core| core.leave(self.place, ticket));
        }
    }
}
