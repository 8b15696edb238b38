//! A bad network before any device.

use super::device::{Abilities, Device, Inbox};
use crate::timer::Timer;
use gapless_link::{Counters, Link, Profile};
use gapless_sockets::Transmit;
use gapless_tcp::wire::Verify;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// A device whose packets, both ways, pass a model of a path: with loss, delay, reordering and the rest of a [`Profile`].
///
/// It does not cut segments up and computes no checksums, so that what is damaged on the way is noticed at its end. Times are as exact as those
/// of tokio, to 1 ms. A device that puts packets together should be told not to: those are lost, or late, as one.
#[derive(Debug)]
pub struct Impaired<D> {
    device: D,
    out: Link<Transmit>,
    /// With what the device says of the checksum.
    back: Link<Verify>,
    arrived: Inbox,
    /// What the device had no room for.
    held: Option<(Vec<u8>, Transmit)>,
    began: Instant,
    timer: Option<Timer>,
}

/// The two directions' chances are independent of each other.
const OUT: u64 = 0;
const BACK: u64 = 1;

impl<D> Impaired<D> {
    /// Puts the path before the device.
    #[must_use]
    pub fn new(device: D, profile: &Profile) -> Self {
        Self {
            device,
            out: Link::new(profile, OUT),
            back: Link::new(profile, BACK),
            arrived: Inbox::default(),
            held: None,
            began: Instant::now(),
            timer: None,
        }
    }

    /// What became of packets on their way out, and on their way in.
    pub fn counters(&self) -> (Counters, Counters) {
        (*self.out.counters(), *self.back.counters())
    }

    /// Nanoseconds since the path is there.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl<D: Device> Impaired<D> {
    /// Gives the device what has come to the end of the path.
    fn deliver_out(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let now = self.now();
            let next = self.held.take();
            let next = next.or_else(|| self.out.poll(now).map(|it| (it.payload, it.tag)));
            let Some((packet, transmit)) = next else {
                return Ok(());
            };
            match self.device.poll_send(cx, &packet, &transmit) {
                Poll::Ready(done) => done?,
                Poll::Pending => {
                    self.held = Some((packet, transmit));
                    return Ok(());
                }
            }
        }
    }

    /// Takes what came to the device onto the path.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Poll::Ready(received) = self.device.poll_receive(cx, &mut self.arrived) {
            received?;
            let now = self.now();
            for arrival in self.arrived.packets() {
                self.back.send(now, arrival.packet, arrival.checksum);
            }
            self.arrived.clear();
            // There may be more.
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Ready when something has come to the end of the path.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // While the device takes nothing, what is due to leave stays due.
        let out = self.out.next_delivery().filter(|_| self.held.is_none());
        let next = [out, self.back.next_delivery()].into_iter().flatten().min();
        let at = next.and_then(|at| self.began.checked_add(Duration::from_nanos(at)));
        let timer = self.timer.get_or_insert_with(Timer::new);
        at.map_or(Poll::Pending, |at| timer.poll_until(at, cx))
    }
}

impl<D: Device> Device for Impaired<D> {
    fn abilities(&self) -> Abilities {
        Abilities::plain(self.device.abilities().mtu)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox) -> Poll<io::Result<()>> {
        self.receive(cx)?;
        loop {
            self.deliver_out(cx)?;
            let now = self.now();
            while let Some(delivery) = self.back.poll(now) {
                let checksum = if delivery.damaged {
                    Verify::Here
                } else {
                    delivery.tag
                };
                inbox.push(&delivery.payload, checksum);
            }
            if !inbox.is_empty() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_due(cx));
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        packet: &[u8],
        transmit: &Transmit,
    ) -> Poll<io::Result<()>> {
        self.out.send(self.now(), packet, *transmit);
        Poll::Ready(self.deliver_out(cx))
    }
}
