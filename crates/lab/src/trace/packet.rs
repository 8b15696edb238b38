//! A datagram as a trace keeps it: when it left and arrived, what became of it, and what it carried, in numbers that do not wrap.

use crate::plan::Time;
use gapless_link::Counters;
use std::ops::{Range, RangeInclusive};

/// One datagram of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Counted over both hosts, in the order of sending.
    pub id: u64,
    /// The host that sent it.
    pub sender: usize,
    /// When it left.
    pub sent: Time,
    /// What the link did to it.
    pub fate: Fate,
    /// When it reached the other host.
    pub arrived: Option<Time>,
    /// When its copy did, if the link made one.
    pub copy: Option<Time>,
    /// It arrived where the host no longer was.
    pub unheard: bool,
    /// Bytes of UDP payload.
    pub bytes: usize,
    /// What it carried; nothing if it is no packet of UDX.
    pub content: Option<Content>,
}

/// What a link did to a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// It will not arrive.
    pub lost: Option<Loss>,
    /// It arrives with other bytes.
    pub damaged: bool,
    /// It arrives twice.
    pub twice: bool,
    /// It was held back while others passed.
    pub held: bool,
}

/// Why a link lost a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// By chance.
    Chance,
    /// The path was down.
    Blackout,
    /// The queue before the bottleneck was full.
    Queue,
    /// It was larger than the path carries.
    TooLarge,
    /// Its bytes were changed, and UDP's checksum found that.
    Damaged,
    /// Somewhere between a queue that drops what waited for too long and its end: the link decides that later than a trace asks.
    Managed,
}

/// What a packet carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The wire version.
    pub version: u32,
    /// Its number, if it has one.
    pub number: Option<u64>,
    /// The frames, padding left out.
    pub pieces: Vec<Piece>,
}

/// A frame. Streams are named by the ID that the side has given them whose data are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A piece of a stream.
    Data(Data),
    /// An acknowledgement.
    Ack(Acked),
    /// How far the other side may go in one of its streams.
    Window {
        /// The stream.
        stream: u32,
        /// The position.
        limit: u64,
    },
    /// How much the other side may have in flight, bytes.
    MaxData(u64),
    /// How many streams the other side may have open.
    MaxStreams(u32),
    /// Both directions of the sender's stream end.
    Reset {
        /// The stream.
        stream: u32,
        /// The code.
        code: u32,
    },
    /// The other side shall end its direction of the stream.
    Stop {
        /// The stream.
        stream: u32,
        /// The code.
        code: u32,
    },
    /// Asks for an acknowledgement.
    Ping,
    /// Asks whether a packet of this many bytes passes.
    MtuProbe(usize),
    /// Asks whether the other side is there.
    Challenge(u64),
    /// The answer.
    Response(u64),
    /// The connection ends, with this code.
    Close(u32),
    /// The other side's cap on what is in flight keeps the sender from sending.
    DataBlocked(u64),
    /// The stream's limit does.
    StreamBlocked {
        /// The stream.
        stream: u32,
        /// The limit.
        limit: u64,
    },
    /// A connection ID with its reset token.
    NewId,
    /// A connection ID is no longer used.
    RetireId,
}

/// A piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The sender's ID of the stream.
    pub stream: u32,
    /// Positions in the stream.
    pub range: Range<u64>,
    /// It opens the stream.
    pub syn: bool,
    /// The stream ends behind it.
    pub fin: bool,
    /// Where its first byte stands among all stream bytes of this sender, in the order of first sending. `None` if that was so
    /// long ago that the trace has forgotten.
    pub order: Option<u64>,
    /// It was sent before.
    pub again: bool,
    /// It was sent before, and had already arrived.
    pub needless: bool,
}

/// Which numbers were acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    /// From the highest down; the first few.
    pub ranges: Vec<RangeInclusive<u64>>,
    /// How many more there were.
    pub more: usize,
    /// Milliseconds for which the highest number waited for it.
    pub delay_ms: u16,
}

/// How many ranges of an acknowledgement are kept.
pub(super) const RANGES_KEPT: usize = 6;

impl Datagram {
    /// The pieces of streams in it.
    pub fn data(&self) -> impl Iterator<Item = &Data> + Clone {
        let pieces = self.content.iter().flat_map(|content| &content.pieces);
        pieces.filter_map(|piece| match piece {
            Piece::Data(data) => Some(data),
            _ => None,
        })
    }

    /// Whether it carries something of a stream that was sent before.
    pub fn is_again(&self) -> bool {
        self.data().any(|data| data.again)
    }

    /// Whether a picture must show it: it was lost, damaged, sent again, or carries what is rare.
    pub fn is_notable(&self) -> bool {
        let is_rare = |piece: &Piece| {
            !matches!(
                piece,
                Piece::Data(_) | Piece::Ack(_) | Piece::Window { .. } | Piece::MaxData(_)
            )
        };
        self.fate.lost.is_some()
            || self.fate.damaged
            || self.unheard
            || self.is_again()
            || self
                .content
                .as_ref()
                .is_none_or(|content| content.pieces.iter().any(is_rare))
    }
}

impl Fate {
    /// Told from what the link counted while it took the datagram.
    pub(crate) fn told_by(before: &Counters, after: &Counters, checksum: bool) -> Self {
        let damaged = after.corrupted > before.corrupted || after.truncated > before.truncated;
        let lost = if after.lost > before.lost {
            Some(Loss::Chance)
        } else if after.blacked_out > before.blacked_out {
            Some(Loss::Blackout)
        } else if after.queue_dropped > before.queue_dropped {
            Some(Loss::Queue)
        } else if after.too_large > before.too_large {
            Some(Loss::TooLarge)
        } else {
            (damaged && checksum).then_some(Loss::Damaged)
        };
        Self {
            lost,
            damaged: damaged && lost.is_none(),
            twice: lost.is_none() && after.duplicated > before.duplicated,
            held: lost.is_none() && after.reordered > before.reordered,
        }
    }

    /// For the log: nothing if it just passes.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self {
                lost: Some(Loss::Chance),
                ..
            } => "  [lost]",
            Self {
                lost: Some(Loss::Blackout),
                ..
            } => "  [lost: the path is down]",
            Self {
                lost: Some(Loss::Queue),
                ..
            } => "  [lost: the queue is full]",
            Self {
                lost: Some(Loss::TooLarge),
                ..
            } => "  [lost: too large]",
            Self {
                lost: Some(Loss::Damaged),
                ..
            } => "  [lost: damaged]",
            Self {
                lost: Some(Loss::Managed),
                ..
            } => "  [lost: in the managed queue]",
            Self { damaged: true, .. } => "  [damaged]",
            Self { twice: true, .. } => "  [twice]",
            Self { held: true, .. } => "  [held back]",
            Self { .. } => "",
        }
    }
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Chance,
        Self::Queue,
        Self::Blackout,
        Self::TooLarge,
        Self::Damaged,
        Self::Managed,
    ];

    /// In words, behind "lost".
    pub fn why(self) -> &'static str {
        match self {
            Self::Chance => "by chance",
            Self::Queue => "because the queue was full",
            Self::Blackout => "while the path was down",
            Self::TooLarge => "because they were too large for the path",
            Self::Damaged => "because they were damaged",
            Self::Managed => "by the managed queue, which lets nothing wait for long",
        }
    }
}
