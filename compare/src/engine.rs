//! What the world asks of a transport: one transfer, from a sender to a receiver.

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Nanoseconds of virtual time.
pub(crate) type Time = u64;

/// One end of a transfer.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It dials, and writes.
    Sender,
    /// It accepts, and reads.
    Receiver,
}

impl End {
    pub(crate) const BOTH: [End; 2] = [End::Sender, End::Receiver];
}

/// What travels: what counts on the wire beyond IP and UDP headers, and the bytes themselves.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Payload size as a UDP datagram would have it.
    pub(crate) size: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Packet {
    pub(crate) fn datagram(bytes: &[u8]) -> Self {
        Packet {
            size: bytes.len(),
            bytes: bytes.to_vec(),
        }
    }
}

/// A sender and a receiver of one implementation, and the application on them: it writes as long as there is room, and reads
/// what there is. The ends share nothing: one is asked only when a packet or a time has come for it.
pub(crate) trait Transfer {
    /// Lets the application of `end` act: the sender's writes what is left, the receiver's reads.
    fn act(&mut self, end: End) -> Result<()>;
    /// A packet arrived.
    fn handle(&mut self, end: End, now: Time, packet: &Packet) -> Result<()>;
    /// The next packets to send, until there are none.
    fn transmit(&mut self, end: End, now: Time, out: &mut Vec<Packet>) -> Result<()>;
    /// When `handle_timeout` is to be called.
    fn deadline(&mut self, end: End, now: Time) -> Option<Time>;
    /// Does what is due.
    fn handle_timeout(&mut self, end: End, now: Time) -> Result<()>;
    /// Whether what the sender writes may go out: the opening is over as far as it is concerned.
    fn is_open(&self) -> bool;
    /// Whether an end gave the connection up, so that nothing more will be delivered.
    fn is_over(&self) -> bool;
    /// Bytes that the receiver's application has read.
    fn delivered(&self) -> u64;
}

/// The transports that are compared.
#[derive(
    Copy,
    Clone,
    Debug,
    Eq,
    PartialEq,
    Ord,
    PartialOrd,
    Hash,
    clap::ValueEnum,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Gapless UDX with CUBIC
    Cubic,
    /// Gapless UDX with NewReno
    NewReno,
    /// Gapless UDX with BBR
    Bbr,
    /// quinn with CUBIC
    QuinnCubic,
    /// quinn with NewReno
    QuinnNewReno,
    /// quinn with its BBR
    QuinnBbr,
    /// smoltcp's TCP with CUBIC
    SmoltcpCubic,
    /// smoltcp's TCP with Reno
    SmoltcpReno,
    /// Gapless TCP with CUBIC
    Tcp,
    /// Gapless TCP with BBR
    TcpBbr,
}

impl Kind {
    /// Those of the whole table, which is about UDX. TCP of ours is compared where it is named.
    pub(crate) const ALL: [Kind; 8] = [
        Kind::Cubic,
        Kind::NewReno,
        Kind::Bbr,
        Kind::QuinnCubic,
        Kind::QuinnNewReno,
        Kind::QuinnBbr,
        Kind::SmoltcpCubic,
        Kind::SmoltcpReno,
    ];

    /// For tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Cubic => "gapless CUBIC",
            Kind::NewReno => "gapless NewReno",
            Kind::Bbr => "gapless BBR",
            Kind::QuinnCubic => "quinn CUBIC",
            Kind::QuinnNewReno => "quinn NewReno",
            Kind::QuinnBbr => "quinn BBR",
            Kind::SmoltcpCubic => "smoltcp CUBIC",
            Kind::SmoltcpReno => "smoltcp Reno",
            Kind::Tcp => "gapless TCP CUBIC",
            Kind::TcpBbr => "gapless TCP BBR",
        }
    }

    /// Whether it is of this project.
    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Kind::Cubic | Kind::NewReno | Kind::Bbr | Kind::Tcp | Kind::TcpBbr
        )
    }

    /// Whether it opens faster to a peer that it was connected with before.
    pub(crate) fn remembers(self) -> bool {
        !matches!(
            self,
            Kind::SmoltcpCubic | Kind::SmoltcpReno | Kind::Tcp | Kind::TcpBbr
        )
    }

    /// Whether a lost packet does not mean to it that it is too fast.
    pub(crate) fn bears_loss(self) -> bool {
        matches!(self, Kind::Bbr | Kind::QuinnBbr | Kind::TcpBbr)
    }

    /// What it is measured against: quinn's controller of the same family.
    pub(crate) fn rival(self) -> Kind {
        match self {
            Kind::Cubic | Kind::QuinnCubic | Kind::SmoltcpCubic | Kind::Tcp => Kind::QuinnCubic,
            Kind::NewReno | Kind::QuinnNewReno | Kind::SmoltcpReno => Kind::QuinnNewReno,
            Kind::Bbr | Kind::QuinnBbr | Kind::TcpBbr => Kind::QuinnBbr,
        }
    }
}
