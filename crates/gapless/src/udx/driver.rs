//! The endpoint's task: moves datagrams between the socket and the engine, keeps the time, and wakes who waits.

use super::impair::Impairment;
use super::origins::Origins;
use super::ports::Gone;
use super::shared::Shared;
use super::socket::{self, BATCH_BYTES, Batch, Inbox, Sent, Socket, Train};
use super::wakes::Wakes;
use crate::timer::Timer;
use gapless_udx::{Ecn, Received};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Rounds of receiving and sending before other tasks of the runtime get their turn. What four rounds receive, 1 MiB, is still
/// in the cache when its readers run, and about what the engine keeps memory for.
const ROUNDS: usize = 4;

/// Sends in one round, so that acknowledgements are not left waiting behind a long burst.
const SENDS_PER_ROUND: usize = 8;

/// Turns in a row in which receiving failed, after which the socket counts as broken. Errors of the network, which anybody can
/// provoke by ICMP, alternate with working calls; only a lost socket fails for ever.
const MAX_FAILING_TURNS: u32 = 10_000;

/// Deliveries of the impairment in one round.
const DELIVERIES_PER_ROUND: usize = 512;

pub(super) struct Driver {
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    inbox: Inbox,
    outbox: Outbox,
    impairment: Option<Impairment>,
    origins: Origins,
    timer: Timer,
    wakes: Wakes,
    failing_turns: u32,
    /// Where to leave the engine's counts at the end, if nobody can ask the engine then.
    gone: Option<Gone>,
    /// The socket's buffer was full; nothing is sent before it says that there is room.
    blocked: bool,
}

/// Datagrams that the engine gave and the socket has not taken yet.
struct Outbox {
    buffer: Box<[u8]>,
    to: SocketAddr,
    len: usize,
    segment: usize,
    sent: usize,
}

