//! The peer of the seed, made by hand: it dials, and sends a pack as fast as the greatest edge lets it that it was ever told.

use gapless_tcp::wire::{Ecn, Flags, Header, Options, Packet, PacketHeader, Segment, Verify};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(crate) const PORT: u16 = 9418;
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const SOURCE: u16 = 50_000;

/// Octets of data in a segment: nothing that divides a buffer.
const SEGMENT: usize = 1431;

/// A pack as Git's sideband carries it: lines of up to 65,520 octets, each with its length in front.
pub(crate) fn pack(length: usize) -> Vec<u8> {
    let mut random = 1_u64;
    let mut objects = b"PACK\0\0\0\x02".to_vec();
    while objects.len() < length {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        objects.extend_from_slice(&random.to_be_bytes()[..5]);
    }
    let mut lines = Vec::new();
    for part in objects.chunks(65_515) {
        lines.extend_from_slice(format!("{:04x}\x01", part.len() + 5).as_bytes());
        lines.extend_from_slice(part);
    }
    lines.truncate(length);
    lines
}

pub(crate) struct Peer {
    stream: Vec<u8>,
    /// Our initial number.
    start: u32,
    /// The other's, once its SYN came.
    theirs: Option<u32>,
    scale: u8,
    /// Of the other's windows.
    shift: u8,
    /// Octets of the stream: sent, acknowledged, and the greatest edge.
    sent: usize,
    acknowledged: usize,
    edge: usize,
    has_ended: bool,
    dialed: bool,
    /// Bursts in a row for which there was no room.
    waits: usize,
}

impl Peer {
    pub(crate) fn new(stream: &[u8], start: u32, scale: u8) -> Self {
        Self {
            stream: stream.to_vec(),
            start,
            theirs: None,
            scale,
            shift: 0,
            sent: 0,
            acknowledged: 0,
            edge: 0,
            has_ended: false,
            dialed: false,
            waits: 0,
        }
    }

    /// What may leave now, so many octets at most; and now and then a probe of a closed window (RFC 9293 3.8.6.1).
    pub(crate) fn burst(&mut self, most: usize) -> Vec<Vec<u8>> {
        if !self.dialed {
            self.dialed = true;
            return vec![self.packet(Flags::SYN, self.start, b"")];
        }
        let mut packets = Vec::new();
        if self.theirs.is_none() {
            return packets;
        }
        let until = self.stream.len().min(self.edge).min(self.sent + most);
        while self.sent < until {
            let length = SEGMENT.min(until - self.sent);
            packets.push(self.data(self.sent, length));
            self.sent += length;
        }
        let has_room = self.sent < self.edge || self.stream.is_empty();
        if self.sent == self.stream.len() && !self.has_ended && has_room {
            self.has_ended = true;
            packets.push(self.packet(Flags::FIN | Flags::ACK, self.number(self.sent), b""));
        }
        self.waits = if packets.is_empty() {
            self.waits + 1
        } else {
            0
        };
        if self.waits % 8 == 3 && self.sent == self.edge && self.sent < self.stream.len() {
            packets.push(self.data(self.sent, 1));
        }
        packets
    }

    pub(crate) fn on_packet(&mut self, octets: &[u8]) {
        let packet = Packet::parse(octets, Verify::Here).unwrap();
        let segment = Segment::parse(HERE, THERE, packet.payload, Verify::Here).unwrap();
        let header = segment.header;
        assert!(!header.flags.has(Flags::RST), "it was reset");
        let window = usize::from(header.window);
        if header.flags.has(Flags::SYN) {
            self.theirs = Some(header.sequence.into());
            self.shift = header.options.window_scale.unwrap_or(0);
            self.edge = window;
            return;
        }
        let acknowledged = u32::from(header.acknowledgment).wrapping_sub(self.number(0)) as usize;
        let is_end = self.has_ended && acknowledged == self.stream.len() + 1;
        assert!(
            is_end || acknowledged <= self.sent + 1,
            "more than was sent"
        );
        let acknowledged = acknowledged.min(self.stream.len());
        self.acknowledged = self.acknowledged.max(acknowledged);
        // A probe that found room.
        self.sent = self.sent.max(acknowledged);
        let edge = acknowledged + (window << self.shift);
        assert!(
            is_end || edge + (1 << self.shift) > self.edge,
            "the edge moved left"
        );
        self.edge = self.edge.max(edge);
    }

    fn number(&self, offset: usize) -> u32 {
        self.start.wrapping_add(1).wrapping_add(offset as u32)
    }

    fn data(&self, offset: usize, length: usize) -> Vec<u8> {
        let data = &self.stream[offset..offset + length];
        self.packet(Flags::ACK, self.number(offset), data)
    }

    fn packet(&self, flags: Flags, sequence: u32, data: &[u8]) -> Vec<u8> {
        let options = Options {
            window_scale: Some(self.scale).filter(|_| flags.has(Flags::SYN)),
            ..Options::NONE
        };
        let header = Header {
            source_port: SOURCE,
            destination_port: PORT,
            sequence: sequence.into(),
            acknowledgment: self.theirs.map_or(0, |start| start.wrapping_add(1)).into(),
            flags,
            window: 1000,
            urgent: 0,
            options,
        };
        let ip = PacketHeader {
            source: THERE,
            destination: HERE,
            protocol: 6,
            ecn: Ecn::NotCapable,
            hop_limit: 64,
        };
        let mut octets = vec![0; ip.len() + header.len()];
        octets.extend_from_slice(data);
        ip.write(&mut octets, Verify::Here).unwrap();
        let segment = &mut octets[ip.len()..];
        header.write(THERE, HERE, segment, Verify::Here).unwrap();
        octets
    }
}
