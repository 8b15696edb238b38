//! Models of the other implementations, each with its known defects, for the engine to be run against.
//!
//! A model is written from the specifications: what it does wrong, it does because a peer in the field does. The specification's
//! name of a defect stands where the model has it. Models share no code with the engine, not even the codec.

mod abilities;
pub mod dart;
mod go;
pub mod js;
mod kind;
mod values;
mod window;
pub mod wire;

pub use abilities::{Abilities, Burns};
pub use kind::{Kind, foreign};

use gapless_udx::Instant;
use std::net::SocketAddr;

/// One UDP socket of a foreign program, without the socket: datagrams, times and calls of its application go in, datagrams, one
/// deadline and answers come out. The same calls give the same datagrams.
pub trait Foreign {
    /// A datagram arrived.
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]);

    /// The next datagram to send and where to; to be called until there is none.
    fn poll_transmit(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)>;

    /// Does what is due. Calling it early does nothing.
    fn handle_timeout(&mut self, now: Instant);

    /// When [`Self::handle_timeout`] has something to do.
    fn next_deadline(&self) -> Option<Instant>;

    /// Dials. The connection is usable at once: what the peer then waits for is its own business.
    fn connect(&mut self, now: Instant, to: SocketAddr) -> Connection;

    /// The next connection that was dialed to this socket.
    fn accept(&mut self) -> Option<Connection>;

    /// Opens a stream; `None` if the peer cannot open one more.
    fn open(&mut self, now: Instant, connection: Connection) -> Option<Stream>;

    /// The next stream that the other side opened.
    fn accept_stream(&mut self, connection: Connection) -> Option<Stream>;

    /// Writes as much of `data` as the peer takes now, and tells how many bytes it took.
    fn write(&mut self, now: Instant, connection: Connection, stream: Stream, data: &[u8])
    -> usize;

    /// Reads at most `max` bytes.
    fn read(&mut self, now: Instant, connection: Connection, stream: Stream, max: usize) -> Read;

    /// Ends the writing side.
    fn finish(&mut self, now: Instant, connection: Connection, stream: Stream);

    /// Ends both sides, in the only way the protocol has.
    fn reset(&mut self, now: Instant, connection: Connection, stream: Stream, code: u32);

    /// Ends the connection.
    fn close(&mut self, now: Instant, connection: Connection, code: u32);

    /// The library's ping call, whatever that sends.
    fn ping(&mut self, now: Instant, connection: Connection);

    /// Whether the peer knows that the connection is over. Some never do.
    fn is_closed(&self, connection: Connection) -> bool;

    /// Where a peer stands that receives in the order of numbers; `None` for one that does not.
    fn receive_order(&self, connection: Connection) -> Option<ReceiveOrder> {
        let _ = connection;
        None
    }
}

/// A connection of a [`Foreign`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Connection(pub usize);

/// A stream of one [`Connection`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stream(pub usize);

/// What a read gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// These bytes, at least one.
    Data(Vec<u8>),
    /// Nothing yet.
    Pending,
    /// The end of the stream.
    End,
    /// The stream was reset, with this code.
    Reset(u32),
    /// The connection ended first.
    Closed,
}

/// How far a connection-wide order of receiving is. It stands still for ever where a number was lost that nobody sends again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceiveOrder {
    /// The number waited for.
    pub expected: u32,
    /// Packets with later numbers that wait behind it.
    pub buffered: usize,
}
