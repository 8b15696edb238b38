//! Reads the packets of both hosts as they leave and arrive, and remembers what it takes to understand the next one: numbers, where
//! streams stand, what is outstanding.

use super::keep::Thinned;
use super::packet::{Acked, Content, Data, Piece, RANGES_KEPT};
use crate::plan::{Scenario, Time};
use crate::spans::Spans;
use gapless_udx::wire::{Ack, Datagram as Wire, Frame, Packet};
use std::collections::BTreeMap;
use std::ops::Range;

/// What one host has sent.
#[derive(Clone, Debug)]
pub struct Sent {
    first_position: u64,
    next_number: u64,
    /// Stream bytes sent for the first time.
    bytes: u64,
    streams: BTreeMap<u32, StreamSent>,
    /// Not acknowledged to this host's knowledge, by number.
    outstanding: BTreeMap<u64, Vec<Carried>>,
    /// Version 2: what the latest numbers name for ever.
    named: BTreeMap<u64, Carried>,
    /// Where a piece stands among all bytes, by its stream and first position, for those that may be sent again.
    orders: BTreeMap<(u32, u64), Order>,
    /// Of all bytes in the order of first sending, those acknowledged.
    acked: Edge,
    /// Arrived in the same order.
    arrived: Edge,
    /// The cap that the other side set, as this host knows it, in bytes.
    pub(super) max_data: Thinned<(Time, u64)>,
}

/// One direction of a stream, as it was written.
#[derive(Clone, Debug)]
pub struct StreamSent {
    /// The position after the last byte that was sent.
    end: u64,
    /// The other side's ID of it.
    peer: Option<u32>,
    syn: bool,
    /// Whether its end was sent, and then whether that arrived.
    fin: Option<bool>,
    acked: Edge,
    arrived: Edge,
    limits: Thinned<(Time, u64)>,
    limit: u64,
}

/// The position below which everything is there, over time.
#[derive(Clone, Debug)]
struct Edge {
    spans: Spans,
    at: u64,
    line: Thinned<(Time, u64)>,
}

/// What a number carried of a stream.
#[derive(Clone, Debug)]
struct Carried {
    stream: u32,
    range: Range<u64>,
    order: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    end: u64,
    order: u64,
    /// The latest number that carried it.
    number: u64,
}

impl Sent {
    pub(super) fn new(scenario: &Scenario, host: usize) -> Self {
        let connection = &scenario.hosts[host].config.connection;
        Self {
            first_position: connection.first_position,
            next_number: connection.first_number,
            bytes: 0,
            streams: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            named: BTreeMap::new(),
            orders: BTreeMap::new(),
            acked: Edge::starting_at(0),
            arrived: Edge::starting_at(0),
            max_data: Thinned::new(LINE_POINTS),
        }
    }

    /// The streams, by this host's ID.
    pub fn streams(&self) -> impl Iterator<Item = (u32, &StreamSent)> {
        // What opens a connection may name no stream.
        let named = self.streams.iter().filter(|(id, _)| **id != 0);
        named.map(|(&id, stream)| (id, stream))
    }

    /// Stream bytes sent for the first time.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many of all bytes, in the order of first sending, were acknowledged without a gap, as this host learned it.
    pub fn acked(&self) -> &Thinned<(Time, u64)> {
        &self.acked.line
    }

    /// How many had arrived without a gap.
    pub fn arrived(&self) -> &Thinned<(Time, u64)> {
        &self.arrived.line
    }

    /// What this host was allowed to have in flight by the other one, in bytes.
    pub fn max_data(&self) -> &Thinned<(Time, u64)> {
        &self.max_data
    }

    /// Reads a packet that leaves this host.
    pub(super) fn sends(&mut self, datagram: &[u8]) -> Option<Content> {
        let Ok(Wire::Packet(packet)) = crate::watch::decode(datagram) else {
            return None;
        };
        let header = packet.header();
        let (own, other) = (header.source_stream, header.destination_stream);
        let number =
            crate::watch::is_numbered(&packet).then(|| header.number.expand(self.next_number));
        let is_new = number.is_none_or(|number| number >= self.next_number);
        let mut pieces = Vec::new();
        for frame in packet.frames() {
            match frame {
                Frame::Padding { .. } => {}
                Frame::Stream(stream) => {
                    let data = self.data(own, stream.offset..stream.end(), stream.syn, stream.fin);
                    pieces.push(Piece::Data(self.remember(number, is_new, data)));
                }
                Frame::Ordered(frame) if frame.is_numbered() => {
                    let at = match number.and_then(|number| self.named.get(&number)) {
                        Some(named) if !is_new => named.range.start,
                        _ => self.stream(own).end,
                    };
                    let range = at..at.saturating_add(frame.data.len() as u64);
                    let data = self.data(own, range, frame.syn, frame.fin);
                    pieces.push(Piece::Data(self.remember(number, is_new, data)));
                }
                Frame::Ordered(_) => {}
                other_frame => pieces.push(self.plain(&other_frame, own, other)),
            }
        }
        if let Some(stream) = self.streams.get_mut(&own)
            && other != 0
        {
            stream.peer = Some(other);
        }
        if let Some(number) = number {
            self.next_number = self.next_number.max(number.saturating_add(1));
        }
        Some(Content {
            version: header.version,
            number,
            pieces,
        })
    }

