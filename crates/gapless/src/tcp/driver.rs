//! The task that moves packets between the engine and the device, and keeps the time.

use super::device::{Device, Inbox};
use super::stack::Handles;
use crate::timer::Timer;
use gapless_sockets::{Instant, Sleep, Sockets, System, Transmit};
use std::io;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

/// Rounds of receiving and sending before other tasks of the runtime get their turn.
const ROUNDS: usize = 8;

/// Packets sent in one round, so that acknowledgments are not left waiting behind a long burst.
const SENDS_PER_ROUND: usize = 64;

pub(super) struct Driver<D> {
    sockets: Sockets<System>,
    handles: Weak<Handles>,
    device: D,
    inbox: Inbox,
    buffer: Box<[u8]>,
    /// What the device had no room for.
    held: Option<Transmit>,
    timer: Timer,
}

impl<D: Device> Driver<D> {
    /// Must be called within a runtime.
    pub(super) fn new(sockets: Sockets<System>, handles: Weak<Handles>, device: D) -> Self {
        let abilities = device.abilities();
        let train = abilities.trains.map_or(0, |trains| trains.octets);
        Self {
            sockets,
            handles,
            buffer: vec![0; usize::from(train.max(abilities.mtu))].into_boxed_slice(),
            device,
            inbox: Inbox::default(),
            held: None,
            timer: Timer::new(),
        }
    }
}

impl<D: Device + Unpin> Future for Driver<D> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..ROUNDS {
            let moved = this.receive(cx).and_then(|received| {
                let sent = this.transmit(cx)?;
                Ok(received || sent)
            });
            match moved {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(target: "gapless", %error, "the device is gone");
                    // Dropping the driver tells everybody.
                    return Poll::Ready(());
                }
            }
            match this.sleep(cx) {
                Rest::Work => {}
                Rest::Sleep => return Poll::Pending,
                Rest::Finished => return Poll::Ready(()),
            }
        }
        // Other tasks first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

enum Rest {
    Work,
    Sleep,
    Finished,
}

impl<D: Device> Driver<D> {
    /// Whether anything came.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        match self.device.poll_receive(cx, &mut self.inbox) {
            Poll::Pending => Ok(false),
            Poll::Ready(received) => {
                received?;
                self.sockets.handle(self.inbox.packets());
                self.inbox.clear();
                Ok(true)
            }
        }
    }

    /// Whether anything was sent.
    fn transmit(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        for sent in 0..SENDS_PER_ROUND {
            let next = self.held.take();
            let Some(transmit) = next.or_else(|| self.sockets.poll_train(&mut self.buffer)) else {
                return Ok(sent > 0);
            };
            let packet = self.buffer.get(..transmit.length).unwrap_or_default();
            match self.device.poll_send(cx, packet, &transmit) {
                Poll::Ready(done) => done?,
                Poll::Pending => {
                    self.held = Some(transmit);
                    return Ok(sent > 0);
                }
            }
        }
        Ok(true)
    }

    /// Nothing more to move: sleeps until something is due.
    fn sleep(&mut self, cx: &mut Context<'_>) -> Rest {
        let mut deadline = self.sockets.on_timeout();
        // While the device takes nothing, what there is to send must not keep this task spinning: it is woken when there is room.
        if self.held.is_none() {
            match self.sockets.poll_sleep(cx.waker()) {
                Sleep::NotYet => return Rest::Work,
                Sleep::Until(at) => deadline = at,
            }
            if self.handles.strong_count() == 0
                && self.sockets.with_stack(|stack| stack.connections()) == 0
            {
                return Rest::Finished;
            }
        }
        match self.alarm(deadline, cx) {
            Poll::Ready(()) => Rest::Work,
            Poll::Pending => Rest::Sleep,
        }
    }

    fn alarm(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let at = deadline.and_then(|at| self.sockets.host().system_time(at));
        at.map_or(Poll::Pending, |at| self.timer.poll_until(at, cx))
    }
}

impl<D> Drop for Driver<D> {
    /// Also when the runtime drops the task: nobody may wait for ever for a driver that is gone.
    fn drop(&mut self) {
        self.sockets.take_down();
    }
}
