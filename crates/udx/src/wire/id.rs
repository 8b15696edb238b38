//! Connection ids.

use core::fmt;

use super::reader::Reader;

/// A connection id: 0 to 20 bytes (UDX 2.1, 7.1).
///
/// Whoever knows it can act on the connection (V6), so it has to be drawn from a good generator.
///
/// ```
/// use gapless_udx::wire::ConnectionId;
///
/// assert_eq!(ConnectionId::new(&[7; 8]).map(|id| id.len()), Some(8));
/// assert_eq!(ConnectionId::new(&[7; 21]), None);
/// ```
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Default)]
pub struct ConnectionId {
    // Bytes beyond `len` are zero, so that the derived comparisons hold.
    len: u8,
    bytes: [u8; ConnectionId::MAX_LEN],
}

impl ConnectionId {
    /// The id without bytes.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; Self::MAX_LEN],
    };

    /// The longest id, in bytes (UDX 2.1).
    pub const MAX_LEN: usize = 20;

    /// The id of these bytes; `None` above [`Self::MAX_LEN`].
    #[inline]
    #[must_use]
    pub fn new(id: &[u8]) -> Option<Self> {
        if id.len() > Self::MAX_LEN {
            return None;
        }
        let mut bytes = [0; Self::MAX_LEN];
        for (to, from) in bytes.iter_mut().zip(id) {
            *to = *from;
        }
        Some(Self {
            len: u8::try_from(id.len()).ok()?,
            bytes,
        })
    }

    /// The bytes of the id.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many bytes the id has.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        // A `const fn` has no `usize::from`; a cast from `u8` loses nothing.
        #[expect(clippy::as_conversions)]
        {
            self.len as usize
        }
    }

    /// Whether the id has no bytes.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the length byte and the bytes.
    #[inline]
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, IdError> {
        let len = usize::from(reader.u8().ok_or(IdError::PastEnd)?);
        if len > Self::MAX_LEN {
            return Err(IdError::TooLong(len));
        }
        // Every known peer's ids have 8 bytes: a copy of constant length.
        if len == 8 {
            let id: [u8; 8] = reader.array().ok_or(IdError::PastEnd)?;
            return Self::new(&id).ok_or(IdError::PastEnd);
        }
        let id = reader.slice(len).ok_or(IdError::PastEnd)?;
        Self::new(id).ok_or(IdError::TooLong(len))
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hexadecimal, as logs and captures show ids.
impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why no id could be read.
pub(super) enum IdError {
    TooLong(usize),
    PastEnd,
}
