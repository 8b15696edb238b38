//! Which release of Dart does what.

use crate::peers::wire::Numbering;

/// A release of dart-udx, or a state of it between two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Release {
    /// Before the repair of January 2026: whatever is sent takes a number (U1).
    Before200,
    /// Numbers per stream; what is not sent again bears the last number.
    V200,
    /// Numbers per connection, and control packets advance the receiver's expectation (U3).
    V201,
    /// Control packets pass by the order; window updates and resets burn numbers (U2).
    V202,
    /// Window updates and resets bear 0; the threshold of updates grows with what they say (U14).
    V203,
    /// 2.0.3 with the fixed threshold: what the specification of version 2 calls Dart.
    V203Repaired,
    /// The same, with its search for the path's size awake (U5).
    V203Probing,
    /// Version 3, frames numbered one lower from 0x0c on.
    V300,
    /// Version 3, frames numbered as Go does.
    V310,
}

/// What an unregistered packet bears in its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bears {
    /// A fresh number, which nobody will send again.
    Fresh,
    /// The number of the last registered packet, 0 before the first.
    Last,
    Zero,
}

/// What a release writes after its receiver's window moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Threshold {
    /// After 16 KiB (UDX2 9.1).
    Fixed,
    /// After a quarter of what the last update said (U14).
    Grows,
}

impl Release {
    /// The wire version it speaks.
    pub(in crate::peers) fn version(self) -> u32 {
        if self < Self::V300 { 2 } else { 3 }
    }

    pub(super) fn is_version_3(self) -> bool {
        self >= Self::V300
    }

    pub(super) fn numbering(self) -> Numbering {
        if self == Self::V310 {
            Numbering::Go
        } else {
            Numbering::Dart
        }
    }

    /// UDX2 1: numbers of 2.0.0 are counted per stream.
    pub(super) fn numbers_per_stream(self) -> bool {
        self <= Self::V200
    }

    /// UDX2 3, and U1 for the time before.
    pub(super) fn ack_bears(self) -> Bears {
        if self == Self::Before200 {
            Bears::Fresh
        } else {
            Bears::Last
        }
    }

    /// WINDOW_UPDATE, RESET_STREAM, STOP_SENDING: UDX2 3, U2.
    pub(super) fn stream_control_bears(self) -> Bears {
        match self {
            Self::Before200 | Self::V201 | Self::V202 => Bears::Fresh,
            Self::V200 => Bears::Last,
            _ => Bears::Zero,
        }
    }

    /// U3: any packet under the expected number advances the expectation.
    pub(super) fn control_advances(self) -> bool {
        self <= Self::V201
    }

    /// The order holds back control packets, too, as the first releases did with everything.
    pub(super) fn buffers_control(self) -> bool {
        self <= Self::V200
    }

    pub(super) fn threshold(self) -> Threshold {
        if self == Self::V203 {
            Threshold::Grows
        } else {
            Threshold::Fixed
        }
    }

    /// U5.
    pub(super) fn searches_size(self) -> bool {
        self == Self::V203Probing
    }

    /// UDX2 5.4, D18: all connections of one remote address are one object.
    pub(super) fn one_object_per_address(self) -> bool {
        self < Self::V310
    }

    /// UDX 10.1: asked by STREAM_DATA_BLOCKED, it says its limit again.
    pub(super) fn answers_blocked(self) -> bool {
        self == Self::V310
    }

    /// UDX 7.3: a stream addressed to 0, or to an ID that is taken, gets an even ID of the acceptor's choice.
    pub(super) fn chooses_own_ids(self) -> bool {
        self == Self::V310
    }

    /// Bytes of data in the largest packet (UDX2 12, UDX 15: 1384 of 1422 and 1430).
    pub(super) fn fragment(self) -> usize {
        1384
    }

    /// What it names as supported to a stranger (UDX2 2.4, UDX 13).
    pub(super) fn versions(self) -> &'static [u32] {
        if self.is_version_3() {
            &[3, 2, 1]
        } else {
            &[2, 1]
        }
    }
}