impl Driver {
    /// Must be called within a runtime.
    pub(super) fn new(
        shared: Arc<Shared>,
        socket: Arc<Socket>,
        impairment: Option<Impairment>,
        gone: Option<Gone>,
    ) -> Self {
        Self {
            outbox: Outbox {
                buffer: vec![0; BATCH_BYTES].into_boxed_slice(),
                to: socket.local_addr(),
                len: 0,
                segment: 1,
                sent: 0,
            },
            shared,
            socket,
            inbox: Inbox::new(),
            impairment,
            origins: Origins::default(),
            timer: Timer::new(),
            wakes: Wakes::default(),
            failing_turns: 0,
            gone,
            blocked: false,
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.begin(cx);
        for _ in 0..ROUNDS {
            let Ok(received) = this.receive(cx) else {
                // The socket is broken for good. Dropping the driver tells everybody.
                return Poll::Ready(());
            };
            let sent = this.transmit(cx);
            if received || sent {
                this.dispatch();
                continue;
            }
            match this.end(cx) {
                End::Work => {}
                End::Sleep => return Poll::Pending,
                End::Finished => return Poll::Ready(()),
            }
        }
        // Other tasks first; `running` stays set, since this one is due again already.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

enum End {
    Work,
    Sleep,
    Finished,
}

impl Driver {
    fn begin(&mut self, cx: &mut Context<'_>) {
        let mut state = self.shared.lock();
        state.driver.running = true;
        state.driver.roused = false;
        if !Arc::ptr_eq(&state.socket, &self.socket) {
            // The application moved to another socket.
            self.socket = state.socket.clone();
            self.blocked = false;
            self.origins = Origins::default();
        }
        match &mut state.driver.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Whether anything came.
    fn receive(&mut self, cx: &mut Context<'_>) -> std::io::Result<bool> {
        let counters = &self.shared.counters;
        let polled = self.socket.poll_receive(cx, &mut self.inbox, counters);
        let came = matches!(polled, Poll::Ready(Ok(())));
        if let Poll::Ready(Err(error)) = polled {
            self.failing_turns += 1;
            if self.failing_turns > MAX_FAILING_TURNS {
                tracing::warn!(target: "gapless", %error, "the socket failed");
                return Err(error);
            }
            cx.waker().wake_by_ref();
        } else {
            self.failing_turns = 0;
        }
        self.take_hints();
        if came {
            for batch in self.inbox.batches() {
                let datagrams = batch.datagrams();
                socket::count(&counters.datagrams_received, datagrams);
                if batch.ecn == Some(quinn_udp::EcnCodepoint::Ce) {
                    socket::count(&counters.congestion_marks, datagrams);
                }
                if let Some(here) = batch.here.filter(|_| self.socket.is_everywhere()) {
                    self.origins.note(batch.from, here);
                }
                match &mut self.impairment {
                    Some(link) => link.receive(self.shared.now().as_nanos(), &batch),
                    None => handle(&self.shared, &batch),
                }
            }
        }
        Ok(came | self.deliver_back())
    }

    /// Gives the engine what arrived through the impairment.
    fn deliver_back(&mut self) -> bool {
        let Some(link) = &mut self.impairment else {
            return false;
        };
        let now = self.shared.now().as_nanos();
        let mut came = false;
        for _ in 0..DELIVERIES_PER_ROUND {
            let Some(delivery) = link.poll_back(now) else {
                break;
            };
            came = true;
            handle(
                &self.shared,
                &Batch {
                    from: delivery.tag.address,
                    here: None,
                    ecn: delivery.tag.ecn,
                    stride: delivery.payload.len().max(1),
                    data: &delivery.payload,
                },
            );
        }
        came
    }

    fn take_hints(&self) {
        self.socket.take_hints(&self.shared.counters, |host| {
            self.shared.lock().on_unreachable(host, self.shared.now());
        });
    }

    /// Whether anything was sent.
    fn transmit(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        for _ in 0..SENDS_PER_ROUND {
            if self.blocked {
                match self.socket.poll_writable(cx) {
                    Poll::Ready(Ok(())) => self.blocked = false,
                    // An error will show again at the next send.
                    Poll::Ready(Err(_)) => self.blocked = false,
                    Poll::Pending => return any,
                }
            }
            if !self.flush() {
                continue;
            }
            if !self.fill() {
                return any;
            }
            any = true;
        }
        any
    }

    /// Gives the socket what is in the outbox; whether it took all.
    fn flush(&mut self) -> bool {
        let outbox = &mut self.outbox;
        let train = Train {
            to: outbox.to,
            origin: self.origins.of(&outbox.to),
            segment: outbox.segment,
            bytes: outbox.buffer.get(..outbox.len).unwrap_or_default(),
        };
        match (self.socket).send(&train, outbox.sent, &self.shared.counters) {
            Sent::Done => {
                outbox.len = 0;
                outbox.sent = 0;
                true
            }
            Sent::Blocked { from } => {
                outbox.sent = from;
                self.blocked = true;
                false
            }
        }
    }

    /// Refills the empty outbox; whether there was anything to send.
    fn fill(&mut self) -> bool {
        let Some(link) = &mut self.impairment else {
            return fill(&self.shared, &mut self.outbox);
        };
        while fill(&self.shared, &mut self.outbox) {
            let now = self.shared.now().as_nanos();
            let bytes = self
                .outbox
                .buffer
                .get(..self.outbox.len)
                .unwrap_or_default();
            link.send(now, self.outbox.to, bytes, self.outbox.segment);
        }
        self.outbox.len = 0;
        let Some(delivery) = link.poll_out(self.shared.now().as_nanos()) else {
            return false;
        };
        let room = self.outbox.buffer.get_mut(..delivery.payload.len());
        let Some(room) = room else {
            return true;
        };
        room.copy_from_slice(&delivery.payload);
        self.outbox.to = delivery.tag;
        self.outbox.len = delivery.payload.len();
        self.outbox.segment = delivery.payload.len();
        true
    }

    fn dispatch(&mut self) {
        let mut state = self.shared.lock();
        state.dispatch(self.shared.now(), &mut self.wakes);
        drop(state);
        self.wakes.wake(&self.shared);
    }

    /// Nothing more to move: sleep until something is due, unless something is due now.
    fn end(&mut self, cx: &mut Context<'_>) -> End {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        // Both may have given the engine something to send.
        let worked = state.on_timeout(now, &mut self.wakes) | state.dispatch(now, &mut self.wakes);
        let roused = worked | std::mem::take(&mut state.driver.roused);
        // The last steps of a close come without an event: the engine forgets a drained connection silently.
        state.tell_idle(&mut self.wakes);
        let finished = state.is_finished();
        // While the socket takes nothing, what is due to be sent stays due: that must not keep this task spinning.
        let deadline = state
            .next_deadline()
            .filter(|at| !self.blocked || *at > now);
        state.driver.running = roused;
        state.impairment = self.impairment.as_ref().map(Impairment::counters);
        drop(state);
        self.wakes.wake(&self.shared);
        let link = &self.impairment;
        if finished && self.outbox.len == 0 && link.as_ref().is_none_or(Impairment::is_empty) {
            return End::Finished;
        }
        if roused {
            self.begin(cx);
            return End::Work;
        }
        let delivery = link.as_ref().and_then(Impairment::next_delivery);
        let delivery = delivery.map(gapless_udx::Instant::from_nanos);
        let deadline = deadline.into_iter().chain(delivery).min();
        let Some(at) = deadline.and_then(|at| self.shared.system_time(at)) else {
            return End::Sleep;
        };
        match self.timer.poll_until(at, cx) {
            Poll::Ready(()) => {
                self.begin(cx);
                End::Work
            }
            Poll::Pending => End::Sleep,
        }
    }
}

impl Drop for Driver {
    /// Also when the runtime drops the task: nobody may wait for ever for a driver that is gone.
    fn drop(&mut self) {
        let mut wakes = Wakes::default();
        let mut state = self.shared.lock();
        state.stop(&mut wakes);
        if let Some(gone) = &self.gone {
            gone.add(state.engine.stats());
        }
        drop(state);
        wakes.wake(&self.shared);
    }
}

fn handle(shared: &Shared, batch: &Batch<'_>) {
    let mut state = shared.lock();
    state.engine.handle(
        shared.now(),
        Received {
            from: batch.from,
            ecn: batch.ecn.map(mark),
            segment_size: batch.stride,
            data: batch.data,
        },
    );
}

fn fill(shared: &Shared, outbox: &mut Outbox) -> bool {
    let mut state = shared.lock();
    let Some(transmit) = state.engine.poll_transmit(shared.now(), &mut outbox.buffer) else {
        return false;
    };
    drop(state);
    outbox.to = transmit.to;
    outbox.len = transmit.len;
    outbox.segment = transmit.segment_size;
    outbox.sent = 0;
    true
}

fn mark(ecn: quinn_udp::EcnCodepoint) -> Ecn {
    match ecn {
        quinn_udp::EcnCodepoint::Ect0 => Ecn::Ect0,
        quinn_udp::EcnCodepoint::Ect1 => Ecn::Ect1,
        quinn_udp::EcnCodepoint::Ce => Ecn::Ce,
    }
}
