//! What the two sides of one conversation are to do; both know it before they begin.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// One side's orders. A peer gets them as JSON on its command line; the Go programs read the same form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// What happens.
    pub(crate) scenario: Scenario,
    /// Who has the active part of it.
    pub(crate) flow: Flow,
    /// Where to dial; without it this side accepts.
    pub(crate) dial: Option<SocketAddr>,
    /// Streams that the dialer opens.
    pub(crate) streams: u8,
    /// Bytes that the active side sends on each.
    pub(crate) bytes: u64,
    /// What the bytes are drawn from.
    pub(crate) seed: u64,
    /// How long an idle connection is left alone, in milliseconds.
    pub(crate) idle_ms: u64,
    /// In which version of the wire our own kind dials.
    pub(crate) version: Choice,
}

impl Plan {
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

/// What a cell of the table tries.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// One byte on a stream.
    #[value(name = "1-byte")]
    #[serde(rename = "1-byte")]
    OneByte,
    /// One byte more than the first window of a stream.
    #[value(name = "64kib+1")]
    #[serde(rename = "64kib+1")]
    WindowAndOne,
    /// 1 MiB on a stream.
    #[value(name = "1mib")]
    #[serde(rename = "1mib")]
    OneMebibyte,
    /// 64 MiB on a stream.
    #[value(name = "64mib")]
    #[serde(rename = "64mib")]
    Bulk,
    /// Eight streams at once, 256 KiB each.
    #[value(name = "8-streams")]
    #[serde(rename = "8-streams")]
    EightStreams,
    /// A hundred streams at once, 32 KiB each.
    #[value(name = "100-streams")]
    #[serde(rename = "100-streams")]
    HundredStreams,
    /// One direction of a stream ends, and the other goes on.
    HalfClose,
    /// A stream is reset under a writing peer, and the connection goes on.
    Reset,
    /// The end of the stream travels in the packet that carries the data.
    FinWithData,
    /// A reader that pauses, and then takes little at a time.
    SlowReader,
    /// The peer's process is killed in the middle of a transfer.
    PeerKilled,
    /// Nothing to say for longer than the peer's idle timeout.
    Idle,
}

impl Scenario {
    pub(crate) const ALL: [Self; 12] = [
        Self::OneByte,
        Self::WindowAndOne,
        Self::OneMebibyte,
        Self::Bulk,
        Self::EightStreams,
        Self::HundredStreams,
        Self::HalfClose,
        Self::Reset,
        Self::FinWithData,
        Self::SlowReader,
        Self::PeerKilled,
        Self::Idle,
    ];

    /// As it is typed, and as it stands in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneByte => "1-byte",
            Self::WindowAndOne => "64kib+1",
            Self::OneMebibyte => "1mib",
            Self::Bulk => "64mib",
            Self::EightStreams => "8-streams",
            Self::HundredStreams => "100-streams",
            Self::HalfClose => "half-close",
            Self::Reset => "reset",
            Self::FinWithData => "fin-with-data",
            Self::SlowReader => "slow-reader",
            Self::PeerKilled => "peer-killed",
            Self::Idle => "idle",
        }
    }

    /// Streams, and bytes on each.
    pub(crate) fn load(self) -> (u8, u64) {
        match self {
            Self::OneByte => (1, 1),
            Self::WindowAndOne => (1, (64 << 10) + 1),
            Self::OneMebibyte => (1, 1 << 20),
            Self::Bulk => (1, 64 << 20),
            Self::EightStreams => (8, 256 << 10),
            Self::HundredStreams => (100, 32 << 10),
            // More than one packet, less than any first window.
            Self::HalfClose => (1, 50_000),
            Self::Reset => (1, MOST_UNTIL_RESET),
            Self::FinWithData => (1, 500),
            // More than windows and send buffers hold together, so that the writer must wait.
            Self::SlowReader => (1, 4 << 20),
            // No transfer that a test waits for: the peer is dead long before.
            Self::PeerKilled => (1, 1 << 40),
            Self::Idle => (2, 1_000),
        }
    }

    /// Whether its speed says something.
    pub(crate) fn is_measured(self) -> bool {
        matches!(
            self,
            Self::WindowAndOne
                | Self::OneMebibyte
                | Self::Bulk
                | Self::EightStreams
                | Self::HundredStreams
                | Self::SlowReader
        )
    }

    /// Whether most of it is waiting, so that many can run at once.
    pub(crate) fn mostly_waits(self) -> bool {
        matches!(self, Self::PeerKilled | Self::Idle)
    }
}

/// Which side has the active part: sends the bytes, ends its direction first, resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Flow {
    /// The side that dialed and opens the streams.
    Opener,
    /// The side that accepts.
    Acceptor,
}

/// In which version of the wire a dial of ours begins.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
pub(crate) enum Choice {
    /// Version 3.
    #[value(name = "3")]
    #[serde(rename = "3")]
    V3,
    /// Version 2.
    #[value(name = "2")]
    #[serde(rename = "2")]
    V2,
    /// By the peer's answer.
    #[value(name = "discover")]
    #[serde(rename = "discover")]
    Discover,
}

impl Choice {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V3 => "3",
            Self::V2 => "2",
            Self::Discover => "discover",
        }
    }
}

/// What the victim of a reset writes at most before it gives up waiting for it: more than all windows together.
const MOST_UNTIL_RESET: u64 = 256 << 20;

/// The code that streams are reset with. No code of the protocol's own (UDX 15).
pub(crate) const RESET_CODE: u32 = 77;

/// A peer whose library does not tell the code of a reset answers this one.
pub(crate) const UNKNOWN_CODE: u32 = u32::MAX;

/// A RESET_STREAM is sent once and not acknowledged (UDX 8.4), so a bad link may take it: so often it is tried on a fresh stream.
pub(crate) const RESET_ATTEMPTS: u8 = 5;

/// The first byte of a stream that asks what became of the one before.
pub(crate) const QUESTION: u8 = 200;
