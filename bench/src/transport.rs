//! The implementations that are compared, each in a file of its own.

mod gapless;
mod libp2p;
mod quinn;
mod tcp;

pub(crate) use gapless::Gapless;
pub(crate) use libp2p::Libp2p;
pub(crate) use quinn::Quinn;
pub(crate) use tcp::Tcp;

use std::future::Future;

use anyhow::Result;
use bytes::Bytes;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

/// The bytes of one write, and the most that one read may give.
pub(crate) const PIECE: usize = 64 << 10;

/// What is compared.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Name {
    /// UDX, as it comes.
    Gapless,
    /// quinn as it comes.
    Quinn,
    /// quinn with flow control windows and socket buffers like those of UDX.
    QuinnTuned,
    /// Kernel TCP, a connection for each stream.
    Tcp,
    /// Kernel TCP in packets of Ethernet's size.
    TcpEthernet,
    /// libp2p over UDX: Noise, Yamux.
    Libp2pUdx,
    /// libp2p's TCP, Noise, Yamux.
    Libp2pTcp,
    /// libp2p's QUIC.
    Libp2pQuic,
}

/// Those that are compared with each other, for what they do for the application.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Group {
    /// Streams.
    Raw,
    /// Streams in a libp2p connection: encrypted, and authenticated on both sides.
    Libp2p,
}

impl Name {
    pub(crate) fn group(self) -> Group {
        match self {
            Name::Gapless | Name::Quinn | Name::QuinnTuned | Name::Tcp | Name::TcpEthernet => {
                Group::Raw
            }
            Name::Libp2pUdx | Name::Libp2pTcp | Name::Libp2pQuic => Group::Libp2p,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Name::Gapless => "gapless UDX",
            Name::Quinn => "quinn, defaults",
            Name::QuinnTuned => "quinn, windows as UDX",
            Name::Tcp => "kernel TCP",
            Name::TcpEthernet => "kernel TCP, MSS 1448",
            Name::Libp2pUdx => "libp2p UDX+Noise+Yamux",
            Name::Libp2pTcp => "libp2p TCP+Noise+Yamux",
            Name::Libp2pQuic => "libp2p QUIC",
        }
    }
}

impl Group {
    /// Whose figures are 1.
    pub(crate) fn reference(self) -> Name {
        match self {
            Group::Raw => Name::Quinn,
            Group::Libp2p => Name::Libp2pQuic,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Group::Raw => "Streams (QUIC with TLS as it comes, the others in the clear)",
            Group::Libp2p => "Streams of a libp2p connection",
        }
    }
}

/// How one implementation carries streams one way.
pub(crate) trait Transport {
    type Out: Outgoing;
    type In: Incoming;

    /// Listens on loopback, hands each stream that comes to `streams`, and returns where to dial.
    async fn listen(&self, streams: UnboundedSender<Self::In>) -> Result<String>;

    /// Dials, and opens so many streams.
    async fn connect(&self, to: &str, streams: usize) -> Result<Connected<Self::Out>>;
}

/// A dialer's end.
pub(crate) struct Connected<O> {
    pub(crate) streams: Vec<O>,
    /// The bytes of the datagrams (TCP: segments) sent now, where the implementation tells.
    pub(crate) datagram: Box<dyn Fn() -> Option<u64>>,
}

/// A stream to write to.
pub(crate) trait Outgoing: Send + 'static {
    fn write(&mut self, data: Bytes) -> impl Future<Output = Result<()>> + Send;
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// A stream to read from.
pub(crate) trait Incoming: Send + 'static {
    /// How many bytes came, at most [`PIECE`]; `None` at the end.
    fn read(&mut self) -> impl Future<Output = Result<Option<usize>>> + Send;
}
