//! Stateless reset: how a peer that forgot a connection says so (UDX 2.5, 14).
//!
//! Such a datagram is filler and, in its last 16 bytes, a token that the peer once gave out with NEW_CONNECTION_ID. It is looked
//! for only in datagrams that can be routed to no connection.

/// A stateless reset token.
///
/// Comparing two takes the same time whatever they are, so that a guess learns nothing from it.
#[derive(Copy, Clone, Debug)]
pub struct Token(pub [u8; Token::LEN]);

impl Token {
    /// The size of a token, in bytes.
    pub const LEN: usize = 16;

    /// The token of a datagram, if it is one: its last bytes, if it is long enough for a stateless reset.
    ///
    /// ```
    /// use gapless_udx::wire::reset::{MIN_LEN, Token};
    ///
    /// assert_eq!(Token::of(&[7; MIN_LEN]), Some(Token([7; 16])));
    /// assert_eq!(Token::of(&[7; MIN_LEN - 1]), None);
    /// ```
    #[inline]
    #[must_use]
    pub fn of(datagram: &[u8]) -> Option<Self> {
        if datagram.len() < MIN_LEN {
            return None;
        }
        datagram.last_chunk().copied().map(Self)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
    }
}

impl Eq for Token {}

/// The smallest stateless reset, in bytes (UDX 2.5).
pub const MIN_LEN: usize = 39;

/// The largest stateless reset that is sent, in bytes (UDX 2.5).
pub const MAX_LEN: usize = 64;

/// The largest filler, in bytes: what [`encode`] wants to be given.
pub const FILLER_LEN: usize = MAX_LEN.saturating_sub(Token::LEN);

/// Writes a stateless reset that answers a datagram of `provoked_by` bytes, and says how many bytes it has.
///
/// It is smaller than that datagram, so that two forgetful peers cannot answer each other for ever, and its first bit is set, so
/// that it never looks like a version (UDX 2.5). `random` is the filler: bytes that nobody can tell from a packet's.
///
/// `None` if the datagram is too small to be answered (39 bytes at most) or the buffer too small for the answer; nothing is
/// written then.
///
/// ```
/// use gapless_udx::wire::reset::{self, Token};
///
/// let mut buffer = [0; 64];
/// let len = reset::encode(&mut buffer, 1200, Token([7; 16]), &[1; reset::FILLER_LEN]);
/// assert_eq!(len, Some(64));
/// assert_eq!(Token::of(&buffer), Some(Token([7; 16])));
/// assert_eq!(reset::encode(&mut buffer, 39, Token([7; 16]), &[1; reset::FILLER_LEN]), None);
/// ```
#[must_use]
pub fn encode(
    buffer: &mut [u8],
    provoked_by: usize,
    token: Token,
    random: &[u8; FILLER_LEN],
) -> Option<usize> {
    let len = provoked_by.checked_sub(1)?.min(MAX_LEN);
    if len < MIN_LEN {
        return None;
    }
    let (filler, tail) = buffer.get_mut(..len)?.split_last_chunk_mut()?;
    *tail = token.0;
    filler
        .iter_mut()
        .zip(random)
        .for_each(|(to, from)| *to = *from);
    let first = filler.first_mut()?;
    *first |= 0x80;
    Some(len)
}
