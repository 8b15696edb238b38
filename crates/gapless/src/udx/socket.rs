//! The UDP socket: batched sending and receiving, and errors that are only hints.

use quinn_udp::{RecvMeta, TransportErrorPayload, UdpSockRef, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// What a datagram's bytes, or those of a GRO batch, fit into: the largest UDP payload of IPv4, rounded up.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;

/// Buffers per receiving system call. More than a few cost more in cache misses than they save in calls: one GRO batch is
/// already some 45 datagrams.
const BATCHES: usize = 4;

/// Linux carries at most this many bytes in one UDP_SEGMENT send (65,535 less the IPv4 and UDP headers).
const MAX_SEND_BYTES: usize = 65_507;

/// A pending ICMP error fails one system call that has nothing to do with it. So many such failures in a row are tolerated
/// before a datagram counts as lost, and before receiving waits for the next turn.
const SPURIOUS_ERRORS: usize = 4;

/// Bounds the error queue's reading per call.
const ERRORS_PER_CALL: usize = 32;

pub(crate) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// A system call failed in a way that says: the error queue holds something.
    hinted: AtomicBool,
}

/// Counts of the socket layer, shared by all sockets an endpoint ever had.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) datagrams_sent: AtomicU64,
    pub(crate) send_calls: AtomicU64,
    pub(crate) datagrams_received: AtomicU64,
    pub(crate) receive_calls: AtomicU64,
    pub(crate) send_errors: AtomicU64,
    pub(crate) send_blocked: AtomicU64,
    pub(crate) unreachable: AtomicU64,
    pub(crate) congestion_marks: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// What became of a datagram, or of a batch of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sent {
    /// The system took it, or it is lost, which is the same for an unreliable medium.
    Done,
    /// The system's buffer is full; nothing was sent from this offset on.
    Blocked { from: usize },
}

