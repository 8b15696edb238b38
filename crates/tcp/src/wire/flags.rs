//! The control bits of a segment (RFC 9293 3.1, RFC 3168 6.1).

use core::fmt;
use core::ops::BitOr;

/// A set of control bits.
///
/// ```
/// use gapless_tcp::wire::Flags;
///
/// let flags = Flags::SYN | Flags::ACK;
/// assert!(flags.has(Flags::SYN) && !flags.has(Flags::FIN));
/// assert_eq!(format!("{flags}"), "SYN|ACK");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u8);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// The first sequence number.
    pub const SYN: Self = Self(0x02);
    /// The connection is dead.
    pub const RST: Self = Self(0x04);
    /// To be handed to the reader without waiting for more.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// Congestion was met on the way (RFC 3168 6.1.3).
    pub const ECE: Self = Self(0x40);
    /// The window was reduced for it (RFC 3168 6.1.2).
    pub const CWR: Self = Self(0x80);

    const NAMES: [(Self, &str); 8] = [
        (Self::FIN, "FIN"),
        (Self::SYN, "SYN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::ACK, "ACK"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
    ];

    /// The bits of the octet on the wire.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        Self(octet)
    }

    /// The octet on the wire.
    #[must_use]
    pub const fn octet(self) -> u8 {
        self.0
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These bits without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// These bits, and those of `other` if `condition` holds.
    #[must_use]
    pub const fn with_if(self, condition: bool, other: Self) -> Self {
        if condition {
            Self(self.0 | other.0)
        } else {
            self
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        let mut between = "";
        for (flag, name) in Self::NAMES {
            if self.has(flag) {
                write!(f, "{between}{name}")?;
                between = "|";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
