//! The bad path between two programs: a relay that spoils datagrams both ways, as a profile of `gapless-link` says.
//!
//! The dialer sends to the relay's front; for each address that comes from, the relay has a socket of its own towards the acceptor, as
//! a NAT would. What becomes of a datagram depends on the seed, its direction and how many went before; only when it happens depends
//! on the clock.

use anyhow::{Context as _, Result};
use gapless_link::{Counters, Link, Profile};
use gapless_udx::wire::{Frame, Ordered, Packet, Stream, Version};
use socket2::{Domain, Protocol, Type};
use std::fmt::Write as _;
use std::fs::File;
use std::future::poll_fn;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

/// Addresses that datagrams of one conversation may come from. A dialer takes a fresh port to try another version, not a fresh
/// one each time.
const MAX_CLIENTS: usize = 16;

/// Datagrams taken from one socket before the others have their turn.
const BATCH: usize = 64;

/// The largest payload of a UDP datagram, rounded up.
const LARGEST: usize = 64 << 10;

/// Asked of the system for each socket, so that a clean link loses nothing in a queue. It may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// A relay that runs, on a thread of its own, until it is dropped.
pub(crate) struct Relay {
    front: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the relay tells while it runs.
#[derive(Default)]
struct Shared {
    /// Whether packets are looked into.
    tap: bool,
    /// Packets with data and the end of their stream, from the dialer and from the acceptor.
    fin_with_data: [AtomicU64; 2],
    /// Where the acceptor is. Known once it listens, which may be after the relay began.
    to: Mutex<Option<SocketAddr>>,
    counters: Mutex<[Counters; 2]>,
    failed: AtomicBool,
}

impl Relay {
    /// Starts a relay to an acceptor that [`Self::set_target`] tells.
    /// With a tap it looks for ends of streams that come with data; with a log it writes there what it takes, packet by packet.
    pub(crate) fn start(profile: Profile, tap: bool, log: Option<File>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let front = socket()?;
        let address = front.local_addr()?;
        let shared = Arc::new(Shared {
            tap,
            ..Shared::default()
        });
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("relay".to_owned());
        let thread = thread.spawn({
            let shared = shared.clone();
            move || {
                let ended = runtime.block_on(async {
                    let mut carrier = Carrier::new(front, &profile, shared.clone(), log)?;
                    tokio::select! {
                        ended = poll_fn(|cx| carrier.poll(cx)) => ended,
                        _ = stopped => Ok(()),
                    }
                });
                shared.failed.store(ended.is_err(), Ordering::Relaxed);
            }
        })?;
        Ok(Self {
            front: address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where the dialer has to send to.
    pub(crate) fn front(&self) -> SocketAddr {
        self.front
    }

    pub(crate) fn set_target(&self, acceptor: SocketAddr) {
        *lock(&self.shared.to) = Some(acceptor);
    }

    /// Packets seen with data and a FIN on the way from the dialer, or to it.
    pub(crate) fn fins_with_data(&self, from_dialer: bool) -> u64 {
        let [out, back] = &self.shared.fin_with_data;
        (if from_dialer { out } else { back }).load(Ordering::Relaxed)
    }

    /// What happened to datagrams from the dialer, and to it.
    pub(crate) fn counters(&self) -> [Counters; 2] {
        *lock(&self.shared.counters)
    }

    /// Whether its sockets failed: then nothing can be said of those at its ends.
    pub(crate) fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the relay's is on the terminal already.
            let _ = thread.join();
        }
    }
}

/// The dialers' direction, and the other.
const OUT: usize = 0;
const BACK: usize = 1;

struct Carrier {
    front: Socket,
    clients: Vec<Client>,
    /// What travels along is the client's place in the list.
    links: [Link<usize>; 2],
    began: Instant,
    timer: Pin<Box<tokio::time::Sleep>>,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    log: Option<BufWriter<File>>,
}

struct Client {
    address: SocketAddr,
    back: Socket,
}

/// A socket of the relay's: tokio tells when it can be read, and sending asks nobody. (tokio's own attempt to send on a socket that it
/// has not yet heard of fails, which would lose the first packet of every conversation.)
struct Socket {
    io: UdpSocket,
    send: std::net::UdpSocket,
}

impl Socket {
    fn new(socket: std::net::UdpSocket) -> Result<Self> {
        Ok(Self {
            send: socket.try_clone()?,
            io: UdpSocket::from_std(socket)?,
        })
    }
}

impl Carrier {
    fn new(
        front: std::net::UdpSocket,
        profile: &Profile,
        shared: Arc<Shared>,
        log: Option<File>,
    ) -> Result<Self> {
        Ok(Self {
            front: Socket::new(front)?,
            clients: Vec::new(),
            links: [Link::new(profile, 0), Link::new(profile, 1)],
            began: Instant::now(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            shared,
            buffer: vec![0; LARGEST],
            log: log.map(BufWriter::new),
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        for _ in 0..BATCH {
            let received = self.take_from_front(cx)? | self.take_from_backs(cx)?;
            let delivered = self.deliver();
            if !received && !delivered {
                *lock(&self.shared.counters) = self.links.each_ref().map(|link| *link.counters());
                if self.wait_for_next(cx) {
                    return Poll::Pending;
                }
            }
        }
        // Others of this thread have their turn: only the order to stop.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Has the task woken when the next datagram is due; false if that is now.
    fn wait_for_next(&mut self, cx: &mut Context<'_>) -> bool {
        let due = self.links.iter().filter_map(Link::next_delivery).min();
        let Some(due) = due else { return true };
        let at = self.began + Duration::from_nanos(due);
        self.timer.as_mut().reset(at.into());
        self.timer.as_mut().poll(cx).is_pending()
    }

    fn take_from_front(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let mut any = false;
        for _ in 0..BATCH {
            let Poll::Ready(ready) = self.front.io.poll_recv_ready(cx) else {
                break;
            };
            ready?;
            // What else fails is the report that nobody listened to an earlier datagram.
            let Ok((size, from)) = self.front.io.try_recv_from(&mut self.buffer) else {
                continue;
            };
            any = true;
            if let Some(client) = self.client(from)? {
                self.pass_on(OUT, size, client);
            }
        }
        Ok(any)
    }

    fn take_from_backs(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let mut any = false;
        for client in 0..self.clients.len() {
            for _ in 0..BATCH {
                let socket = &self.clients[client].back.io;
                let Poll::Ready(ready) = socket.poll_recv_ready(cx) else {
                    break;
                };
                ready?;
                let Ok((size, _)) = socket.try_recv_from(&mut self.buffer) else {
                    continue;
                };
                any = true;
                self.pass_on(BACK, size, client);
            }
        }
        Ok(any)
    }

    fn pass_on(&mut self, direction: usize, size: usize, client: usize) {
        let now = self.now();
        let datagram = &self.buffer[..size];
        if self.shared.tap && has_fin_with_data(datagram) {
            self.shared.fin_with_data[direction].fetch_add(1, Ordering::Relaxed);
        }
        let before = self.links[direction].counters().lost;
        self.links[direction].send(now, datagram, client);
        if let Some(log) = &mut self.log {
            let is_lost = self.links[direction].counters().lost > before;
            // A log that cannot be written is no reason to fail a conversation.
            let _ = writeln!(log, "{}", line(now, direction, is_lost, datagram));
        }
    }

    fn deliver(&mut self) -> bool {
        let now = self.now();
        let to = *lock(&self.shared.to);
        let mut any = false;
        while let Some(delivery) = self.links[OUT].poll(now) {
            any = true;
            if let Some(to) = to {
                // Full buffers and refusals are losses, here as on any path.
                let socket = &self.clients[delivery.tag].back.send;
                let _ = socket.send_to(&delivery.payload, to);
            }
        }
        while let Some(delivery) = self.links[BACK].poll(now) {
            any = true;
            let address = self.clients[delivery.tag].address;
            let _ = self.front.send.send_to(&delivery.payload, address);
        }
        any
    }

    fn client(&mut self, address: SocketAddr) -> Result<Option<usize>> {
        let known = self
            .clients
            .iter()
            .position(|client| client.address == address);
        if known.is_some() || self.clients.len() >= MAX_CLIENTS {
            return Ok(known);
        }
        let back = Socket::new(socket()?)?;
        self.clients.push(Client { address, back });
        Ok(Some(self.clients.len() - 1))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One packet in words.
fn line(now: u64, direction: usize, is_lost: bool, datagram: &[u8]) -> String {
    let way = if direction == OUT { "->" } else { "<-" };
    let fate = if is_lost { " LOST" } else { "" };
    let size = datagram.len();
    let mut line = format!("{:>12.6} {way}{fate} {size} bytes", now as f64 / 1e9);
    let Some(packet) = packet(datagram) else {
        line.push_str(", not a packet");
        return line;
    };
    let header = packet.header();
    let number = header.number.raw();
    let streams = (header.source_stream, header.destination_stream);
    let _ = write!(line, ", number {number}, streams {streams:x?}:");
    for frame in packet.frames() {
        let _ = match frame {
            Frame::Stream(Stream {
                syn,
                fin,
                offset,
                data,
            }) => {
                write!(line, " STREAM syn={syn} fin={fin} {offset}+{}", data.len())
            }
            Frame::Ordered(Ordered { syn, fin, data }) => {
                write!(line, " STREAM syn={syn} fin={fin} {} bytes", data.len())
            }
            frame => write!(line, " {frame:?}"),
        };
    }
    line
}

/// Whether the packet carries data of a stream and its end.
fn has_fin_with_data(datagram: &[u8]) -> bool {
    packet(datagram).is_some_and(|packet| {
        packet.frames().any(|frame| match frame {
            Frame::Stream(stream) => stream.fin && !stream.data.is_empty(),
            Frame::Ordered(stream) => stream.fin && !stream.data.is_empty(),
            _ => false,
        })
    })
}

fn packet(datagram: &[u8]) -> Option<Packet<'_>> {
    let version = Version::from_wire(u32::from_be_bytes(*datagram.first_chunk()?))?;
    Packet::decode_as(datagram, version.dialect()).ok()
}

fn socket() -> Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // A smaller buffer than asked for only loses more.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.set_nonblocking(true)?;
    let bound = socket.bind(&crate::own::ANY_PORT.into());
    bound.context("binding a socket on loopback")?;
    Ok(socket.into())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many datagrams fit into a socket's buffer everywhere, doubled, too.
    const COUNT: u32 = 200;

    /// Sends datagrams through a relay and gives the numbers that arrive.
    fn through(profile: &str) -> Vec<u32> {
        let relay = Relay::start(profile.parse().unwrap(), false, None).unwrap();
        let far = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        far.set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        relay.set_target(far.local_addr().unwrap());
        let near = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..COUNT {
            near.send_to(&number.to_be_bytes(), relay.front()).unwrap();
            std::thread::sleep(Duration::from_micros(200));
        }
        let mut arrived = Vec::new();
        let mut buffer = [0; 4];
        let mut relayed = None;
        while let Ok((4, from)) = far.recv_from(&mut buffer) {
            relayed = Some(from);
            arrived.push(u32::from_be_bytes(buffer));
        }
        // And the way back is there.
        near.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for _ in 0..20 {
            far.send_to(b"back", relayed.unwrap()).unwrap();
        }
        near.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer, b"back");
        assert!(!relay.failed());
        arrived
    }

    #[test]
    fn a_clean_link_passes_everything_in_order() {
        assert_eq!(through(""), (0..COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn the_seed_chooses_what_is_lost_whatever_the_clock_says() {
        let first = through("loss=10%,seed=1");
        assert!((150..199).contains(&first.len()), "{}", first.len());
        assert_eq!(first, through("loss=10%,seed=1"));
        assert_ne!(first, through("loss=10%,seed=2"));
    }

    #[test]
    fn a_bad_link_reorders_and_duplicates() {
        let arrived = through("reorder=20%,duplicate=20%,seed=3");
        assert!(arrived.len() > 215, "{}", arrived.len());
        assert!(arrived.windows(2).any(|two| two[0] > two[1]));
    }
}
