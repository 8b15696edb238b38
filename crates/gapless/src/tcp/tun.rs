//! TUN devices: the system at the other end of the cable.

use super::device::{Abilities, Device, Inbox};
use gapless_sockets::Transmit;
use gapless_tcp::wire::Verify;
use gapless_tcp::{Checksums, Trains};
use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;
use std::task::{Context, Poll, ready};
use tun_rs::{AsyncDevice, DeviceBuilder, VIRTIO_NET_HDR_LEN, VirtioNetHdr};

/// A TUN device of Linux: a [`Stack`](super::Stack) behind it is a host that the system reaches through an interface of its own. Making one takes
/// `CAP_NET_ADMIN`; it is gone when it is dropped.
///
/// ```no_run
/// use gapless::tcp::{Stack, StackConfig, TcpListener, Tun, TunConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let device = Tun::open(&TunConfig {
///     system: Some(([10, 9, 0, 1].into(), 24)),
///     ..TunConfig::default()
/// })?;
/// println!("the interface is {}", device.name()?);
/// let stack = Stack::new(device, StackConfig::default())?;
/// stack.add_address([10, 9, 0, 2].into())?;
/// // Any program of the system can dial 10.9.0.2 now.
/// let listener = TcpListener::bind(&stack, "10.9.0.2:80".parse().unwrap())?;
/// # let _ = listener;
/// # Ok(())
/// # }
/// ```
pub struct Tun {
    device: AsyncDevice,
    abilities: Abilities,
    buffer: Box<[u8]>,
}

/// What a TUN device is to be.
#[derive(Clone, Debug)]
pub struct TunConfig {
    /// Of the interface; `None`: `tun0` or the next one that is free.
    pub name: Option<String>,
    /// The address of the system's end, and how many bits of it are the network's. `None`: somebody else will see to it.
    pub system: Option<(IpAddr, u8)>,
    /// Octets of the largest packet.
    pub mtu: u16,
    /// Exchange large segments with the system, without checksums: several times faster. Off for who wants to see each segment.
    pub offload: bool,
}

impl Default for TunConfig {
    fn default() -> Self {
        Self {
            name: None,
            system: None,
            mtu: 1500,
            offload: true,
        }
    }
}

/// Of the header of virtio (5.1.6 of its specification): the checksum is not complete, and is right.
const NEEDS_CHECKSUM: u8 = 1;
const CHECKSUM_VALID: u8 = 2;
const CUT_TCP_V4: u8 = 1;
const CUT_TCP_V6: u8 = 4;
const CUT_WITH_CWR: u8 = 0x80;

/// Packets that are taken at once.
const AT_ONCE: usize = 64;

/// The device is in a state in which nothing will ever work: Linux's EBADFD.
const BAD_STATE: i32 = 77;

impl Tun {
    /// Makes a device, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `PermissionDenied` without the capability, `AddrInUse` or similar if the name is taken, `NotFound` if the system has no TUN devices.
    pub fn open(config: &TunConfig) -> io::Result<Self> {
        let mut builder = DeviceBuilder::new()
            .mtu(config.mtu)
            .offload(config.offload)
            .with(|builder| {
                builder.packet_information(false);
            });
        if let Some(name) = &config.name {
            builder = builder.name(name.as_str());
        }
        match config.system {
            Some((IpAddr::V4(address), bits)) => builder = builder.ipv4(address, bits, None),
            Some((IpAddr::V6(address), bits)) => builder = builder.ipv6(address, bits),
            None => {}
        }
        let device = builder.build_async()?;
        let abilities = if config.offload {
            Abilities {
                mtu: config.mtu,
                checksums: Checksums {
                    send: Verify::Device,
                    receive: Verify::Here,
                },
                trains: Some(Trains::default()),
            }
        } else {
            Abilities::plain(config.mtu)
        };
        Ok(Self {
            device,
            abilities,
            buffer: vec![0; VIRTIO_NET_HDR_LEN + usize::from(u16::MAX)].into_boxed_slice(),
        })
    }

    /// What the system calls the interface.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn name(&self) -> io::Result<String> {
        self.device.name()
    }

    fn has_header(&self) -> bool {
        self.abilities.trains.is_some()
    }

    /// Puts the packet at the front of the buffer into the inbox.
    fn take(&self, length: usize, inbox: &mut Inbox) -> io::Result<()> {
        let read = self.buffer.get(..length).unwrap_or_default();
        if !self.has_header() {
            inbox.push(read, Verify::Here);
            return Ok(());
        }
        let header = VirtioNetHdr::decode(read)?;
        let is_seen_to = header.flags & (NEEDS_CHECKSUM | CHECKSUM_VALID) != 0;
        let checksum = if is_seen_to {
            Verify::Device
        } else {
            Verify::Here
        };
        inbox.push(read.get(VIRTIO_NET_HDR_LEN..).unwrap_or_default(), checksum);
        Ok(())
    }

    fn try_send(&self, packet: &[u8], transmit: &Transmit) -> io::Result<usize> {
        if !self.has_header() {
            return self.device.try_send(packet);
        }
        let mut header = [0; VIRTIO_NET_HDR_LEN];
        describe(packet, transmit).encode(&mut header)?;
        self.device
            .try_send_vectored(&[IoSlice::new(&header), IoSlice::new(packet)])
    }
}

/// What the system is told of a packet.
fn describe(packet: &[u8], transmit: &Transmit) -> VirtioNetHdr {
    let mut header = VirtioNetHdr::default();
    let Some(checksum) = transmit.checksum else {
        return header;
    };
    header.flags = NEEDS_CHECKSUM;
    header.csum_start = checksum.start;
    header.csum_offset = checksum.offset;
    if let Some(size) = transmit.segment_size {
        let is_v6 = packet.first().is_some_and(|octet| octet >> 4 == 6);
        // RFC 3168 6.1.2: only the first segment says that the window was reduced.
        let flags = packet.get(usize::from(checksum.start) + 13);
        let has_cwr = flags.is_some_and(|flags| flags & 0x80 != 0);
        header.gso_type = if is_v6 { CUT_TCP_V6 } else { CUT_TCP_V4 };
        header.gso_type |= if has_cwr { CUT_WITH_CWR } else { 0 };
        header.gso_size = size.get();
        header.hdr_len = transmit.headers;
    }
    header
}

impl Device for Tun {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox) -> Poll<io::Result<()>> {
        let length = ready!(self.device.poll_recv(cx, &mut self.buffer))?;
        self.take(length, inbox)?;
        while inbox.len() < AT_ONCE {
            match self.device.try_recv(&mut self.buffer) {
                Ok(length) => self.take(length, inbox)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        packet: &[u8],
        transmit: &Transmit,
    ) -> Poll<io::Result<()>> {
        loop {
            let sent = self.try_send(packet, transmit);
            match sent {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.device.poll_writable(cx))?;
                }
                Err(error) if error.raw_os_error() == Some(BAD_STATE) => {
                    return Poll::Ready(Err(error));
                }
                // The interface is down for now, or out of memory: as if the packet had been lost.
                Ok(_) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl std::fmt::Debug for Tun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tun")
            .field("abilities", &self.abilities)
            .finish_non_exhaustive()
    }
}
