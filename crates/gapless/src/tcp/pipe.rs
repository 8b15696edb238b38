//! A cable between two hosts of one program.

use super::device::{Abilities, Device, Inbox};
use gapless_sockets::Transmit;
use gapless_tcp::wire::Verify;
use gapless_tcp::{Checksums, Trains};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Octets that are on their way in each direction at most, beside one packet: what a full queue of a network card holds.
const MOST_QUEUED: usize = 1 << 20;

/// Packets that are taken at once.
const AT_ONCE: usize = 64;

/// Both ends of a cable that carries packets of up to `mtu` octets, loses none, and takes as long as the tasks at its ends. A sender whose
/// packets nobody takes waits.
#[must_use]
pub fn pipe(mtu: u16) -> [Pipe; 2] {
    let ways = [Way::default(), Way::default()].map(|way| Arc::new(Mutex::new(way)));
    let [there, back] = ways;
    let abilities = Abilities::plain(mtu);
    [
        Pipe::new(there.clone(), back.clone(), abilities),
        Pipe::new(back, there, abilities),
    ]
}

/// One end of a cable: see [`pipe`].
#[derive(Debug)]
pub struct Pipe {
    out: Arc<Mutex<Way>>,
    back: Arc<Mutex<Way>>,
    abilities: Abilities,
}

impl Pipe {
    fn new(out: Arc<Mutex<Way>>, back: Arc<Mutex<Way>>, abilities: Abilities) -> Self {
        Self {
            out,
            back,
            abilities,
        }
    }

    /// Carries trains of segments whole, and no checksums: nothing between the ends can damage a packet. To be said at both ends.
    #[must_use]
    pub fn with_trains(mut self) -> Self {
        self.abilities.checksums = Checksums {
            send: Verify::Device,
            receive: Verify::Device,
        };
        self.abilities.trains = Some(Trains::default());
        self
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    packets: VecDeque<Vec<u8>>,
    octets: usize,
    /// Who waits for packets, and who for room.
    receiver: Option<Waker>,
    sender: Option<Waker>,
    /// One of its ends is gone.
    is_cut: bool,
}

impl Device for Pipe {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox) -> Poll<io::Result<()>> {
        let mut way = lock(&self.back);
        let taken = way.packets.len().min(AT_ONCE);
        let mut octets = 0;
        for packet in way.packets.drain(..taken) {
            octets += packet.len();
            inbox.push(&packet, Verify::Here);
        }
        if taken == 0 {
            if way.is_cut {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            way.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        }
        way.octets -= octets;
        wake(way, |way| &mut way.sender);
        Poll::Ready(Ok(()))
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        packet: &[u8],
        _transmit: &Transmit,
    ) -> Poll<io::Result<()>> {
        let mut way = lock(&self.out);
        if way.is_cut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if way.octets >= MOST_QUEUED {
            way.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        way.octets += packet.len();
        way.packets.push_back(packet.to_vec());
        wake(way, |way| &mut way.receiver);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        for way in [&self.out, &self.back] {
            let mut way = lock(way);
            way.is_cut = true;
            let (sender, receiver) = (way.sender.take(), way.receiver.take());
            drop(way);
            for waker in [sender, receiver].into_iter().flatten() {
                waker.wake();
            }
        }
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Without the lock: it may run anything.
fn wake(mut way: MutexGuard<'_, Way>, whom: impl FnOnce(&mut Way) -> &mut Option<Waker>) {
    let waker = whom(&mut way).take();
    drop(way);
    if let Some(waker) = waker {
        waker.wake();
    }
}
