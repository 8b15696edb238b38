//! smoltcp's TCP over IPv4, without a link layer.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address};

use super::Settings;
use super::measure::{End, port};
use super::wire::{Frame, Wire};

pub(crate) struct Theirs {
    interface: Interface,
    sockets: SocketSet<'static>,
    settings: Settings,
    /// Sockets that listen, and those that were accepted are none of them any more.
    listening: Vec<(SocketHandle, usize)>,
    /// Closed by the application and not yet by the peer.
    closing: Vec<SocketHandle>,
    dialed: u16,
    host: usize,
}

impl Theirs {
    fn socket(&self) -> Socket<'static> {
        let buffer = || SocketBuffer::new(vec![0; self.settings.buffer]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_congestion_control(CongestionControl::Cubic);
        if self.settings.prompt {
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
        }
        socket
    }

    fn listen(&mut self, index: usize) -> Result<()> {
        let mut socket = self.socket();
        let listened = socket.listen(port(index));
        listened.map_err(|error| anyhow!("cannot listen: {error}"))?;
        self.listening.push((self.sockets.add(socket), index));
        Ok(())
    }

    fn state(&self, handle: SocketHandle) -> State {
        self.sockets.get::<Socket<'_>>(handle).state()
    }
}

impl End for Theirs {
    type Handle = SocketHandle;

    fn new(settings: Settings, host: usize) -> Result<Self> {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = host as u64;
        let mut none = [Wire::new(settings.mtu, 1), Wire::new(settings.mtu, 1)];
        let [arriving, leaving] = &mut none;
        let mut device = Joined {
            arriving,
            leaving,
            settings,
        };
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        let mut added = Ok(());
        interface.update_ip_addrs(|addresses| {
            added = addresses.push(IpCidr::new(address(host), 24));
        });
        added.ok().context("the interface takes no address")?;
        let mut end = Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            settings,
            listening: Vec::new(),
            closing: Vec::new(),
            dialed: 0,
            host,
        };
        if host == 1 {
            // One socket takes one connection. Where they come one after the other, one that listens again is enough.
            let all = settings.connections <= super::MANY_OF_THEIRS;
            for index in 0..if all { settings.connections } else { 1 } {
                end.listen(index)?;
            }
        }
        Ok(end)
    }

    fn dial(&mut self, _now: Duration, index: usize) -> Result<SocketHandle> {
        let mut socket = self.socket();
        self.dialed = self.dialed.wrapping_add(1);
        let remote = (address(1), port(index));
        let local = 1025 + self.dialed % 64_000;
        let dialed = socket.connect(self.interface.context(), remote, local);
        dialed.map_err(|error| anyhow!("cannot dial: {error}"))?;
        Ok(self.sockets.add(socket))
    }

    fn accept(&mut self) -> Option<SocketHandle> {
        let open = |state| state == State::Established;
        let place = (0..self.listening.len()).find(|place| {
            let (handle, _) = self.listening[*place];
            open(self.state(handle))
        })?;
        let (handle, index) = self.listening.swap_remove(place);
        if self.listening.is_empty() && self.settings.connections > super::MANY_OF_THEIRS {
            self.listen(index + 1).ok()?;
        }
        Some(handle)
    }

    fn is_open(&self, handle: SocketHandle) -> bool {
        self.state(handle) == State::Established
    }

    fn write(&mut self, handle: SocketHandle, octets: &[u8]) -> usize {
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        socket.send_slice(octets).unwrap_or(0)
    }

    fn read(&mut self, handle: SocketHandle, room: &mut [u8]) -> usize {
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        socket.recv_slice(room).unwrap_or(0)
    }

    fn close(&mut self, _now: Duration, handle: SocketHandle) {
        self.sockets.get_mut::<Socket<'_>>(handle).close();
        self.closing.push(handle);
    }

    fn work(&mut self, now: Duration, arriving: &mut Wire, leaving: &mut Wire) -> bool {
        let mut device = Joined {
            arriving,
            leaving,
            settings: self.settings,
        };
        let polled = self
            .interface
            .poll(instant(now), &mut device, &mut self.sockets);
        let sockets = &mut self.sockets;
        self.closing.retain(|handle| {
            let state = sockets.get::<Socket<'_>>(*handle).state();
            let is_over = matches!(state, State::Closed | State::TimeWait);
            if is_over {
                sockets.remove(*handle);
            }
            !is_over
        });
        polled != smoltcp::iface::PollResult::None
    }

    fn memory(&self) -> usize {
        let each = size_of::<Socket<'_>>() + 2 * self.settings.buffer;
        let count = self.sockets.iter().count();
        debug_assert!(self.host < 2);
        each * count
    }
}

/// Both wires, as one device.
struct Joined<'w> {
    arriving: &'w mut Wire,
    leaving: &'w mut Wire,
    settings: Settings,
}

struct Arrived<'a> {
    wire: &'a mut Wire,
    frame: Frame,
}

struct Leaving<'a>(&'a mut Wire);

impl Device for Joined<'_> {
    type RxToken<'a>
        = Arrived<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Leaving<'a>
    where
        Self: 'a;

    fn receive(&mut self, _now: Instant) -> Option<(Arrived<'_>, Leaving<'_>)> {
        let frame = self.arriving.take()?;
        let arrived = Arrived {
            wire: self.arriving,
            frame,
        };
        Some((arrived, Leaving(self.leaving)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Leaving<'_>> {
        if self.leaving.is_full() {
            return None;
        }
        Some(Leaving(self.leaving))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.settings.mtu;
        if !self.settings.checksums {
            capabilities.checksum = phy::ChecksumCapabilities::ignored();
        }
        capabilities
    }
}

impl phy::RxToken for Arrived<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let result = read(self.frame.packet());
        self.wire.give_back(self.frame);
        result
    }
}

impl phy::TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        self.0.put(|buffer| (length, write(&mut buffer[..length])))
    }
}

fn address(host: usize) -> IpAddress {
    IpAddress::Ipv4(Ipv4Address::new(10, 0, 0, if host == 0 { 1 } else { 2 }))
}

/// smoltcp counts microseconds.
fn instant(now: Duration) -> Instant {
    Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