    fn plain(&self, frame: &Frame<'_>, own: u32, other: u32) -> Piece {
        match *frame {
            Frame::Ping | Frame::Padding { .. } => Piece::Ping,
            // Both are filled in by whom the frame speaks of: only the other side's books tell which positions are meant.
            Frame::Ack(_) | Frame::Stream(_) | Frame::Ordered(_) => Piece::Ack(Acked::nothing()),
            Frame::WindowUpdate { limit } => Piece::Window {
                stream: other,
                limit: limit.raw(),
            },
            Frame::MaxData { limit } => Piece::MaxData(limit),
            Frame::MaxStreams { count } => Piece::MaxStreams(count),
            Frame::ResetStream { code } => Piece::Reset { stream: own, code },
            Frame::StopSending { code, .. } => Piece::Stop {
                stream: other,
                code,
            },
            Frame::MtuProbe { size } => Piece::MtuProbe(size),
            Frame::PathChallenge { nonce } => Piece::Challenge(nonce),
            Frame::PathResponse { nonce } => Piece::Response(nonce),
            Frame::ConnectionClose { code, .. } => Piece::Close(code),
            Frame::DataBlocked { limit } => Piece::DataBlocked(limit),
            Frame::StreamDataBlocked { limit, .. } => Piece::StreamBlocked { stream: own, limit },
            Frame::NewConnectionId { .. } => Piece::NewId,
            Frame::RetireConnectionId { .. } => Piece::RetireId,
        }
    }

    /// What a frame of the other side, about this host's numbers and streams, says in positions.
    pub(super) fn spoken_of(&mut self, datagram: &[u8], content: &mut Content) {
        let Ok(Wire::Packet(packet)) = crate::watch::decode(datagram) else {
            return;
        };
        let acks = packet.frames().filter_map(|frame| match frame {
            Frame::Ack(ack) => Some(self.read_ack(&ack)),
            _ => None,
        });
        let mut acks: std::collections::VecDeque<Acked> = acks.collect();
        for piece in &mut content.pieces {
            match piece {
                Piece::Ack(acked) => *acked = acks.pop_front().unwrap_or_else(Acked::nothing),
                Piece::Window { stream, limit } => {
                    let near = self.stream(*stream).limit;
                    let wire = gapless_seq::Wire32::new(*limit);
                    *limit = wire.expand(near);
                }
                _ => {}
            }
        }
    }

    fn read_ack(&self, ack: &Ack<'_>) -> Acked {
        let largest = ack.largest.expand(self.next_number);
        let mut ranges = ack.ranges(largest);
        Acked {
            ranges: ranges.by_ref().take(RANGES_KEPT).collect(),
            more: ranges.count(),
            delay_ms: ack.delay_ms,
        }
    }

    fn data(&mut self, own: u32, range: Range<u64>, syn: bool, fin: bool) -> Data {
        let stream = self.stream(own);
        let again = if range.is_empty() {
            // An empty piece is a SYN or a FIN.
            if fin {
                stream.fin.is_some()
            } else {
                stream.syn && syn
            }
        } else {
            range.start < stream.end
        };
        let needless = again
            && stream.arrived.spans.covers(range.clone())
            && (!fin || stream.fin == Some(true));
        stream.syn |= syn;
        if fin && stream.fin.is_none() {
            stream.fin = Some(false);
        }
        stream.end = stream.end.max(range.end);
        let order = if again {
            self.order_of(own, &range)
        } else {
            let order = self.bytes;
            self.bytes += range.end - range.start;
            Some(order)
        };
        Data {
            stream: own,
            range,
            syn,
            fin,
            order,
            again,
            needless,
        }
    }

    fn order_of(&self, stream: u32, range: &Range<u64>) -> Option<u64> {
        let before = self.orders.range(..=(stream, range.start)).next_back();
        let (&(of, start), known) = before?;
        (of == stream && known.end >= range.end).then(|| known.order + (range.start - start))
    }

    /// Where a piece was cut because the path has become narrower, its parts go on.
    fn set_order(&mut self, stream: u32, range: &Range<u64>, order: u64, number: u64) {
        let before = self.orders.range(..=(stream, range.start)).next_back();
        let known = before.map(|(&(of, start), &known)| (of, start, known));
        if let Some((of, start, known)) = known
            && of == stream
            && known.end > range.start
        {
            if let Some(head) = self.orders.get_mut(&(stream, start)) {
                head.end = range.start;
            }
            if known.end > range.end {
                let order = known.order + (range.end - start);
                let tail = Order { order, ..known };
                self.orders.insert((stream, range.end), tail);
            }
        }
        let end = range.end;
        let this = Order { end, order, number };
        self.orders.insert((stream, range.start), this);
    }