impl Socket {
    /// Must be called within the runtime whose reactor shall drive the socket.
    pub(crate) fn new(socket: std::net::UdpSocket, buffer_bytes: usize) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // A larger buffer only helps; systems cap it as they please.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), buffer_bytes);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), buffer_bytes);
        // ICMP hints are a convenience too.
        let _ = state.enable_transport_errors(UdpSockRef::from(&socket));
        let local = socket.local_addr()?;
        Ok(Self {
            io: UdpSocket::from_std(socket)?,
            state,
            local,
            hinted: AtomicBool::new(false),
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether the system chooses the address that datagrams leave from.
    pub(crate) fn is_everywhere(&self) -> bool {
        self.local.ip().is_unspecified()
    }

    /// Whether datagrams to `remote` can leave through this socket.
    pub(crate) fn reaches(&self, remote: SocketAddr) -> bool {
        self.local.is_ipv6() || remote.is_ipv4()
    }

    /// Receives what has come, as far as there is room in `inbox`. After an error it can be tried again at once.
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        inbox: &mut Inbox,
        counters: &Counters,
    ) -> Poll<io::Result<()>> {
        let mut failures = 0;
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            match self.try_receive(inbox) {
                Ok(()) => {
                    count(&counters.receive_calls, 1);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // A hint from the network came in the place of a datagram.
                    self.hinted.store(true, Ordering::Relaxed);
                    failures += 1;
                    if failures > SPURIOUS_ERRORS {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    fn try_receive(&self, inbox: &mut Inbox) -> io::Result<()> {
        inbox.filled = 0;
        let Inbox {
            bytes,
            metas,
            filled,
        } = inbox;
        let mut rooms = bytes.chunks_mut(BATCH_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCHES] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        *filled = self.io.try_io(Interest::READABLE, || {
            self.state
                .recv(UdpSockRef::from(&self.io), &mut slices, metas)
        })?;
        Ok(())
    }

    /// Sends datagrams of `segment` bytes each (the last may be shorter), from the offset `sent` on.
    pub(crate) fn send(&self, train: &Train<'_>, sent: usize, counters: &Counters) -> Sent {
        let to = self.outer_address(train.to);
        let (bytes, segment) = (train.bytes, train.segment.max(1));
        let mut from = sent;
        while let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) {
            let most = (MAX_SEND_BYTES / segment)
                .min(self.state.max_gso_segments())
                .max(1)
                .saturating_mul(segment);
            let now = rest.get(..most).unwrap_or(rest);
            match self.send_some(to, train.origin, now, segment) {
                Ok(()) => {
                    count(&counters.send_calls, 1);
                    count(&counters.datagrams_sent, now.len().div_ceil(segment) as u64);
                    from += now.len();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    count(&counters.send_blocked, 1);
                    return Sent::Blocked { from };
                }
                // Segmentation has just been found not to work here: the next round sends them one by one.
                Err(_) if now.len() > segment && self.state.max_gso_segments() == 1 => {}
                // Too large for the path, no buffer, forbidden by a filter: lost, as anywhere else on the way.
                Err(error) => {
                    count(&counters.send_errors, 1);
                    tracing::trace!(%to, %error, "datagram lost in the socket");
                    from += now.len();
                }
            }
        }
        Sent::Done
    }

    fn send_some(
        &self,
        to: SocketAddr,
        origin: Option<IpAddr>,
        contents: &[u8],
        segment: usize,
    ) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: to,
            // UDX has no way to report marks back, so it must not ask for them (RFC 3168: Not-ECT).
            ecn: None,
            contents,
            segment_size: (contents.len() > segment).then_some(segment),
            src_ip: origin,
        };
        let mut failures = 0;
        loop {
            let result = self.io.try_io(Interest::WRITABLE, || {
                self.state.try_send(UdpSockRef::from(&self.io), &transmit)
            });
            match result {
                Err(error) if is_hint(&error) && failures < SPURIOUS_ERRORS => {
                    self.hinted.store(true, Ordering::Relaxed);
                    failures += 1;
                }
                other => return other,
            }
        }
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_send_ready(cx)
    }

    /// Reads what the network reported about earlier datagrams: the addresses of hosts that cannot be reached.
    pub(crate) fn take_hints(&self, counters: &Counters, mut unreachable: impl FnMut(IpAddr)) {
        if !self.hinted.swap(false, Ordering::Relaxed) {
            return;
        }
        for _ in 0..ERRORS_PER_CALL {
            let Ok(Some(error)) = self.state.recv_transport_error(UdpSockRef::from(&self.io))
            else {
                return;
            };
            if let (TransportErrorPayload::Unreachable, Some(from)) = (error.payload, error.addr) {
                count(&counters.unreachable, 1);
                unreachable(from.ip().to_canonical());
            }
        }
    }

    /// A socket bound to IPv6 knows IPv4 addresses in mapped form only.
    fn outer_address(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(v4) if self.local.is_ipv6() => {
                SocketAddrV6::new(v4.to_ipv6_mapped(), to.port(), 0, 0).into()
            }
            _ => to,
        }
    }
}

/// Errors that an earlier datagram's ICMP answer leaves at the socket, for whichever call comes next.
fn is_hint(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
        PermissionDenied,
    };
    matches!(
        error.kind(),
        ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
    )
}

/// What one receiving system call brought.
pub(crate) struct Inbox {
    bytes: Box<[u8]>,
    metas: [RecvMeta; BATCHES],
    filled: usize,
}

/// Datagrams to one receiver: `segment` bytes each, the last may be shorter.
pub(crate) struct Train<'a> {
    pub(crate) to: SocketAddr,
    /// The address of this host to send from, if not the system's choice.
    pub(crate) origin: Option<IpAddr>,
    pub(crate) segment: usize,
    pub(crate) bytes: &'a [u8],
}

/// Datagrams of one sender: `stride` bytes each, the last may be shorter.
pub(crate) struct Batch<'a> {
    pub(crate) from: SocketAddr,
    /// The address of this host that they were sent to.
    pub(crate) here: Option<IpAddr>,
    pub(crate) ecn: Option<quinn_udp::EcnCodepoint>,
    pub(crate) stride: usize,
    pub(crate) data: &'a [u8],
}

impl Batch<'_> {
    pub(crate) fn datagrams(&self) -> u64 {
        self.data.len().div_ceil(self.stride.max(1)) as u64
    }
}

impl Inbox {
    /// Takes address space only: the system gives pages as they are used.
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCHES * BATCH_BYTES].into_boxed_slice(),
            metas: std::array::from_fn(|_| RecvMeta::default()),
            filled: 0,
        }
    }

    pub(crate) fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let filled = self.metas.iter().take(self.filled);
        filled
            .zip(self.bytes.chunks(BATCH_BYTES))
            .map(|(meta, bytes)| Batch {
                from: SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port()),
                here: meta.dst_ip,
                ecn: meta.ecn,
                stride: meta.stride.max(1),
                data: bytes.get(..meta.len).unwrap_or_default(),
            })
    }
}
