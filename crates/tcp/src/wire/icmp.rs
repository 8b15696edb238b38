//! ICMP errors about our segments (RFC 792, RFC 4443), as TCP needs them (RFC 5927).

use super::checksum::Checksum;
use super::ip::{Packet, protocol};
use super::reader::Reader;
use super::segment::Verify;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use gapless_seq::Wire32;

/// What a router or host says about a segment that it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IcmpError {
    /// What became of it.
    pub reason: Reason,
    /// Which one, as it was when we sent it. A stranger can only guess the number, so it has to be checked (RFC 5927 4.1).
    pub quoted: Quoted,
}

/// What became of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// Nobody there has this port or this protocol, or somebody forbids it: hard, if it is believed (RFC 1122 4.2.3.9).
    Refused,
    /// No route, or no such host, for now: soft (RFC 5461).
    Unreachable,
    /// Too many routers: soft.
    HopLimit,
    /// It was larger than a link on the way takes (RFC 1191, RFC 8201).
    TooBig {
        /// The largest packet that this link takes, octets of IP; 0 if the router did not say (RFC 1191 section 5).
        mtu: u32,
    },
    /// Something in the header displeased: soft.
    BadHeader,
}

/// The segment that an error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// Ours.
    pub source: IpAddr,
    /// The peer's.
    pub destination: IpAddr,
    /// Ours.
    pub source_port: u16,
    /// The peer's.
    pub destination_port: u16,
    /// Of the first octet.
    pub sequence: Wire32,
}

impl IcmpError {
    /// The error that this packet carries about a segment of TCP. `None` for everything else, broken or not: it is not TCP's.
    #[must_use]
    pub fn parse(packet: &Packet<'_>, verify: Verify) -> Option<Self> {
        let mut sum = match packet.protocol {
            protocol::ICMP if packet.source.is_ipv4() => Checksum::new(),
            protocol::ICMPV6 if packet.source.is_ipv6() => Checksum::pseudo_header(
                packet.source,
                packet.destination,
                protocol::ICMPV6,
                packet.payload.len(),
            ),
            _ => return None,
        };
        sum.add(packet.payload);
        if verify == Verify::Here && sum.finish() != 0 {
            return None;
        }
        let mut reader = Reader::new(packet.payload);
        let [kind, code] = reader.array()?;
        let _checksum = reader.u16()?;
        let value = reader.u32()?;
        let is_v4 = packet.protocol == protocol::ICMP;
        let reason = if is_v4 {
            reason_v4(kind, code, value)?
        } else {
            reason_v6(kind, code, value)?
        };
        let quoted = if is_v4 {
            quoted_v4(reader)?
        } else {
            quoted_v6(reader)?
        };
        Some(Self { reason, quoted })
    }
}

/// RFC 792, RFC 1122 3.2.2, RFC 1812 5.2.7.1. A source quench says nothing (RFC 6633).
const fn reason_v4(kind: u8, code: u8, value: u32) -> Option<Reason> {
    match (kind, code) {
        (3, 4) => Some(Reason::TooBig {
            // RFC 1191 section 4: the low half.
            mtu: value & 0xffff,
        }),
        // Protocol, port, and administratively prohibited.
        (3, 2 | 3 | 9 | 10 | 13) => Some(Reason::Refused),
        (3, _) => Some(Reason::Unreachable),
        // In transit; while putting fragments together is no concern of ours, for none are sent.
        (11, 0) => Some(Reason::HopLimit),
        (12, _) => Some(Reason::BadHeader),
        _ => None,
    }
}

/// RFC 4443 section 3.
const fn reason_v6(kind: u8, code: u8, value: u32) -> Option<Reason> {
    match (kind, code) {
        // Prohibited, port, and policies that refuse (RFC 5461 4.1, RFC 4443 3.1).
        (1, 1 | 4 | 5 | 6) => Some(Reason::Refused),
        (1, _) => Some(Reason::Unreachable),
        (2, _) => Some(Reason::TooBig { mtu: value }),
        (3, 0) => Some(Reason::HopLimit),
        // An unknown next header: nobody there speaks TCP (RFC 5461 section 3.1 counts it as soft all the same).
        (4, _) => Some(Reason::BadHeader),
        _ => None,
    }
}

/// The quoted packet may end right behind the first eight octets of TCP, and its lengths and checksums may be spoiled (RFC 1812
/// 4.3.2.3): only addresses, ports and number are read.
fn quoted_v4(mut reader: Reader<'_>) -> Option<Quoted> {
    let [version_and_length, _, _, _, _, _, f0, f1, _, inner, _, _] = reader.array()?;
    let source: [u8; 4] = reader.array()?;
    let destination: [u8; 4] = reader.array()?;
    let options = usize::from(version_and_length & 0x0f)
        .checked_sub(5)?
        .saturating_mul(4);
    reader.slice(options)?;
    let is_first = u16::from_be_bytes([f0, f1]) & 0x1fff == 0;
    let is_tcp = version_and_length.wrapping_shr(4) == 4 && inner == protocol::TCP;
    let (source, destination) = (Ipv4Addr::from(source), Ipv4Addr::from(destination));
    (is_tcp && is_first)
        .then(|| quoted(reader, source.into(), destination.into()))
        .flatten()
}

/// We send no extension headers, so a quoted packet that has some is not ours.
fn quoted_v6(mut reader: Reader<'_>) -> Option<Quoted> {
    let [version, _, _, _, _, _, inner, _] = reader.array()?;
    let source: [u8; 16] = reader.array()?;
    let destination: [u8; 16] = reader.array()?;
    let is_tcp = version.wrapping_shr(4) == 6 && inner == protocol::TCP;
    let (source, destination) = (Ipv6Addr::from(source), Ipv6Addr::from(destination));
    is_tcp
        .then(|| quoted(reader, source.into(), destination.into()))
        .flatten()
}

