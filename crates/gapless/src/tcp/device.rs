//! What carries IP packets.

use gapless_sockets::{Arrival, Transmit};
use gapless_tcp::wire::Verify;
use gapless_tcp::{Checksums, Trains};
use std::io;
use std::ops::Range;
use std::task::{Context, Poll};

/// A network interface that carries IP packets without a header of the link: a TUN device, a tunnel, a [`Pipe`](super::Pipe).
pub trait Device: Send + 'static {
    /// What it can do. Asked once.
    fn abilities(&self) -> Abilities;

    /// Puts packets that arrived into `inbox`: one at least, and not more than a few dozen, so that others get their turn. Otherwise the task is
    /// to be woken when there are some.
    ///
    /// # Errors
    /// The device is gone for good: no connection outlives it. What passes is not an error.
    fn poll_receive(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox) -> Poll<io::Result<()>>;

    /// Sends a packet, or sees to it that the task is woken when there is room. A packet that cannot be sent, but others can, is dropped: TCP sends it
    /// again.
    ///
    /// # Errors
    /// The device is gone for good.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        packet: &[u8],
        transmit: &Transmit,
    ) -> Poll<io::Result<()>>;
}

/// What a device can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Abilities {
    /// Octets of the largest packet that it carries.
    pub mtu: u16,
    /// Whether it computes checksums.
    pub checksums: Checksums,
    /// Whether it cuts large segments up.
    pub trains: Option<Trains>,
}

impl Abilities {
    /// It carries packets of this size, and that is all.
    #[must_use]
    pub fn plain(mtu: u16) -> Self {
        Self {
            mtu,
            checksums: Checksums::default(),
            trains: None,
        }
    }
}

/// Packets that arrived, for the engine.
#[derive(Debug, Default)]
pub struct Inbox {
    octets: Vec<u8>,
    packets: Vec<(Range<usize>, Verify)>,
}

impl Inbox {
    /// A packet, and whether its checksum is still to be verified.
    pub fn push(&mut self, packet: &[u8], checksum: Verify) {
        let begin = self.octets.len();
        self.octets.extend_from_slice(packet);
        self.packets.push((begin..self.octets.len(), checksum));
    }

    /// As [`push`](Self::push), of a packet that `read` writes: to the front of up to `room` octets; how many, or why not.
    ///
    /// # Errors
    /// That of `read`; nothing came then.
    pub fn push_with(
        &mut self,
        room: usize,
        checksum: Verify,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let begin = self.octets.len();
        self.octets.resize(begin + room, 0);
        let written = read(self.octets.get_mut(begin..).unwrap_or_default());
        let length = *written.as_ref().unwrap_or(&0);
        self.octets.truncate(begin + length.min(room));
        if written.is_ok() {
            self.packets.push((begin..self.octets.len(), checksum));
        }
        written.map(drop)
    }

    /// Packets in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// What came.
    pub fn packets(&self) -> impl Iterator<Item = Arrival<'_>> {
        self.packets.iter().map(|(range, checksum)| Arrival {
            packet: self.octets.get(range.clone()).unwrap_or_default(),
            checksum: *checksum,
        })
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.packets.clear();
    }
}
