//! What a host runs: our stack, or another one. The application calls both in the same way.

use crate::plan::Time;
use gapless_tcp::Stack;
use std::net::SocketAddr;

/// Names a connection of an engine, for ever.
pub type Handle = usize;

/// What came of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Octets, at least one.
    Data(Vec<u8>),
    /// Nothing yet.
    Pending,
    /// The peer sends no more.
    End,
    /// The connection ended before the stream did.
    Failed,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// So many octets were taken, at least one.
    Taken(usize),
    /// There is no room.
    Full,
    /// The connection is over.
    Failed,
}

/// A TCP without I/O. Times are nanoseconds of the run.
pub trait Engine: Send {
    /// Takes an IP packet.
    fn handle(&mut self, now: Time, packet: &[u8]);

    /// The next IP packet to send now.
    fn poll_transmit(&mut self, now: Time) -> Option<Vec<u8>>;

    /// Does what is due.
    fn handle_timeout(&mut self, now: Time);

    /// When [`handle_timeout`](Self::handle_timeout) is wanted, by the clock of the run.
    fn next_deadline(&mut self, now: Time) -> Option<Time>;

    /// Dials. `None` if it cannot now.
    fn connect(&mut self, now: Time, remote: SocketAddr) -> Option<Handle>;

    /// Dials from the port that it listens on. `None` if there is such a connection, or if it cannot.
    fn cross(&mut self, _now: Time, _remote: SocketAddr) -> Option<Handle> {
        None
    }

    /// Whether a connection that came did so from the port that the other side listens on.
    fn is_crossed(&self, _connection: Handle) -> bool {
        false
    }

    /// Whether the handshake of a connection is through: a SYN that is held may be an old copy, whose sender wants nothing any more.
    fn has_opened(&self, _connection: Handle) -> bool {
        true
    }

    /// The next connection that came and is established, or is held.
    fn accept(&mut self, now: Time) -> Option<Handle>;

    /// The next connection of which something changed. An engine without events gives none, and is asked for everything each time.
    fn poll_changed(&mut self) -> Option<Handle>;

    /// Whether [`poll_changed`](Self::poll_changed) tells.
    fn has_events(&self) -> bool;

    /// Up to `max` octets.
    fn read(&mut self, now: Time, connection: Handle, max: usize) -> Read;

    /// Writes what there is room for.
    fn write(&mut self, now: Time, connection: Handle, octets: &[u8]) -> Write;

    /// Nothing more will be written.
    fn shutdown(&mut self, now: Time, connection: Handle);

    /// Ends it with a RST.
    fn abort(&mut self, now: Time, connection: Handle);

    /// The application is done with it; what was written is still delivered.
    fn release(&mut self, now: Time, connection: Handle);

    /// How it stands.
    fn standing(&self, connection: Handle) -> Standing;

    /// Connections that are not over, late segments included.
    fn connections(&self) -> usize;

    /// Our stack, if it is ours.
    fn ours(&self) -> Option<&Stack> {
        None
    }

    /// Those of our connections that the application holds.
    fn held(&self) -> Vec<(Handle, &gapless_tcp::Connection)> {
        Vec::new()
    }

    /// Nobody listens any more.
    fn unlisten(&mut self, now: Time);
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Something that was written, or its end, is not acknowledged.
    Open,
    /// All that was written is acknowledged, and its end if it was said.
    Flushed,
    /// It ended as it should.
    Finished,
    /// One of both sides ended it early.
    Reset,
    /// The peer was silent for too long.
    TimedOut,
}