fn quoted(mut reader: Reader<'_>, source: IpAddr, destination: IpAddr) -> Option<Quoted> {
    Some(Quoted {
        source,
        destination,
        source_port: reader.u16()?,
        destination_port: reader.u16()?,
        sequence: reader.u32()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::flags::Flags;
    use super::super::ip::{Ecn, PacketHeader};
    use super::super::options::Options;
    use super::super::segment::Header;
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn addresses(v6: bool) -> [IpAddr; 3] {
        let of = |text: &str| text.parse().unwrap();
        if v6 {
            [of("2001:db8::1"), of("2001:db8::2"), of("2001:db8::ff")]
        } else {
            [of("192.0.2.1"), of("198.51.100.7"), of("203.0.113.1")]
        }
    }

    fn packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let header = PacketHeader {
            source,
            destination,
            protocol,
            ecn: Ecn::NotCapable,
            hop_limit: 64,
        };
        let mut packet = vec![0; header.len()];
        packet.extend_from_slice(payload);
        header.write(&mut packet, Verify::Here).unwrap();
        packet
    }

    fn our_segment(v6: bool) -> Vec<u8> {
        let [here, there, _] = addresses(v6);
        let header = Header {
            source_port: 40_000,
            destination_port: 443,
            sequence: 0xdead_beef.into(),
            acknowledgment: 7.into(),
            flags: Flags::ACK,
            window: 100,
            urgent: 0,
            options: Options::NONE,
        };
        let mut segment = vec![0; header.len()];
        header.write(here, there, &mut segment, Verify::Here);
        packet(here, there, protocol::TCP, &segment)
    }

    /// An error of a router about so many octets of our segment.
    fn error(v6: bool, kind: u8, code: u8, value: u32, quoted: &[u8]) -> Vec<u8> {
        let [here, _, router] = addresses(v6);
        let mut message = vec![kind, code, 0, 0];
        message.extend_from_slice(&value.to_be_bytes());
        message.extend_from_slice(quoted);
        let upper = if v6 { protocol::ICMPV6 } else { protocol::ICMP };
        let mut sum = Checksum::new();
        if v6 {
            sum = Checksum::pseudo_header(router, here, upper, message.len());
        }
        sum.add(&message);
        message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
        packet(router, here, upper, &message)
    }

    fn parse(octets: &[u8]) -> Option<IcmpError> {
        IcmpError::parse(&Packet::parse(octets, Verify::Here).unwrap(), Verify::Here)
    }

    fn expected(v6: bool, reason: Reason) -> Option<IcmpError> {
        let [here, there, _] = addresses(v6);
        Some(IcmpError {
            reason,
            quoted: Quoted {
                source: here,
                destination: there,
                source_port: 40_000,
                destination_port: 443,
                sequence: 0xdead_beef.into(),
            },
        })
    }

    #[test]
    fn the_errors_of_both_families_are_told_apart() {
        for (v6, kind, code, reason) in [
            (false, 3, 0, Reason::Unreachable),
            (false, 3, 1, Reason::Unreachable),
            (false, 3, 2, Reason::Refused),
            (false, 3, 3, Reason::Refused),
            (false, 3, 4, Reason::TooBig { mtu: 1280 }),
            (false, 3, 13, Reason::Refused),
            (false, 11, 0, Reason::HopLimit),
            (false, 12, 0, Reason::BadHeader),
            (true, 1, 0, Reason::Unreachable),
            (true, 1, 4, Reason::Refused),
            (true, 2, 0, Reason::TooBig { mtu: 1280 }),
            (true, 3, 0, Reason::HopLimit),
            (true, 4, 1, Reason::BadHeader),
        ] {
            let octets = error(v6, kind, code, 1280, &our_segment(v6));
            assert_eq!(parse(&octets), expected(v6, reason), "{kind} {code}");
        }
    }

    #[test]
    fn what_is_no_error_is_nothing() {
        for (v6, kind, code) in [
            (false, 0, 0),
            (false, 4, 0),
            (false, 8, 0),
            (false, 11, 1),
            (true, 128, 0),
            (true, 135, 0),
            (true, 3, 1),
        ] {
            assert_eq!(parse(&error(v6, kind, code, 0, &our_segment(v6))), None);
        }
    }

    #[test]
    fn eight_octets_of_the_segment_are_enough_and_fewer_are_not() {
        for v6 in [false, true] {
            let kind = if v6 { 1 } else { 3 };
            let ours = our_segment(v6);
            let least = if v6 { 48 } else { 28 };
            for length in 0..=ours.len() {
                let parsed = parse(&error(v6, kind, 0, 0, &ours[..length]));
                let wanted = expected(v6, Reason::Unreachable).filter(|_| length >= least);
                assert_eq!(parsed, wanted, "{length} octets");
            }
        }
    }

    #[test]
    fn a_wrong_checksum_is_nothing() {
        for v6 in [false, true] {
            let mut octets = error(v6, if v6 { 1 } else { 3 }, 0, 0, &our_segment(v6));
            let last = octets.len() - 1;
            octets[last] ^= 1;
            assert_eq!(parse(&octets), None);
        }
    }

    #[test]
    fn errors_about_other_protocols_and_later_fragments_are_nothing() {
        let mut ours = our_segment(false);
        ours[9] = 17;
        assert_eq!(parse(&error(false, 3, 3, 0, &ours)), None);
        let mut ours = our_segment(false);
        ours[7] = 1;
        assert_eq!(parse(&error(false, 3, 3, 0, &ours)), None);
        // An IPv6 segment quoted in ICMP for IPv4.
        assert_eq!(parse(&error(false, 3, 3, 0, &our_segment(true))), None);
    }
}