    /// `is_new`: the number was not used before.
    fn remember(&mut self, number: Option<u64>, is_new: bool, data: Data) -> Data {
        let Some(number) = number else {
            return data;
        };
        let carried = Carried {
            stream: data.stream,
            range: data.range.clone(),
            order: data.order,
        };
        if let Some(order) = data.order
            && !data.range.is_empty()
        {
            self.set_order(data.stream, &data.range, order, number);
        }
        self.named.insert(number, carried.clone());
        if self.named.len() > REMEMBERED {
            self.named.pop_first();
        }
        let under_number = self.outstanding.entry(number).or_default();
        if is_new {
            under_number.push(carried);
        }
        if self.outstanding.len() > REMEMBERED
            && let Some((number, carried)) = self.outstanding.pop_first()
        {
            self.forget(number, &carried);
        }
        data
    }

    fn forget(&mut self, number: u64, carried: &[Carried]) {
        for Carried { stream, range, .. } in carried {
            let key = (*stream, range.start);
            let known = self.orders.get(&key);
            if known.is_some_and(|order| order.number <= number) {
                self.orders.remove(&key);
            }
        }
    }

    /// A packet of this host reached the other one.
    pub(super) fn reached(&mut self, now: Time, content: &Content) {
        for piece in &content.pieces {
            let Piece::Data(data) = piece else {
                continue;
            };
            if let Some(order) = data.order {
                let len = data.range.end - data.range.start;
                self.arrived.insert(now, order..order + len);
            }
            let stream = self.stream(data.stream);
            stream.arrived.insert(now, data.range.clone());
            if data.fin {
                stream.fin = Some(true);
            }
        }
    }

    /// A packet of the other host reached this one.
    pub(super) fn hears(&mut self, now: Time, packet: &Packet<'_>, content: &Content) {
        for frame in packet.frames() {
            if let Frame::Ack(ack) = frame {
                let largest = ack.largest.expand(self.next_number);
                for range in ack.ranges(largest) {
                    self.acknowledge(now, *range.start(), *range.end());
                }
            }
        }
        for piece in &content.pieces {
            match *piece {
                Piece::Window { stream, limit } => {
                    let stream = self.stream(stream);
                    stream.limit = stream.limit.max(limit);
                    stream.limits.push((now, stream.limit));
                }
                Piece::MaxData(limit) => self.max_data.push((now, limit)),
                _ => {}
            }
        }
    }

    fn acknowledge(&mut self, now: Time, first: u64, last: u64) {
        if first > last {
            return;
        }
        while let Some((&number, _)) = self.outstanding.range(first..=last).next() {
            let Some(carried) = self.outstanding.remove(&number) else {
                break;
            };
            self.forget(number, &carried);
            for Carried {
                stream,
                range,
                order,
            } in carried
            {
                if let Some(order) = order {
                    let len = range.end - range.start;
                    self.acked.insert(now, order..order + len);
                }
                self.stream(stream).acked.insert(now, range);
            }
        }
    }

    fn stream(&mut self, own: u32) -> &mut StreamSent {
        let first = self.first_position;
        // The rest of very many streams is drawn with all bytes together only.
        let points = if self.streams.len() < STREAMS_DRAWN {
            LINE_POINTS
        } else {
            2
        };
        self.streams.entry(own).or_insert_with(|| StreamSent {
            end: first,
            peer: None,
            syn: false,
            fin: None,
            acked: Edge::with_points(first, points),
            arrived: Edge::with_points(first, points),
            limits: Thinned::new(points),
            limit: first.saturating_add(INITIAL_LIMIT),
        })
    }
}

impl StreamSent {
    /// The position after the last byte that was sent.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The other side's ID of the stream, once known.
    pub fn peer(&self) -> Option<u32> {
        self.peer
    }

    /// Below which position all was acknowledged, over time.
    pub fn acked(&self) -> &Thinned<(Time, u64)> {
        &self.acked.line
    }

    /// Below which position all had arrived, over time.
    pub fn arrived(&self) -> &Thinned<(Time, u64)> {
        &self.arrived.line
    }

    /// How far the peer let it go, over time, as the writer learned it. Before the first entry, [`INITIAL_LIMIT`] bytes.
    pub fn limits(&self) -> &Thinned<(Time, u64)> {
        &self.limits
    }
}

impl Edge {
    fn starting_at(at: u64) -> Self {
        Self::with_points(at, LINE_POINTS)
    }

    fn with_points(at: u64, points: usize) -> Self {
        Self {
            spans: Spans::default(),
            at,
            line: Thinned::new(points),
        }
    }

    fn insert(&mut self, now: Time, range: Range<u64>) {
        self.spans.insert(range);
        let at = self.spans.end_of(self.at);
        if at > self.at {
            self.at = at;
            self.line.push((now, at));
        }
    }
}

impl Acked {
    fn nothing() -> Self {
        Self {
            ranges: Vec::new(),
            more: 0,
            delay_ms: 0,
        }
    }
}

/// UDX 10.1: both sides begin with it in each direction.
pub const INITIAL_LIMIT: u64 = 65_536;
/// More than an engine has outstanding.
const REMEMBERED: usize = 40_000;
/// Points of a line over time: some for each pixel of a picture.
const LINE_POINTS: usize = 8_000;
/// Streams whose lines are kept in full.
const STREAMS_DRAWN: usize = 64;
