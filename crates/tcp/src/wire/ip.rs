//! IP packets of both versions (RFC 791, RFC 8200), as far as TCP needs them.

use super::checksum::Checksum;
use super::reader::Reader;
use super::segment::Verify;
use super::writer::Writer;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Numbers of upper layers (RFC 9293 3.1, RFC 792, RFC 4443).
pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const ICMPV6: u8 = 58;
}

/// Octets of an IPv4 header without options.
pub const IPV4_HEADER: usize = 20;

/// Octets of an IPv6 header without extensions.
pub const IPV6_HEADER: usize = 40;

/// Explicit congestion notification (RFC 3168 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Ecn {
    /// The sender does not take marks.
    #[default]
    NotCapable,
    /// ECT(0).
    Capable0,
    /// ECT(1).
    Capable1,
    /// A router marked it.
    Congestion,
}

impl Ecn {
    const fn from_octet(octet: u8) -> Self {
        match octet & 0b11 {
            0b00 => Self::NotCapable,
            0b10 => Self::Capable0,
            0b01 => Self::Capable1,
            _ => Self::Congestion,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::NotCapable => 0b00,
            Self::Capable0 => 0b10,
            Self::Capable1 => 0b01,
            Self::Congestion => 0b11,
        }
    }
}

/// What TCP is told of a packet that carries it, or of an ICMP error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it is for. Of the same family.
    pub destination: IpAddr,
    /// The number of the upper layer.
    pub protocol: u8,
    /// Whether a router marked it.
    pub ecn: Ecn,
    /// The time to live, or hop limit, that was left.
    pub hop_limit: u8,
    /// What the upper layer gets. What a link added behind the packet's own length is cut off.
    pub payload: &'a [u8],
}

/// Why octets are no packet for us. All mean: drop it without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum PacketError {
    /// Neither version 4 nor 6.
    #[error("the packet is of IP version {0}")]
    Version(u8),
    /// Fewer octets than the header says.
    #[error("the packet is shorter than its header says")]
    Truncated,
    /// A header shorter than the least one, or longer than the packet.
    #[error("the header's length is impossible")]
    HeaderLength,
    /// The IPv4 header was changed on the way.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// A fragment: putting packets together is not this layer's work, and TCP's never need it (RFC 9293 3.7.5).
    #[error("the packet is a fragment")]
    Fragment,
    /// More extension headers than anybody has reason for.
    #[error("the packet has too many extension headers")]
    Extensions,
}

impl<'a> Packet<'a> {
    /// The packet that these octets are.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn parse(octets: &'a [u8], verify: Verify) -> Result<Self, PacketError> {
        let first = octets.first().ok_or(PacketError::Truncated)?;
        match first.wrapping_shr(4) {
            4 => parse_v4(octets, verify),
            6 => parse_v6(octets),
            version => Err(PacketError::Version(version)),
        }
    }
}

fn parse_v4(octets: &[u8], verify: Verify) -> Result<Packet<'_>, PacketError> {
    let Some((fixed, _)) = octets.split_first_chunk::<IPV4_HEADER>() else {
        return Err(PacketError::Truncated);
    };
    #[rustfmt::skip]
    let [
        version_and_length, traffic_class, l0, l1,
        _, _, f0, f1,
        hop_limit, protocol, _, _,
        s0, s1, s2, s3,
        d0, d1, d2, d3,
    ] = *fixed;
    let header_length = usize::from(version_and_length & 0x0f).saturating_mul(4);
    let total_length = usize::from(u16::from_be_bytes([l0, l1]));
    if header_length < IPV4_HEADER || header_length > total_length {
        return Err(PacketError::HeaderLength);
    }
    let packet = octets.get(..total_length).ok_or(PacketError::Truncated)?;
    let (header, payload) = packet
        .split_at_checked(header_length)
        .ok_or(PacketError::HeaderLength)?;
    if verify == Verify::Here {
        let mut sum = Checksum::new();
        sum.add(header);
        if sum.finish() != 0 {
            return Err(PacketError::Checksum);
        }
    }
    // More fragments, or an offset; the don't-fragment bit is no concern of a receiver.
    if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return Err(PacketError::Fragment);
    }
    Ok(Packet {
        source: Ipv4Addr::new(s0, s1, s2, s3).into(),
        destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
        protocol,
        ecn: Ecn::from_octet(traffic_class),
        hop_limit,
        payload,
    })
}

fn parse_v6(octets: &[u8]) -> Result<Packet<'_>, PacketError> {
    let mut reader = Reader::new(octets);
    let truncated = PacketError::Truncated;
    let [c0, c1, _, _] = reader.array().ok_or(truncated)?;
    let length = reader.u16().ok_or(truncated)?;
    let [next, hop_limit] = reader.array().ok_or(truncated)?;
    let source: [u8; 16] = reader.array().ok_or(truncated)?;
    let destination: [u8; 16] = reader.array().ok_or(truncated)?;
    let payload = reader.slice(usize::from(length)).ok_or(truncated)?;
    let (protocol, payload) = skip_extensions(next, payload)?;
    Ok(Packet {
        source: Ipv6Addr::from(source).into(),
        destination: Ipv6Addr::from(destination).into(),
        protocol,
        ecn: Ecn::from_octet(c0.wrapping_shl(4) | c1.wrapping_shr(4)),
        hop_limit,
        payload,
    })
}

