//! TCP segments (RFC 9293 3.1).

use super::checksum::Checksum;
use super::flags::Flags;
use super::ip::protocol;
use super::options::{MAX_OPTIONS, Options};
use super::writer::Writer;
use core::net::IpAddr;
use gapless_seq::Wire32;

/// Octets of a header without options (RFC 9293 3.1).
pub const MIN_HEADER: usize = 20;

/// Octets of the longest header.
pub const MAX_HEADER: usize = MIN_HEADER + MAX_OPTIONS;

/// Everything in a segment's header but the data offset and the checksum, which follow from the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Where it comes from.
    pub source_port: u16,
    /// Where it goes.
    pub destination_port: u16,
    /// Of the first octet, or of the SYN.
    pub sequence: Wire32,
    /// The next one that the sender expects. Counts only with [`Flags::ACK`].
    pub acknowledgment: Wire32,
    /// The control bits. Those reserved are dropped.
    pub flags: Flags,
    /// The window field as it stands there, not shifted.
    pub window: u16,
    /// Points behind the urgent data. Counts only with [`Flags::URG`].
    pub urgent: u16,
    /// The options.
    pub options: Options,
}

/// A segment in a received packet: after [`parse`](Self::parse) no access can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// The header.
    pub header: Header,
    /// The data.
    pub payload: &'a [u8],
}

/// Why octets are no segment. All are the peer's or the network's fault, and all mean the same: drop it without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum SegmentError {
    /// Fewer octets than a header has.
    #[error("the segment ends within its header")]
    Truncated,
    /// The data offset is below five words, or lies behind the end.
    #[error("the data offset is impossible")]
    DataOffset,
    /// The octets were changed on the way.
    #[error("the checksum is wrong")]
    Checksum,
}

/// Whether checksums are computed here or have been seen to by the device ("offload").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Verify {
    /// By us.
    #[default]
    Here,
    /// By the device: the field means nothing to us.
    Device,
}

impl<'a> Segment<'a> {
    /// The segment that the payload of an IP packet between these addresses is.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub fn parse(
        source: IpAddr,
        destination: IpAddr,
        octets: &'a [u8],
        verify: Verify,
    ) -> Result<Self, SegmentError> {
        let (header, payload) = split(octets)?;
        // Before anything is believed (RFC 9293 3.1, MUST-3).
        if verify == Verify::Here {
            let mut sum = Checksum::pseudo_header(source, destination, protocol::TCP, octets.len());
            sum.add(octets);
            if sum.finish() != 0 {
                return Err(SegmentError::Checksum);
            }
        }
        let header = parse_header(header).ok_or(SegmentError::Truncated)?;
        Ok(Self { header, payload })
    }

    /// How many sequence numbers it takes: octets of data, SYN and FIN (RFC 9293 3.4, SEG.LEN).
    #[must_use]
    pub fn length(&self) -> u64 {
        let control = u64::from(self.header.flags.has(Flags::SYN))
            .saturating_add(u64::from(self.header.flags.has(Flags::FIN)));
        u64::try_from(self.payload.len())
            .unwrap_or(u64::MAX)
            .saturating_add(control)
    }
}

/// The whole header with its options, and the data.
fn split(octets: &[u8]) -> Result<(&[u8], &[u8]), SegmentError> {
    let Some((fixed, _)) = octets.split_first_chunk::<MIN_HEADER>() else {
        return Err(SegmentError::Truncated);
    };
    let [.., offset, _, _, _, _, _, _, _] = *fixed;
    let words = usize::from(offset.wrapping_shr(4));
    let length = words.saturating_mul(4);
    if length < MIN_HEADER {
        return Err(SegmentError::DataOffset);
    }
    octets
        .split_at_checked(length)
        .ok_or(SegmentError::DataOffset)
}

fn parse_header(octets: &[u8]) -> Option<Header> {
    let (fixed, options) = octets.split_first_chunk::<MIN_HEADER>()?;
    #[rustfmt::skip]
    let [
        p0, p1, q0, q1,
        s0, s1, s2, s3,
        a0, a1, a2, a3,
        _offset, flags, w0, w1,
        _, _, u0, u1,
    ] = *fixed;
    Some(Header {
        source_port: u16::from_be_bytes([p0, p1]),
        destination_port: u16::from_be_bytes([q0, q1]),
        sequence: u32::from_be_bytes([s0, s1, s2, s3]).into(),
        acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]).into(),
        flags: Flags::from_octet(flags),
        window: u16::from_be_bytes([w0, w1]),
        urgent: u16::from_be_bytes([u0, u1]),
        options: Options::parse(options),
    })
}

impl Header {
    /// Octets of the header with its options, 20 to 60.
    #[must_use]
    pub fn len(&self) -> usize {
        MIN_HEADER.saturating_add(self.options.encoded_len())
    }

    /// Never: a header has at least 20 octets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The same with more control bits.
    pub(crate) fn with_flags(self, more: Flags) -> Self {
        Self {
            flags: self.flags | more,
            ..self
        }
    }

