//! smoltcp's TCP as the other side: its sockets on a device that is a list of packets.

use gapless_lab::Time;
use gapless_lab::tcp::{Engine, Handle, Make, Read, Standing, TcpHost, Write};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, RecvError, Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    HardwareAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Packet, Ipv6Packet, TcpPacket,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// By the name that `--against` takes.
pub(crate) const NAME: &str = "smoltcp";
pub(crate) const MAKE: Make = make;

fn make(host: &TcpHost, address: IpAddr, seed: u64) -> Box<dyn Engine> {
    Box::new(Smoltcp::new(host, address, seed))
}

struct Smoltcp {
    interface: Interface,
    device: Wire,
    sockets: SocketSet<'static>,
    /// By handle of the lab.
    connections: Vec<Entry>,
    /// It has no queue of connections: each waiting socket takes one.
    listening: Vec<SocketHandle>,
    listens: bool,
    buffers: (usize, usize),
    nagle: bool,
    next_port: u16,
}

struct Entry {
    socket: SocketHandle,
    /// The peer's end was seen.
    ended: bool,
    /// We said that we write no more.
    shut: bool,
    opened: bool,
}

/// Packets that came and were not looked at, and packets to be fetched.
struct Wire {
    arrived: VecDeque<Vec<u8>>,
    leaving: VecDeque<Vec<u8>>,
    mtu: usize,
}

impl Smoltcp {
    fn new(host: &TcpHost, address: IpAddr, seed: u64) -> Self {
        let mut device = Wire {
            arrived: VecDeque::new(),
            leaving: VecDeque::new(),
            mtu: host.config.mtu.into(),
        };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        let prefix = if address.is_ipv4() { 24 } else { 64 };
        interface.update_ip_addrs(|addresses| {
            // There is room for one.
            let _ = addresses.push(IpCidr::new(IpAddress::from(address), prefix));
        });
        let connection = &host.config.connection;
        let mut smoltcp = Self {
            interface,
            device,
            sockets: SocketSet::new(Vec::new()),
            connections: Vec::new(),
            listening: Vec::new(),
            listens: true,
            // Less than a segment is no buffer for it.
            buffers: (
                (connection.receive_buffer as usize).max(LEAST_BUFFER),
                (connection.send_buffer as usize).max(LEAST_BUFFER),
            ),
            nagle: connection.nagle,
            next_port: 49_152,
        };
        smoltcp.listen();
        smoltcp
    }

    fn listen(&mut self) {
        while self.listens && self.listening.len() < WAITING {
            let mut socket = self.socket();
            if socket.listen(PORT).is_err() {
                return;
            }
            self.listening.push(self.sockets.add(socket));
        }
    }

    fn socket(&self) -> Socket<'static> {
        let buffer = |size: usize| SocketBuffer::new(vec![0; size]);
        let mut socket = Socket::new(buffer(self.buffers.0), buffer(self.buffers.1));
        socket.set_congestion_control(CongestionControl::Cubic);
        socket.set_nagle_enabled(self.nagle);
        socket.set_keep_alive(Some(Duration::from_secs(5)));
        socket.set_timeout(Some(Duration::from_secs(150)));
        socket
    }

    fn enter(&mut self, socket: SocketHandle) -> Handle {
        self.connections.push(Entry {
            socket,
            ended: false,
            shut: false,
            opened: false,
        });
        self.connections.len() - 1
    }

    fn get(&mut self, connection: Handle) -> &mut Socket<'static> {
        self.sockets.get_mut(self.connections[connection].socket)
    }

    /// It has no listeners: each socket that listens takes one connection, and a SYN goes to the first in its list that takes it. A socket that
    /// was reset half open listens again; if it stands before the one that answered this SYN's first copy, it answers the second one, too, with
    /// another number, and resets the connection that the dialer believes in. The second copy is dropped here: the first answer
    /// goes again by itself.
    fn is_second_syn(&self, packet: &[u8]) -> bool {
        let Some(remote) = dialer(packet) else {
            return false;
        };
        let mut sockets = self.listening.iter().map(|socket| {
            let socket = self.sockets.get::<Socket<'_>>(*socket);
            (socket.state(), socket.remote_endpoint())
        });
        sockets.any(|(state, end)| state != State::Listen && end == Some(remote))
    }

    fn poll(&mut self, now: Time) {
        let now = instant(now);
        self.interface
            .poll(now, &mut self.device, &mut self.sockets);
        for entry in &mut self.connections {
            let state = self.sockets.get::<Socket<'_>>(entry.socket).state();
            entry.ended |= matches!(
                state,
                State::CloseWait | State::LastAck | State::Closing | State::TimeWait
            );
            entry.opened |= !matches!(state, State::SynSent | State::Closed);
        }
    }
}

impl Engine for Smoltcp {
    fn handle(&mut self, now: Time, packet: &[u8]) {
        if !self.is_second_syn(packet) {
            self.device.arrived.push_back(packet.to_vec());
        }
        self.poll(now);
    }

    fn poll_transmit(&mut self, now: Time) -> Option<Vec<u8>> {
        if self.device.leaving.is_empty() {
            self.poll(now);
        }
        self.device.leaving.pop_front()
    }

