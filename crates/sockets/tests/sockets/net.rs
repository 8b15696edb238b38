//! Two hosts and what is between them.

use gapless_sockets::blocking::{TcpListener, TcpStream};
use gapless_sockets::{Core, Host, Sleep, Sockets, Stack, StackConfig, System};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(crate) const PORT: u16 = 80;

pub(crate) fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

pub(crate) fn server() -> SocketAddr {
    (address(2), PORT).into()
}

/// A stack with one address.
pub(crate) fn core(host: u8, config: StackConfig) -> Core {
    let mut stack = Stack::new(config, [u64::from(host), 5]);
    stack.add_address(address(host)).unwrap();
    Core::new(stack)
}

/// Two hosts whose packets anybody may carry across, from any thread.
pub(crate) struct Net<H> {
    pub(crate) ends: [Sockets<H>; 2],
    /// Of this many packets one is lost, at most; 0: none.
    lose_one_of: u64,
    carried: AtomicU64,
}

impl<H: Host> Net<H> {
    pub(crate) fn new(hosts: [H; 2], lose_one_of: u64) -> Self {
        Self {
            ends: hosts.map(Sockets::new),
            lose_one_of,
            carried: AtomicU64::new(0),
        }
    }

    /// Carries up to `most` packets from one end to the other, and does what is due there. Whether there were any.
    pub(crate) fn carry(&self, from: usize, most: usize) -> bool {
        let mut buffer = [0; 1500];
        self.ends[from].on_timeout();
        let mut any = false;
        for _ in 0..most {
            let Some(length) = self.ends[from].poll_transmit(&mut buffer) else {
                break;
            };
            any = true;
            if !self.is_lost() {
                self.ends[1 - from].handle([&buffer[..length]]);
            }
        }
        any
    }

    fn is_lost(&self) -> bool {
        let number = self.carried.fetch_add(1, Ordering::Relaxed);
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        mixed.checked_rem(self.lose_one_of) == Some(0)
    }
}

/// A thread that carries packets between two hosts until it is dropped.
pub(crate) struct Wire {
    pub(crate) net: Arc<Net<System>>,
    is_over: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Wire {
    pub(crate) fn new(lose_one_of: u64) -> Self {
        Self::with(StackConfig::default(), lose_one_of)
    }

    pub(crate) fn with(config: StackConfig, lose_one_of: u64) -> Self {
        let hosts = [1, 2].map(|host| System::new(core(host, config.clone())));
        let net = Arc::new(Net::new(hosts, lose_one_of));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (net, is_over) = (net.clone(), is_over.clone());
            thread::spawn(move || drive(&net, &is_over))
        };
        Self {
            net,
            is_over,
            thread: Mutex::new(Some(thread)),
        }
    }

    pub(crate) fn listen(&self) -> TcpListener {
        self.net.ends[1]
            .listen(None, Some(PORT), 64)
            .unwrap()
            .into()
    }

    pub(crate) fn dial(&self) -> TcpStream {
        TcpStream::connect(&self.net.ends[0], server()).unwrap()
    }

    /// Both ends of a new connection.
    pub(crate) fn both(&self, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let near = self.dial();
        (near, listener.accept().unwrap().0)
    }
}

/// Sleeps while there is nothing to do: who misses a wake-up here stalls.
fn drive(net: &Net<System>, is_over: &AtomicBool) {
    let waker = std::task::Waker::from(Arc::new(Unpark(thread::current())));
    while !is_over.load(Ordering::Relaxed) {
        let moved = net.carry(0, 64) | net.carry(1, 64);
        if moved {
            continue;
        }
        let mut until: Option<Duration> = None;
        let mut is_awake = false;
        for end in &net.ends {
            match end.poll_sleep(&waker) {
                Sleep::NotYet => is_awake = true,
                Sleep::Until(Some(at)) => {
                    let left = at.saturating_duration_since(end.host().now());
                    until = Some(until.map_or(left, |until| until.min(left)));
                }
                Sleep::Until(None) => {}
            }
        }
        match until {
            _ if is_awake => {}
            Some(left) => thread::park_timeout(left),
            None => thread::park(),
        }
    }
}

struct Unpark(thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().unwrap().take() {
            thread.thread().unpark();
            thread.join().unwrap();
        }
    }
}
