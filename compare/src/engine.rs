//! What the world asks of a transport: one transfer, from a sender to a receiver.

use anyhow::Result;

/// Nanoseconds of virtual time.
pub(crate) type Time = u64;

/// One end of a transfer.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Sender,
    Receiver,
}

/// What travels: what counts on the wire beyond IP and UDP headers, and the bytes themselves.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Payload size as a UDP datagram would have it.
    pub(crate) size: usize,
    pub(crate) bytes: Vec<u8>,
}

/// A sender and a receiver of one implementation, and the application on them: it writes as long as there is room, and reads
/// what there is.
pub(crate) trait Transfer {
    /// Lets both applications act: the sender's writes what is left, the receiver's reads.
    fn act(&mut self, now: Time) -> Result<()>;
    /// A packet arrived.
    fn handle(&mut self, end: End, now: Time, packet: &Packet) -> Result<()>;
    /// The next packets to send, until there are none.
    fn transmit(&mut self, end: End, now: Time, out: &mut Vec<Packet>) -> Result<()>;
    /// When `handle_timeout` is to be called.
    fn deadline(&mut self, end: End) -> Option<Time>;
    /// Does what is due.
    fn handle_timeout(&mut self, end: End, now: Time) -> Result<()>;
    /// Bytes that the receiver's application has read.
    fn delivered(&self) -> u64;
}

/// The transports that are compared.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Gapless UDX with CUBIC.
    Cubic,
    /// Gapless UDX with NewReno.
    NewReno,
    /// Gapless UDX with BBR.
    Bbr,
    /// quinn with CUBIC.
    QuinnCubic,
    /// quinn with its BBR.
    QuinnBbr,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [
        Kind::Cubic,
        Kind::NewReno,
        Kind::Bbr,
        Kind::QuinnCubic,
        Kind::QuinnBbr,
    ];

    /// For tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Cubic => "gapless CUBIC",
            Kind::NewReno => "gapless NewReno",
            Kind::Bbr => "gapless BBR",
            Kind::QuinnCubic => "quinn CUBIC",
            Kind::QuinnBbr => "quinn BBR",
        }
    }
}