    fn handle_timeout(&mut self, now: Time) {
        self.poll(now);
    }

    fn next_deadline(&mut self, now: Time) -> Option<Time> {
        let at = self.interface.poll_at(instant(now), &self.sockets)?;
        let at = u64::try_from(at.total_micros()).ok()? * 1000;
        Some(at.max(now.next_multiple_of(1000)))
    }

    fn connect(&mut self, _now: Time, remote: SocketAddr) -> Option<Handle> {
        let socket = self.socket();
        let socket = self.sockets.add(socket);
        let port = self.next_port;
        self.next_port += 1;
        let dialing = self.sockets.get_mut::<Socket<'_>>(socket);
        dialing
            .connect(self.interface.context(), remote, port)
            .ok()?;
        Some(self.enter(socket))
    }

    fn accept(&mut self, _now: Time) -> Option<Handle> {
        let is_taken = |socket: &SocketHandle| {
            let state = self.sockets.get::<Socket<'_>>(*socket).state();
            !matches!(state, State::Listen | State::SynReceived)
        };
        let place = self.listening.iter().position(is_taken)?;
        let socket = self.listening.swap_remove(place);
        self.listen();
        Some(self.enter(socket))
    }

    fn poll_changed(&mut self) -> Option<Handle> {
        None
    }

    fn has_events(&self) -> bool {
        false
    }

    fn read(&mut self, _now: Time, connection: Handle, max: usize) -> Read {
        let has_ended = self.connections[connection].ended;
        let socket = self.get(connection);
        let mut octets = vec![0; max];
        match socket.recv_slice(&mut octets) {
            Ok(0) => Read::Pending,
            Ok(read) => {
                octets.truncate(read);
                Read::Data(octets)
            }
            Err(RecvError::Finished) => Read::End,
            Err(RecvError::InvalidState) => match socket.state() {
                State::SynSent | State::SynReceived => Read::Pending,
                _ if has_ended => Read::End,
                _ => Read::Failed,
            },
        }
    }

    fn write(&mut self, _now: Time, connection: Handle, octets: &[u8]) -> Write {
        let socket = self.get(connection);
        match socket.send_slice(octets) {
            Ok(0) => Write::Full,
            Ok(taken) => Write::Taken(taken),
            Err(_) if matches!(socket.state(), State::SynSent | State::SynReceived) => Write::Full,
            Err(_) => Write::Failed,
        }
    }

    fn shutdown(&mut self, _now: Time, connection: Handle) {
        self.connections[connection].shut = true;
        self.get(connection).close();
    }

    fn abort(&mut self, _now: Time, connection: Handle) {
        self.get(connection).abort();
    }

    /// It has no call for this: who leaves before the peer's end resets the connection, as kernels do.
    fn release(&mut self, _now: Time, connection: Handle) {
        let has_ended = self.connections[connection].ended;
        let socket = self.get(connection);
        if has_ended || !socket.may_recv() {
            socket.close();
        } else {
            socket.abort();
        }
    }

    fn standing(&self, connection: Handle) -> Standing {
        let entry = &self.connections[connection];
        let socket = self.sockets.get::<Socket<'_>>(entry.socket);
        match socket.state() {
            State::Closed if entry.ended && entry.shut => Standing::Finished,
            State::Closed => Standing::Reset,
            State::FinWait2 | State::TimeWait => Standing::Flushed,
            State::Established | State::CloseWait if socket.send_queue() == 0 => Standing::Flushed,
            _ => Standing::Open,
        }
    }

    fn connections(&self) -> usize {
        let open = self.connections.iter().filter(|entry| {
            let socket = self.sockets.get::<Socket<'_>>(entry.socket);
            socket.is_open()
        });
        open.count()
    }

    fn unlisten(&mut self, _now: Time) {
        self.listens = false;
        for socket in self.listening.drain(..) {
            self.sockets.get_mut::<Socket<'_>>(socket).abort();
        }
    }
}

/// Who sends this SYN, if it is one.
fn dialer(packet: &[u8]) -> Option<IpEndpoint> {
    let (source, segment): (IpAddress, &[u8]) = match packet.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            (packet.src_addr().into(), packet.payload())
        }
        _ => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            (packet.src_addr().into(), packet.payload())
        }
    };
    let segment = TcpPacket::new_checked(segment).ok()?;
    let is_first = segment.syn() && !segment.ack();
    is_first.then(|| IpEndpoint::new(source, segment.src_port()))
}

impl Device for Wire {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Arrived, Leaving<'_>)> {
        let packet = self.arrived.pop_front()?;
        Some((Arrived(packet), Leaving(&mut self.leaving)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Leaving<'_>> {
        Some(Leaving(&mut self.leaving))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

struct Arrived(Vec<u8>);

impl phy::RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Leaving<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}

/// smoltcp counts microseconds.
fn instant(now: Time) -> Instant {
    Instant::from_micros(i64::try_from(now / 1000).unwrap_or(i64::MAX))
}

/// The lab's.
const PORT: u16 = 7;
/// Sockets that wait for connections at a time: as many as the lab opens at once.
const WAITING: usize = 320;
const LEAST_BUFFER: usize = 2048;
