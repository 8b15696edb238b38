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

    /// UDX 7.1: 8 random bytes.
    pub(crate) fn connection_id(&mut self) -> ConnectionId {
        let bytes = self.number().to_be_bytes();
        ConnectionId::new(&bytes).unwrap_or_default()
    }
}

/// The stateless reset token of an ID: the first 16 bytes of HMAC-SHA256(secret, id) (UDX 14).
pub(crate) fn reset_token(secret: &[u8; 32], id: &ConnectionId) -> Token {
    let mut token = [0; Token::LEN];
    // A key of any length is taken; an error would leave a token that nobody is told of.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(id.as_slice());
        let digest = mac.finalize().into_bytes();
        for (byte, of_digest) in token.iter_mut().zip(digest) {
            *byte = of_digest;
        }
    }
    Token(token)
}
