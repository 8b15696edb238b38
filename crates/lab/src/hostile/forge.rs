//! Packets as nobody should write them: every field is what the caller says, true or not.

/// A packet that is being forged. Nothing is checked, and no field knows of another.
#[derive(Clone, Debug)]
pub(super) struct Forge {
    version: u32,
    bytes: Vec<u8>,
}

/// Whose packet it claims to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) version: u32,
    pub(super) destination: Vec<u8>,
    pub(super) source: Vec<u8>,
}

/// STREAM flags (UDX 2.3).
pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;

/// The wire versions that the engines know.
pub(super) const V2: u32 = 2;
pub(super) const V3: u32 = 3;

impl Forge {
    /// A header (UDX 2.1); `streams` are destination and source.
    pub(super) fn new(ids: &Ids, number: u32, streams: (u32, u32)) -> Self {
        let mut forge = Self {
            version: ids.version,
            bytes: Vec::with_capacity(64),
        };
        forge.u32(ids.version);
        forge.id(&ids.destination);
        forge.id(&ids.source);
        forge.u32(number).u32(streams.0).u32(streams.1);
        forge
    }

    /// A version negotiation (UDX 2.4).
    pub(super) fn negotiation(destination: &[u8], source: &[u8], versions: &[u32]) -> Vec<u8> {
        let mut forge = Self {
            version: 0,
            bytes: vec![0; 4],
        };
        forge.id(destination);
        forge.id(source);
        for version in versions {
            forge.u32(*version);
        }
        forge.bytes
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn ping(&mut self) -> &mut Self {
        self.raw(&[0x01])
    }

    /// `extra` are pairs of a gap and a length.
    pub(super) fn ack(
        &mut self,
        largest: u32,
        delay_ms: u16,
        first: u32,
        extra: &[(u8, u32)],
    ) -> &mut Self {
        self.raw(&[0x02]).u32(largest).raw(&delay_ms.to_be_bytes());
        self.raw(&[extra.len() as u8]).u32(first);
        for &(gap, length) in extra {
            self.raw(&[gap]).u32(length);
        }
        self
    }

    /// Version 2 says no offset (UDX2 2.3).
    pub(super) fn stream(&mut self, flags: u8, offset: u64, data: &[u8]) -> &mut Self {
        self.raw(&[0x03, flags]);
        if self.version != V2 {
            self.u64(offset);
        }
        self.raw(&(data.len() as u16).to_be_bytes()).raw(data)
    }

    pub(super) fn window(&mut self, limit: u32) -> &mut Self {
        self.raw(&[0x04]).u32(limit)
    }

    pub(super) fn max_data(&mut self, limit: u64) -> &mut Self {
        self.raw(&[0x05]).u64(limit)
    }

    pub(super) fn reset(&mut self, code: u32) -> &mut Self {
        self.raw(&[0x06]).u32(code)
    }

    pub(super) fn max_streams(&mut self, count: u32) -> &mut Self {
        self.raw(&[0x07]).u32(count)
    }

    pub(super) fn challenge(&mut self, nonce: u64) -> &mut Self {
        self.raw(&[0x09]).u64(nonce)
    }

    pub(super) fn response(&mut self, nonce: u64) -> &mut Self {
        self.raw(&[0x0a]).u64(nonce)
    }

    pub(super) fn close(&mut self, code: u32, reason: &[u8]) -> &mut Self {
        self.raw(&[0x0b]).u32(code).u32(0);
        self.raw(&(reason.len() as u16).to_be_bytes()).raw(reason)
    }

    pub(super) fn stop(&mut self, stream: u32, code: u32) -> &mut Self {
        self.raw(&[0x0d]).u32(stream).u32(code)
    }

    pub(super) fn data_blocked(&mut self, limit: u64) -> &mut Self {
        self.raw(&[0x0e]).u64(limit)
    }

    pub(super) fn stream_blocked(&mut self, stream: u32, limit: u64) -> &mut Self {
        self.raw(&[0x0f]).u32(stream).u64(limit)
    }

    pub(super) fn new_id(&mut self, index: u64, id: &[u8], token: [u8; 16]) -> &mut Self {
        self.raw(&[0x10]).u64(index).u64(index);
        self.id(id);
        self.raw(&token)
    }

    pub(super) fn retire_id(&mut self, index: u64) -> &mut Self {
        self.raw(&[0x11]).u64(index)
    }

    fn u32(&mut self, word: u32) -> &mut Self {
        self.raw(&word.to_be_bytes())
    }

    fn u64(&mut self, word: u64) -> &mut Self {
        self.raw(&word.to_be_bytes())
    }

    fn id(&mut self, id: &[u8]) {
        self.raw(&[id.len() as u8]).raw(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gapless_udx::wire::{Datagram, Frame};

    /// What is forged has to get past the decoder, or no trick reaches the engine.
    #[test]
    fn every_forged_frame_is_a_valid_one() {
        let ids = Ids {
            version: V3,
            destination: vec![1; 8],
            source: vec![2; 3],
        };
        let mut forge = Forge::new(&ids, 7, (1, 2));
        forge.ping().ack(9, 1, 3, &[(2, 5)]).stream(SYN, 4, b"abc");
        forge.window(5).max_data(6).reset(7).max_streams(8);
        forge.challenge(9).response(10).close(11, b"bye").stop(1, 2);
        forge.data_blocked(3).stream_blocked(4, 5);
        forge.new_id(6, &[7; 8], [8; 16]).retire_id(9);
        let bytes = forge.done();
        let Ok(Datagram::Packet(packet)) = Datagram::decode(&bytes) else {
            panic!("not a packet");
        };
        let frames: Vec<_> = packet.frames().collect();
        assert_eq!(frames.len(), 15);
        assert!(matches!(frames[2], Frame::Stream(s) if s.data == b"abc" && s.offset == 4));
        let offer = Forge::negotiation(&[1; 8], &[2; 8], &[3, 2]);
        assert!(matches!(
            Datagram::decode(&offer),
            Ok(Datagram::VersionNegotiation(_))
        ));
    }
}
