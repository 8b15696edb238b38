//! Where unguessable numbers come from: a generator seeded by the caller (P3).

use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::Sha256;

use crate::wire::ConnectionId;
use crate::wire::reset::Token;

/// A generator for connection IDs, stream IDs and nonces (V6).
#[derive(Debug)]
pub(crate) struct Random(ChaCha12Rng);

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Random(ChaCha12Rng::from_seed(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    pub(crate) fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.fill(&mut key);
        key
    }

    /// UDX 7.1: 8 random bytes.
    pub(crate) fn connection_id(&mut self) -> ConnectionId {
        let bytes = self.number().to_be_bytes();
        ConnectionId::new(&bytes).unwrap_or_default()
    }
}

/// The challenges of one connection. V18: a peer is told some of them, and must not find out by these
/// those that go elsewhere, or it could answer for an address that is not its own and have us flood it.
#[derive(Debug)]
pub(crate) struct Nonces {
    key: [u8; 32],
    drawn: u64,
}

impl Nonces {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Nonces { key, drawn: 0 }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let Token(bytes) = keyed(&self.key, &self.drawn.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..] = bytes;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// The stateless reset token of an ID: the first 16 bytes of HMAC-SHA256(secret, id) (UDX 14).
pub(crate) fn reset_token(secret: &[u8; 32], id: &ConnectionId) -> Token {
    keyed(secret, id.as_slice())
}

fn keyed(key: &[u8; 32], message: &[u8]) -> Token {
    let mut token = [0; Token::LEN];
    // A key of any length is taken; an error would leave a token that nobody is told of.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(message);
        let digest = mac.finalize().into_bytes();
        for (byte, of_digest) in token.iter_mut().zip(digest) {
            *byte = of_digest;
        }
    }
    Token(token)
}
