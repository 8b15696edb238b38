//! What is behind the lock.

use crate::waits::{OutOfMemory, Place, Side, Ticket, Waits};
use core::fmt;
use core::task::Waker;
use gapless_tcp::{Connection, Id, ListenerId, Stack};

/// An engine and who waits for it: what a [`Host`](crate::Host) has to keep behind its lock.
pub struct Core {
    pub(crate) stack: Stack,
    waits: Waits,
    /// Who moves packets, while it sleeps.
    driver: Option<Waker>,
    /// Whose waiters are being woken.
    waking: Option<Waking>,
    next_ticket: u64,
    /// Nobody moves packets any more.
    is_down: bool,
}

/// Short: streams and listeners are printed with it.
impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("connections", &self.stack.connections())
            .field("is_down", &self.is_down)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
enum Waking {
    Connection(Id),
    Listener(ListenerId),
    All,
}

impl Core {
    /// Around an engine that nobody else has.
    #[must_use]
    pub fn new(stack: Stack) -> Self {
        Self {
            stack,
            waits: Waits::default(),
            driver: None,
            waking: None,
            next_ticket: Ticket::POLLED.0,
            is_down: false,
        }
    }

    pub(crate) const fn is_down(&self) -> bool {
        self.is_down
    }

    pub(crate) const fn ticket(&mut self) -> Ticket {
        self.next_ticket = self.next_ticket.wrapping_add(1);
        Ticket(self.next_ticket)
    }

    /// What it returns is to be dropped without the lock.
    pub(crate) fn wait(
        &mut self,
        place: Place,
        ticket: Ticket,
        waker: &Waker,
    ) -> Result<Option<Waker>, OutOfMemory> {
        self.waits.enter(place, ticket, waker)
    }

    pub(crate) fn leave(&mut self, place: Place, ticket: Ticket) -> Option<Waker> {
        self.waits.leave(place, ticket)
    }

    /// The next one to be woken, without the lock, after something happened. To be asked until there is none.
    pub(crate) fn next_wake(&mut self) -> Option<Waker> {
        loop {
            let waker = match self.waking {
                None => None,
                Some(Waking::Connection(id)) => {
                    let connection = self.stack.connection(id);
                    let is_due = |side: Side| is_due(connection, side);
                    self.waits.next_of(id, is_due)
                }
                Some(Waking::Listener(listener)) => self.waits.next_at(listener),
                Some(Waking::All) => self.waits.next(),
            };
            if waker.is_some() {
                return waker;
            }
            self.waking = if self.is_down {
                None
            } else if let Some(id) = self.stack.poll_changed() {
                Some(Waking::Connection(id))
            } else {
                self.stack.poll_offered().map(Waking::Listener)
            };
            if self.waking.is_none() {
                return self.take_driver();
            }
        }
    }

    /// As [`next_wake`](Self::next_wake), of those who wait on one side of a connection, whether or not its engine says that something changed.
    pub(crate) fn next_wake_of(&mut self, id: Id, side: Side) -> Option<Waker> {
        self.waits.next_of(id, |it| it == side)
    }

    /// Nobody will move packets any more: all that waits, waits in vain.
    pub(crate) const fn take_down(&mut self) {
        self.is_down = true;
        self.waking = Some(Waking::All);
    }

    /// Notes whom to wake when there is something to do.
    pub(crate) const fn sleep(&mut self, driver: Waker) -> Option<Waker> {
        self.driver.replace(driver)
    }

    pub(crate) const fn take_sleeper(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// The driver, if it sleeps and there is something for it to do.
    fn take_driver(&mut self) -> Option<Waker> {
        if self.stack.may_transmit() {
            self.driver.take()
        } else {
            None
        }
    }
}

fn is_due(connection: Option<&Connection>, side: Side) -> bool {
    connection.is_none_or(|connection| side.is_due(connection))
}