/// Extension headers passed at most: each of the kinds that a receiver may skip, and destination options twice (RFC 8200 4.1).
const MAX_EXTENSIONS: usize = 5;

fn skip_extensions(first: u8, payload: &[u8]) -> Result<(u8, &[u8]), PacketError> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let mut next = first;
    let mut reader = Reader::new(payload);
    for _ in 0..=MAX_EXTENSIONS {
        match next {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                let [after, units] = reader.array().ok_or(PacketError::Truncated)?;
                // In units of eight octets, the first of which does not count (RFC 8200 4.3).
                let rest = usize::from(units).saturating_mul(8).saturating_add(6);
                reader.slice(rest).ok_or(PacketError::Truncated)?;
                next = after;
            }
            FRAGMENT => {
                let [after, _, o0, o1, _, _, _, _] =
                    reader.array().ok_or(PacketError::Truncated)?;
                // A whole packet that calls itself a fragment is whole (RFC 6946 section 4).
                if u16::from_be_bytes([o0, o1]) & 0xfff9 != 0 {
                    return Err(PacketError::Fragment);
                }
                next = after;
            }
            protocol => return Ok((protocol, reader.rest())),
        }
    }
    Err(PacketError::Extensions)
}

/// The header of a packet to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketHeader {
    /// Our address.
    pub source: IpAddr,
    /// The other one's. Of the same family, or nothing is written.
    pub destination: IpAddr,
    /// The number of the upper layer.
    pub protocol: u8,
    /// Whether routers may mark it.
    pub ecn: Ecn,
    /// Routers that it may pass.
    pub hop_limit: u8,
}

impl PacketHeader {
    /// Octets: 20 or 40.
    #[must_use]
    pub const fn len(&self) -> usize {
        header_len(&self.destination)
    }

    /// Never: a header has at least 20 octets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header to the front of `packet`, which is as long as the whole packet. Returns the header's octets, or `None` if
    /// it does not fit, if the packet is too long for its version, or if the addresses are of two families.
    pub fn write(&self, packet: &mut [u8], verify: Verify) -> Option<usize> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.write_v4(source, destination, packet, verify)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.write_v6(source, destination, packet)
            }
            _ => None,
        }
    }

    /// RFC 791 3.1. The packet is never to be fragmented (RFC 1191), so it needs no identification (RFC 6864 4.1).
    fn write_v4(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        packet: &mut [u8],
        verify: Verify,
    ) -> Option<usize> {
        const DONT_FRAGMENT: u16 = 0x4000;
        let total = u16::try_from(packet.len()).ok()?;
        let [t0, t1] = total.to_be_bytes();
        let [f0, f1] = DONT_FRAGMENT.to_be_bytes();
        let [s0, s1, s2, s3] = source.octets();
        let [d0, d1, d2, d3] = destination.octets();
        let with = |[c0, c1]: [u8; 2]| {
            #[rustfmt::skip]
            let header = [
                0x45, self.ecn.bits(), t0, t1,
                0, 0, f0, f1,
                self.hop_limit, self.protocol, c0, c1,
                s0, s1, s2, s3,
                d0, d1, d2, d3,
            ];
            header
        };
        let mut header: [u8; IPV4_HEADER] = with([0, 0]);
        if verify == Verify::Here {
            let mut sum = Checksum::new();
            sum.add(&header);
            header = with(sum.finish().to_be_bytes());
        }
        *packet.first_chunk_mut()? = header;
        Some(IPV4_HEADER)
    }

    /// RFC 8200 section 3.
    fn write_v6(
        &self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        packet: &mut [u8],
    ) -> Option<usize> {
        let payload = u16::try_from(packet.len().checked_sub(IPV6_HEADER)?).ok()?;
        let mut writer = Writer::new(packet);
        writer.array([0x60, self.ecn.bits().wrapping_shl(4), 0, 0])?;
        writer.u16(payload)?;
        writer.array([self.protocol, self.hop_limit])?;
        writer.array(source.octets())?;
        writer.array(destination.octets())?;
        Some(IPV6_HEADER)
    }
}

/// Octets that a header to this address has.
#[must_use]
pub const fn header_len(destination: &IpAddr) -> usize {
    match destination {
        IpAddr::V4(_) => IPV4_HEADER,
        IpAddr::V6(_) => IPV6_HEADER,
    }
}

/// Whether an answer to this address can reach the one that asked, and nobody else (R24; RFC 9293 3.10.1 and 3.9.2.3, MUST-57 and MUST-63).
#[must_use]
pub const fn is_answerable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            // RFC 1122 3.2.1.3: this network, broadcast; RFC 1112: groups; 240/4 is reserved.
            let [first, ..] = address.octets();
            first != 0 && first < 224
        }
        IpAddr::V6(address) => !(address.is_unspecified() || address.is_multicast()),
    }
}

#[cfg(test)]
#[path = "ip_tests.rs"]
mod tests;
