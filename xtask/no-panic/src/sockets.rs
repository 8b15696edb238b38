//! The public functions of `gapless_sockets`, under a lock that spins.

use core::hint::black_box;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use gapless_sockets::{Core, Host, Instant, Listener, Sockets, Stream};

pub struct Kernel {
    core: spin::Mutex<Core>,
    now: u64,
}

impl Host for Kernel {
    fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        f(&mut self.core.lock())
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(black_box(self.now))
    }
}

#[unsafe(no_mangle)]
fn sockets_packets(sockets: &Sockets<Kernel>, packet: &[u8], room: &mut [u8], waker: &Waker) {
    sockets.handle([packet, packet]);
    black_box(sockets.on_timeout());
    black_box(sockets.poll_transmit(room));
    black_box(sockets.poll_train(room));
    black_box(sockets.poll_sleep(waker));
    black_box(sockets.with_stack(|stack| stack.connections()));
    sockets.take_down();
}

#[unsafe(no_mangle)]
fn sockets_open(
    sockets: &Sockets<Kernel>,
    local: Option<SocketAddr>,
    remote: SocketAddr,
) -> Option<Stream<Kernel>> {
    sockets.start_connect(local, remote).ok()
}

#[unsafe(no_mangle)]
fn sockets_listen(sockets: &Sockets<Kernel>, holds: bool) -> Option<Listener<Kernel>> {
    match holds {
        true => sockets.listen_holding(None, black_box(Some(1)), 1).ok(),
        false => sockets.listen(None, black_box(Some(1)), 1).ok(),
    }
}

#[unsafe(no_mangle)]
fn sockets_accept(listener: &Listener<Kernel>, cx: &Context<'_>) -> Option<Stream<Kernel>> {
    match listener.poll_accept(cx) {
        Poll::Ready(stream) => stream.ok(),
        Poll::Pending => listener.try_accept().ok(),
    }
}

#[unsafe(no_mangle)]
fn sockets_hang_up(listener: Listener<Kernel>) {
    drop(listener);
}

#[unsafe(no_mangle)]
fn sockets_poll(stream: &Stream<Kernel>, cx: &Context<'_>, octets: &mut [u8]) {
    let _ = black_box(stream.poll_connected(cx));
    let _ = black_box(stream.poll_read(cx, octets));
    let _ = black_box(stream.poll_peek(cx, octets));
    let _ = black_box(stream.poll_write(cx, octets));
    let _ = black_box(stream.poll_delivered(cx));
    let _ = black_box((stream.try_read(octets), stream.try_write(octets)));
}

#[unsafe(no_mangle)]
fn sockets_calls(stream: &Stream<Kernel>, call: u8) {
    match call {
        0 => stream.shutdown(),
        1 => stream.shutdown_read(),
        2 => stream.abort(),
        3 => stream.set_linger(black_box(Some(Duration::ZERO))),
        4 => stream.set_nodelay(black_box(true)),
        _ => stream.set_user_timeout(black_box(Some(Duration::from_secs(1)))),
    }
    black_box((stream.local_addr(), stream.peer_addr(), stream.nodelay()));
    black_box((stream.blocked_on(), stream.stats(), stream.ended()));
}

#[unsafe(no_mangle)]
fn sockets_release(stream: Stream<Kernel>) {
    drop(stream);
}
