//! Packets as the checks read them: written for them alone, so that they do not rest on the code they check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A TCP segment in an IP packet whose sums are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    /// Value and echo.
    pub(crate) stamps: Option<(u32, u32)>,
    pub(crate) sack: Vec<(u32, u32)>,
    /// Octets of the TCP header.
    pub(crate) header: usize,
    pub(crate) payload: &'a [u8],
}

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;

impl<'a> Seen<'a> {
    /// The segment in this packet; `None` if it is none, or if something was changed on the way.
    pub(crate) fn read(packet: &'a [u8]) -> Option<Self> {
        let (from, to, segment) = match packet.first()? >> 4 {
            4 => read_v4(packet)?,
            6 => read_v6(packet)?,
            _ => return None,
        };
        if sum(pseudo(from, to, segment.len()), segment) != 0xffff {
            return None;
        }
        let word = |at: usize| {
            Some(u16::from_be_bytes([
                *segment.get(at)?,
                *segment.get(at + 1)?,
            ]))
        };
        let long = |at: usize| Some(u32::from(word(at)?) << 16 | u32::from(word(at + 2)?));
        let header = usize::from(segment.get(12)? >> 4) * 4;
        let mut seen = Self {
            from: SocketAddr::new(from, word(0)?),
            to: SocketAddr::new(to, word(2)?),
            sequence: long(4)?,
            acknowledgment: long(8)?,
            flags: *segment.get(13)? & 0x3f,
            window: word(14)?,
            mss: None,
            scale: None,
            sack_permitted: false,
            stamps: None,
            sack: Vec::new(),
            header,
            payload: segment.get(header..)?,
        };
        seen.read_options(segment.get(20..header)?);
        Some(seen)
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Numbers that it takes.
    pub(crate) fn length(&self) -> u64 {
        self.payload.len() as u64 + u64::from(self.has(SYN)) + u64::from(self.has(FIN))
    }

    fn read_options(&mut self, mut rest: &[u8]) {
        let long = |octets: &[u8]| {
            octets
                .iter()
                .fold(0, |sum, &octet| sum << 8 | u32::from(octet))
        };
        while let Some((&kind, behind)) = rest.split_first() {
            if kind == 0 {
                return;
            }
            if kind == 1 {
                rest = behind;
                continue;
            }
            let length = usize::from(*behind.first().unwrap_or(&0));
            let Some((option, next)) = rest.split_at_checked(length).filter(|_| length >= 2) else {
                return;
            };
            rest = next;
            let body = &option[2..];
            match (kind, body.len()) {
                (2, 2) => self.mss = Some(long(body) as u16),
                (3, 1) => self.scale = Some(body[0]),
                (4, 0) => self.sack_permitted = true,
                (5, _) => {
                    let blocks = body.chunks_exact(8);
                    self.sack = blocks.map(|it| (long(&it[..4]), long(&it[4..]))).collect();
                }
                (8, 8) => self.stamps = Some((long(&body[..4]), long(&body[4..]))),
                _ => {}
            }
        }
    }
}

fn read_v4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header = usize::from(packet[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff;
    if header < 20 || *packet.get(9)? != TCP || fragment != 0 {
        return None;
    }
    if sum(0, packet.get(..header)?) != 0xffff {
        return None;
    }
    let address = |at: usize| {
        let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(octets)))
    };
    Some((address(12)?, address(16)?, packet.get(header..total)?))
}

fn read_v6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
    if *packet.get(6)? != TCP {
        return None;
    }
    let address = |at: usize| {
        let octets: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    Some((address(8)?, address(24)?, packet.get(40..40 + length)?))
}

/// The sum of RFC 9293 3.1's pseudo header, not folded.
fn pseudo(from: IpAddr, to: IpAddr, length: usize) -> u32 {
    let words = |octets: &[u8]| add(0, octets);
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => words(&from.octets()) + words(&to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => words(&from.octets()) + words(&to.octets()),
        _ => 0,
    };
    addresses + u32::from(TCP) + length as u32
}

fn add(sum: u32, octets: &[u8]) -> u32 {
    let pair = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    octets.chunks(2).map(pair).sum::<u32>() + sum
}