    /// Writes the header to the front of `segment`, whose data stand behind [`len`](Self::len) octets already, and with
    /// [`Verify::Here`] the checksum of it all; a device that computes it finds the sum of the pseudo header in the field. Returns the
    /// header's octets, or `None` if it does not fit; then the buffer holds nothing useful.
    pub fn write(
        &self,
        source: IpAddr,
        destination: IpAddr,
        segment: &mut [u8],
        verify: Verify,
    ) -> Option<usize> {
        let length = self.len();
        let words = u8::try_from(length.checked_div(4)?).ok()?;
        let sum = Checksum::pseudo_header(source, destination, protocol::TCP, segment.len());
        let mut writer = Writer::new(segment);
        writer.array(self.fixed(words))?;
        self.options.write(&mut writer)?;
        let field = match verify {
            Verify::Here => {
                let mut whole = sum;
                whole.add(segment);
                whole.finish()
            }
            Verify::Device => !sum.finish(),
        };
        let place = segment.get_mut(CHECKSUM_AT..)?.first_chunk_mut::<2>()?;
        *place = field.to_be_bytes();
        Some(length)
    }

    /// What stands before the options, without the checksum.
    fn fixed(&self, words: u8) -> [u8; MIN_HEADER] {
        let [p0, p1] = self.source_port.to_be_bytes();
        let [q0, q1] = self.destination_port.to_be_bytes();
        let [s0, s1, s2, s3] = u32::from(self.sequence).to_be_bytes();
        let [a0, a1, a2, a3] = u32::from(self.acknowledgment).to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = self.urgent.to_be_bytes();
        let offset = words.wrapping_shl(4);
        #[rustfmt::skip]
        let fixed = [
            p0, p1, q0, q1,
            s0, s1, s2, s3,
            a0, a1, a2, a3,
            offset, self.flags.octet(), w0, w1,
            0, 0, u0, u1,
        ];
        fixed
    }
}

/// Where the checksum stands, octets from the beginning of the header.
pub(crate) const CHECKSUM_AT: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::options::{SackBlock, Timestamps};
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, Ipv6Addr};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

    fn header() -> Header {
        Header {
            source_port: 49_500,
            destination_port: 80,
            sequence: 0x0123_4567.into(),
            acknowledgment: 0x89ab_cdef.into(),
            flags: Flags::PSH | Flags::ACK,
            window: 0x0123,
            urgent: 0,
            options: Options::NONE,
        }
    }

    fn written(header: &Header, payload: &[u8]) -> Vec<u8> {
        let mut segment = vec![0; header.len()];
        segment.extend_from_slice(payload);
        let length = header.write(HERE, THERE, &mut segment, Verify::Here);
        assert_eq!(length, Some(header.len()));
        segment
    }

    fn parse(octets: &[u8]) -> Result<Segment<'_>, SegmentError> {
        Segment::parse(HERE, THERE, octets, Verify::Here)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut header = header();
        for payload in [&b""[..], b"x", b"seven..", &[0xff; 1460]] {
            let octets = written(&header, payload);
            assert_eq!(parse(&octets), Ok(Segment { header, payload }));
        }
        header.options.timestamps = Some(Timestamps {
            value: 1.into(),
            echo: 2.into(),
        });
        header.options.sack.push(SackBlock {
            left: u32::MAX.into(),
            right: 5.into(),
        });
        let octets = written(&header, b"data");
        assert_eq!(octets.len(), 20 + 12 + 12 + 4);
        assert_eq!(parse(&octets).unwrap().header, header);
    }

    #[test]
    fn every_changed_octet_is_noticed_or_harmless() {
        let octets = written(&header(), b"payload");
        for at in 0..octets.len() {
            let mut changed = octets.clone();
            changed[at] ^= 0x10;
            assert!(parse(&changed).is_err(), "octet {at}");
        }
    }

    #[test]
    fn the_addresses_count_into_the_checksum() {
        let octets = written(&header(), b"payload");
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(
            Segment::parse(elsewhere, THERE, &octets, Verify::Here),
            Err(SegmentError::Checksum)
        );
        let family = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(
            Segment::parse(family, THERE, &octets, Verify::Here),
            Err(SegmentError::Checksum)
        );
        assert!(Segment::parse(elsewhere, THERE, &octets, Verify::Device).is_ok());
    }

    #[test]
    fn every_data_offset_is_taken_or_refused() {
        let mut octets = written(&header(), &[0; 20]);
        for words in 0..16_u8 {
            octets[12] = words << 4;
            let parsed = Segment::parse(HERE, THERE, &octets, Verify::Device);
            match words {
                5..=10 => assert_eq!(parsed.unwrap().payload.len(), 40 - 4 * usize::from(words)),
                _ => assert_eq!(parsed, Err(SegmentError::DataOffset)),
            }
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let octets = written(&header(), b"");
        for length in 0..octets.len() {
            assert_eq!(parse(&octets[..length]), Err(SegmentError::Truncated));
        }
    }

    #[test]
    fn a_device_finds_the_sum_of_the_pseudo_header() {
        let header = header();
        let mut segment = vec![0; header.len() + 3];
        header.write(HERE, THERE, &mut segment, Verify::Device);
        // What a device does: sum the segment with what stands in the field, and put the complement there.
        let mut sum = Checksum::new();
        sum.add(&segment);
        segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        assert!(parse(&segment).is_ok());
    }

    #[test]
    fn a_buffer_that_is_too_small_is_refused() {
        let header = header();
        for length in 0..header.len() {
            let mut buffer = vec![0; length];
            let written = header.write(HERE, THERE, &mut buffer, Verify::Here);
            assert_eq!(written, None, "{length} octets");
        }
    }

    #[test]
    fn syn_and_fin_take_a_number_each() {
        let mut header = header();
        header.flags = Flags::SYN | Flags::FIN;
        let octets = written(&header, b"12");
        assert_eq!(parse(&octets).unwrap().length(), 4);
    }
}
