//! smoltcp's TCP over IPv4, without a link layer.
//!
//! Its release 0.14 is the first whose congestion window limits what is in flight: in 0.12 the window was held against the bytes not yet
//! sent, whatever was underway, and CUBIC counted bytes where its formula counts segments. Its receivers tell of gaps by SACK; its senders
//! do not use that: after three duplicate acknowledgements they repeat one segment, and leave fast recovery with the first acknowledgement of
//! new data (RFC 5681), so that a second loss in the same window waits for the timeout, of a second at least.
//!
//! Nagle's algorithm stays on, as it is by default: without it, senders cut the rest of the congestion window into small segments.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, anyhow};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address};

use crate::engine::{End, Packet, Time, Transfer};

/// Bytes of an IPv4 packet on an Ethernet, as those that the others' datagrams lie in.
const MTU: usize = 1500;
/// What the path adds to a payload; smoltcp's packets bring their headers along.
const HEADERS: usize = gapless_link::HEADER_BYTES as usize;
const PORT: u16 = 7;
/// Bytes of one write or read.
const CHUNK: usize = 64 << 10;

pub(crate) struct Smoltcp {
    ends: [Host; 2],
    left: u64,
    delivered: u64,
    chunk: Vec<u8>,
}

struct Host {
    interface: Interface,
    device: Wire,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

/// The end of the wire: packets that came and were not looked at, packets to be fetched.
#[derive(Default)]
struct Wire {
    arrived: VecDeque<Vec<u8>>,
    leaving: Vec<Packet>,
}

impl Smoltcp {
    /// `buffer` is what each socket may hold in each direction, bytes.
    pub(crate) fn new(
        control: CongestionControl,
        buffer: usize,
        bytes: u64,
        now: Time,
        seed: u64,
    ) -> Result<Self> {
        let mut sender = Host::new(End::Sender, control, buffer, now, seed)?;
        let mut receiver = Host::new(End::Receiver, control, buffer, now, !seed)?;
        let listened = receiver.socket().listen(PORT);
        listened.map_err(|error| anyhow!("cannot listen: {error}"))?;
        let remote = (address(End::Receiver), PORT);
        let socket = sender.sockets.get_mut::<Socket<'_>>(sender.socket);
        let dialed = socket.connect(sender.interface.context(), remote, 1000);
        dialed.map_err(|error| anyhow!("cannot dial: {error}"))?;
        Ok(Smoltcp {
            ends: [sender, receiver],
            left: bytes,
            delivered: 0,
            chunk: vec![7; CHUNK],
        })
    }

    fn host(&mut self, end: End) -> &mut Host {
        match end {
            End::Sender => &mut self.ends[0],
            End::Receiver => &mut self.ends[1],
        }
    }

    fn write(&mut self) -> Result<()> {
        let socket = self.ends[0].socket();
        while self.left > 0 && socket.can_send() {
            let size = CHUNK.min(usize::try_from(self.left)?);
            let taken = socket.send_slice(&self.chunk[..size]);
            self.left -= taken.map_err(|error| anyhow!("cannot write: {error}"))? as u64;
            if self.left == 0 {
                // Nagle's algorithm would keep back the last segment until all before it are acknowledged.
                socket.close();
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let socket = self.ends[1].socket();
        while socket.can_recv() {
            let read = socket.recv(|data| (data.len(), data.len()));
            self.delivered += read.map_err(|error| anyhow!("cannot read: {error}"))? as u64;
        }
        Ok(())
    }
}

impl Host {
    fn new(
        end: End,
        control: CongestionControl,
        buffer: usize,
        now: Time,
        seed: u64,
    ) -> Result<Self> {
        let mut device = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, instant(now));
        let mut added = Ok(());
        interface.update_ip_addrs(|addresses| {
            added = addresses.push(IpCidr::new(address(end), 24));
        });
        added.ok().context("the interface takes no address")?;
        let buffer = || SocketBuffer::new(vec![0; buffer]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_congestion_control(control);
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(socket);
        Ok(Host {
            interface,
            device,
            sockets,
            socket,
        })
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    fn poll(&mut self, now: Time) {
        let now = instant(now);
        self.interface
            .poll(now, &mut self.device, &mut self.sockets);
    }
}

impl Transfer for Smoltcp {
    fn act(&mut self, end: End) -> Result<()> {
        match end {
            End::Sender => self.write(),
            End::Receiver => self.read(),
        }
    }

    fn handle(&mut self, end: End, now: Time, packet: &Packet) -> Result<()> {
        let host = self.host(end);
        host.device.arrived.push_back(packet.bytes.clone());
        host.poll(now);
        Ok(())
    }

    fn transmit(&mut self, end: End, now: Time, out: &mut Vec<Packet>) -> Result<()> {
        let host = self.host(end);
        host.poll(now);
        out.append(&mut host.device.leaving);
        Ok(())
    }

    fn deadline(&mut self, end: End, now: Time) -> Option<Time> {
        let host = self.host(end);
        let at = host.interface.poll_at(instant(now), &host.sockets)?;
        Some(u64::try_from(at.total_micros()).ok()? * 1000)
    }

    fn handle_timeout(&mut self, end: End, now: Time) -> Result<()> {
        self.host(end).poll(now);
        Ok(())
    }

    fn is_open(&self) -> bool {
        let host = &self.ends[0];
        let opening = [State::SynSent, State::SynReceived];
        !opening.contains(&host.sockets.get::<Socket<'_>>(host.socket).state())
    }

    fn is_over(&self) -> bool {
        let over = |host: &Host| {
            let state = host.sockets.get::<Socket<'_>>(host.socket).state();
            state == State::Closed
        };
        self.ends.iter().any(over)
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }
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
        capabilities.max_transmission_unit = MTU;
        // The path damages nothing.
        capabilities.checksum = phy::ChecksumCapabilities::ignored();
        capabilities
    }
}

struct Arrived(Vec<u8>);

impl phy::RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Leaving<'a>(&'a mut Vec<Packet>);

impl phy::TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut bytes = vec![0; length];
        let result = write(&mut bytes);
        self.0.push(Packet {
            size: length.saturating_sub(HEADERS),
            bytes,
        });
        result
    }
}

fn address(end: End) -> IpAddress {
    IpAddress::Ipv4(match end {
        End::Sender => Ipv4Address::new(10, 0, 0, 1),
        End::Receiver => Ipv4Address::new(10, 0, 0, 2),
    })
}

/// smoltcp counts microseconds.
fn instant(now: Time) -> Instant {
    Instant::from_micros(i64::try_from(now / 1000).unwrap_or(i64::MAX))
}