/// RFC 1071: 0xffff if the sum stands in `octets` and is right.
fn sum(start: u32, octets: &[u8]) -> u16 {
    let mut sum = add(start, octets);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Puts right sums into a packet whose octets were changed.
pub(crate) fn mend(packet: &mut [u8]) {
    let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
    let header = if is_v4 {
        usize::from(packet[0] & 0x0f) * 4
    } else {
        40
    };
    if packet.len() < header + 20 {
        return;
    }
    let length = packet.len();
    let (from, to) = if is_v4 {
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        packet[10..12].fill(0);
        let head = !sum(0, &packet[..header]);
        packet[10..12].copy_from_slice(&head.to_be_bytes());
        let address =
            |at: usize| IpAddr::from([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        (address(12), address(16))
    } else {
        packet[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes());
        let address = |at: usize| {
            let octets: [u8; 16] = packet[at..at + 16].try_into().unwrap_or([0; 16]);
            IpAddr::from(octets)
        };
        (address(8), address(24))
    };
    packet[header + 16..header + 18].fill(0);
    let segment = &packet[header..];
    let whole = !sum(pseudo(from, to, segment.len()), segment);
    packet[header + 16..header + 18].copy_from_slice(&whole.to_be_bytes());
}

/// What a router says of a packet that is too large for its next link (RFC 792, RFC 1191; RFC 4443 3.2): an ICMP error to its sender.
pub(crate) fn too_big(packet: &[u8], mtu: u16) -> Option<Vec<u8>> {
    let router = packet.first()? >> 4;
    if router == 4 {
        let quoted = packet.get(..28)?;
        let mut icmp = vec![3, 4, 0, 0, 0, 0];
        icmp.extend_from_slice(&mtu.to_be_bytes());
        icmp.extend_from_slice(quoted);
        let check = !sum(0, &icmp);
        icmp[2..4].copy_from_slice(&check.to_be_bytes());
        let mut whole = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 198, 51, 100, 1];
        whole.extend_from_slice(packet.get(12..16)?);
        whole.extend_from_slice(&icmp);
        let length = whole.len() as u16;
        whole[2..4].copy_from_slice(&length.to_be_bytes());
        let head = !sum(0, &whole[..20]);
        whole[10..12].copy_from_slice(&head.to_be_bytes());
        return Some(whole);
    }
    let quoted = packet.get(..60)?;
    let mut icmp = vec![2, 0, 0, 0, 0, 0];
    icmp.extend_from_slice(&mtu.to_be_bytes());
    icmp.extend_from_slice(quoted);
    let mut whole = vec![0x60, 0, 0, 0, 0, icmp.len() as u8, 58, 64];
    let router: [u8; 16] = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xff).octets();
    whole.extend_from_slice(&router);
    whole.extend_from_slice(packet.get(8..24)?);
    let addresses = add(0, &whole[8..40]) + 58 + icmp.len() as u32;
    let check = !sum(addresses, &icmp);
    icmp[2..4].copy_from_slice(&check.to_be_bytes());
    whole.extend_from_slice(&icmp);
    Some(whole)
}

/// RFC 9293 3.1.
const TCP: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use gapless_tcp::wire::{Flags, Header, IcmpError, Options, Packet, PacketHeader, Verify};

    /// A packet of the engine's own writing.
    fn written(source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let header = Header {
            source_port: 7,
            destination_port: 80,
            sequence: u32::MAX.into(),
            acknowledgment: 5.into(),
            flags: Flags::ACK | Flags::FIN,
            window: 77,
            urgent: 0,
            options: Options {
                mss: 1460.try_into().ok(),
                window_scale: Some(3),
                ..Options::NONE
            },
        };
        let ip = PacketHeader {
            source,
            destination,
            protocol: TCP,
            ecn: gapless_tcp::wire::Ecn::NotCapable,
            hop_limit: 64,
        };
        let mut packet = vec![0; ip.len() + header.len()];
        packet.extend_from_slice(b"odd");
        let at = ip.len();
        header
            .write(source, destination, &mut packet[at..], Verify::Here)
            .expect("there is room");
        ip.write(&mut packet, Verify::Here).expect("there is room");
        packet
    }

    fn both() -> [Vec<u8>; 2] {
        let v6 = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        [
            written([192, 0, 2, 1].into(), [192, 0, 2, 2].into()),
            written(v6(1), v6(2)),
        ]
    }

    #[test]
    fn what_the_engine_writes_is_read() {
        for packet in both() {
            let seen = Seen::read(&packet).expect("a packet");
            assert_eq!((seen.from.port(), seen.to.port()), (7, 80));
            assert_eq!((seen.sequence, seen.acknowledgment), (u32::MAX, 5));
            assert!(seen.has(ACK) && seen.has(FIN) && !seen.has(SYN));
            assert_eq!(
                (seen.window, seen.mss, seen.scale),
                (77, Some(1460), Some(3))
            );
            assert_eq!((seen.payload, seen.length()), (&b"odd"[..], 4));
        }
    }

    #[test]
    fn any_change_is_noticed_and_can_be_mended() {
        for packet in both() {
            for at in 0..packet.len() {
                let mut changed = packet.clone();
                changed[at] ^= 0x40;
                let is_v6_label = packet[0] >> 4 == 6 && (at < 4 || at == 7);
                assert!(Seen::read(&changed).is_none() || is_v6_label, "octet {at}");
            }
            let mut changed = packet.clone();
            let last = changed.len() - 1;
            changed[last] = b'!';
            mend(&mut changed);
            assert_eq!(Seen::read(&changed).expect("mended").payload, b"od!");
        }
    }

    #[test]
    fn the_engine_understands_the_router() {
        for packet in both() {
            let said = too_big(&packet, 1300).expect("a packet is quoted");
            let parsed = Packet::parse(&said, Verify::Here).expect("an IP packet");
            let error = IcmpError::parse(&parsed, Verify::Here).expect("an error");
            assert_eq!(error.quoted.source_port, 7);
            assert!(matches!(
                error.reason,
                gapless_tcp::wire::Reason::TooBig { mtu: 1300 }
            ));
        }
    }
}
