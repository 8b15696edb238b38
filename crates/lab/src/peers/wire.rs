//! The models' own codec: both wire versions, both numberings of frames, version negotiation and stateless resets.
//!
//! It shares nothing with the engine's. A model that read the wire with our codec would share our misreadings, and two ends that
//! misread alike agree with each other. It is written for clearness: owned values, one copy per field, no care for speed.

/// A datagram that is a packet (UDX 2.1, UDX2 2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The version field, whatever it says.
    pub version: u32,
    /// The destination connection ID, at most [`MAX_ID`] bytes.
    pub destination: Vec<u8>,
    /// The source connection ID, at most [`MAX_ID`] bytes.
    pub source: Vec<u8>,
    /// The header's number. Only the frames tell whether it means anything.
    pub sequence: u32,
    /// The receiver's ID of the stream, or 0.
    pub destination_stream: u32,
    /// The sender's ID of the stream, or 0.
    pub source_stream: u32,
    /// What the packet carries, in the order of the wire.
    pub frames: Vec<Frame>,
}

/// One frame (UDX 2.3). Numbers are as on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are those of the specification")]
pub enum Frame {
    Padding,
    Ping,
    /// `extra` are pairs of gap and length, downwards.
    Ack {
        largest: u32,
        delay: u16,
        first: u32,
        extra: Vec<(u8, u32)>,
    },
    /// Version 2 has no offset: it reads as 0 and is not written.
    Stream {
        syn: bool,
        fin: bool,
        offset: u64,
        data: Vec<u8>,
    },
    WindowUpdate(u32),
    MaxData(u64),
    ResetStream(u32),
    MaxStreams(u32),
    /// Everything to the end of the datagram; the size counts the type byte.
    MtuProbe {
        size: usize,
    },
    PathChallenge([u8; 8]),
    PathResponse([u8; 8]),
    ConnectionClose {
        code: u32,
        frame: u32,
        reason: Vec<u8>,
    },
    StopSending {
        stream: u32,
        code: u32,
    },
    DataBlocked(u64),
    StreamDataBlocked {
        stream: u32,
        limit: u64,
    },
    NewConnectionId {
        index: u64,
        retire_below: u64,
        id: Vec<u8>,
        token: [u8; 16],
    },
    RetireConnectionId(u64),
}

/// How frame types from 0x0c on are numbered (UDX2 2.2, UDX 2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbering {
    /// STOP_SENDING is 0x0d; 0x0c is no frame. Go, JS, Dart from 3.1.0.
    Go,
    /// STOP_SENDING is 0x0c and the others follow. Dart to 3.0.0.
    Dart,
}

/// A datagram whose version is 0 (UDX 2.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiation {
    /// The source ID of the packet answered.
    pub destination: Vec<u8>,
    /// The destination ID of the packet answered.
    pub source: Vec<u8>,
    /// Preferred first.
    pub versions: Vec<u32>,
}

impl Frame {
    /// An empty STREAM frame that opens.
    pub fn syn() -> Self {
        Self::Stream {
            syn: true,
            fin: false,
            offset: 0,
            data: Vec::new(),
        }
    }

    /// An ACK of one number alone.
    pub fn ack_of(number: u32, delay: u16) -> Self {
        Self::Ack {
            largest: number,
            delay,
            first: 1,
            extra: Vec::new(),
        }
    }

    /// A STREAM frame with data, SYN or FIN: what makes a packet a numbered one (UDX 3, UDX2 3).
    pub fn is_numbered(&self) -> bool {
        matches!(self, Self::Stream { syn, fin, data, .. } if *syn || *fin || !data.is_empty())
    }
}

impl Packet {
    /// True if it consumes a number on account of a STREAM frame.
    pub fn is_numbered(&self) -> bool {
        self.frames.iter().any(Frame::is_numbered)
    }
}

/// The datagram of `packet`. STREAM frames have an offset unless the version is 2.
///
/// # Panics
/// For what cannot be written: an ID, a reason, data or ranges longer than their length field says.
pub fn encode(packet: &Packet, numbering: Numbering) -> Vec<u8> {
    let mut out = packet.version.to_be_bytes().to_vec();
    put_id(&mut out, &packet.destination);
    put_id(&mut out, &packet.source);
    for word in [
        packet.sequence,
        packet.destination_stream,
        packet.source_stream,
    ] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for frame in &packet.frames {
        put_frame(&mut out, frame, packet.version, numbering);
    }
    out
}

/// The packet in a datagram, or `None` if any part of it is not as it should be: then none of it counts. STREAM frames are read as
/// the datagram's version says.
pub fn decode(datagram: &[u8], numbering: Numbering) -> Option<Packet> {
    let version = datagram.first_chunk().copied().map(u32::from_be_bytes)?;
    decode_as(datagram, version, numbering)
}

/// As [`decode`], with STREAM frames read as those of version `form` whatever the datagram says: Go's version 2 never looks at the
/// field (UDX2 2.1).
pub fn decode_as(datagram: &[u8], form: u32, numbering: Numbering) -> Option<Packet> {
    let mut reader = Reader(datagram);
    let mut packet = Packet {
        version: reader.u32()?,
        destination: reader.id()?,
        source: reader.id()?,
        sequence: reader.u32()?,
        destination_stream: reader.u32()?,
        source_stream: reader.u32()?,
        frames: Vec::new(),
    };
    while !reader.0.is_empty() {
        packet
            .frames
            .push(reader.frame(form == VERSION_2, numbering)?);
    }
    Some(packet)
}

/// The version negotiation datagram that answers a packet with these IDs.
pub fn encode_negotiation(negotiation: &Negotiation) -> Vec<u8> {
    let mut out = vec![0; 4];
    put_id(&mut out, &negotiation.destination);
    put_id(&mut out, &negotiation.source);
    for version in &negotiation.versions {
        out.extend_from_slice(&version.to_be_bytes());
    }
    out
}

/// Reads a datagram whose version is 0; `None` for others. Trailing bytes short of a version are ignored.
pub fn decode_negotiation(datagram: &[u8]) -> Option<Negotiation> {
    let mut reader = Reader(datagram);
    if reader.u32()? != 0 {
        return None;
    }
    let (destination, source) = (reader.id()?, reader.id()?);
    let versions = std::iter::from_fn(|| reader.u32()).collect();
    Some(Negotiation {
        destination,
        source,
        versions,
    })
}

/// A stateless reset: what fills it, then the token (UDX 2.5).
pub fn encode_reset(filler: &[u8], token: [u8; 16]) -> Vec<u8> {
    [filler, &token].concat()
}

/// The token that a datagram would carry if it is a stateless reset: nothing else tells them.
pub fn reset_token(datagram: &[u8]) -> Option<[u8; 16]> {
    if datagram.len() < MIN_RESET {
        return None;
    }
    datagram.last_chunk().copied()
}

fn put_id(out: &mut Vec<u8>, id: &[u8]) {
    assert!(id.len() <= MAX_ID, "a connection ID of {} bytes", id.len());
    out.push(id.len() as u8);
    out.extend_from_slice(id);
}

fn put_frame(out: &mut Vec<u8>, frame: &Frame, version: u32, numbering: Numbering) {
    out.push(type_of(frame, numbering));
    match frame {
        Frame::Padding | Frame::Ping => {}
        Frame::Ack {
            largest,
            delay,
            first,
            extra,
        } => {
            out.extend_from_slice(&largest.to_be_bytes());
            out.extend_from_slice(&delay.to_be_bytes());
            out.push(u8::try_from(extra.len()).expect("at most 255 extra ranges"));
            out.extend_from_slice(&first.to_be_bytes());
            for (gap, length) in extra {
                out.push(*gap);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        Frame::Stream {
            syn,
            fin,
            offset,
            data,
        } => {
            let flags = [(*fin, FIN), (*syn, SYN)];
            out.push(
                flags
                    .iter()
                    .filter(|(is_set, _)| *is_set)
                    .map(|(_, bit)| bit)
                    .sum(),
            );
            if version != VERSION_2 {
                out.extend_from_slice(&offset.to_be_bytes());
            }
            put_counted(out, data);
        }
        Frame::WindowUpdate(word) | Frame::ResetStream(word) | Frame::MaxStreams(word) => {
            out.extend_from_slice(&word.to_be_bytes());
        }
        Frame::MaxData(long) | Frame::DataBlocked(long) | Frame::RetireConnectionId(long) => {
            out.extend_from_slice(&long.to_be_bytes());
        }
        Frame::MtuProbe { size } => out.resize(out.len() + size.saturating_sub(1), 0),
        Frame::PathChallenge(nonce) | Frame::PathResponse(nonce) => out.extend_from_slice(nonce),
        Frame::ConnectionClose {
            code,
            frame,
            reason,
        } => {
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(&frame.to_be_bytes());
            put_counted(out, reason);
        }
        Frame::StopSending { stream, code } => {
            out.extend_from_slice(&stream.to_be_bytes());
            out.extend_from_slice(&code.to_be_bytes());
        }
        Frame::StreamDataBlocked { stream, limit } => {
            out.extend_from_slice(&stream.to_be_bytes());
            out.extend_from_slice(&limit.to_be_bytes());
        }
        Frame::NewConnectionId {
            index,
            retire_below,
            id,
            token,
        } => {
            out.extend_from_slice(&index.to_be_bytes());
            out.extend_from_slice(&retire_below.to_be_bytes());
            put_id(out, id);
            out.extend_from_slice(token);
        }
    }
}

/// Bytes behind their length in 16 bits.
fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("at most 65535 bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn type_of(frame: &Frame, numbering: Numbering) -> u8 {
    let late = |go: u8| match numbering {
        Numbering::Go => go,
        Numbering::Dart => go - 1,
    };
    match frame {
        Frame::Padding => 0x00,
        Frame::Ping => 0x01,
        Frame::Ack { .. } => 0x02,
        Frame::Stream { .. } => 0x03,
        Frame::WindowUpdate(_) => 0x04,
        Frame::MaxData(_) => 0x05,
        Frame::ResetStream(_) => 0x06,
        Frame::MaxStreams(_) => 0x07,
        Frame::MtuProbe { .. } => 0x08,
        Frame::PathChallenge(_) => 0x09,
        Frame::PathResponse(_) => 0x0a,
        Frame::ConnectionClose { .. } => 0x0b,
        Frame::StopSending { .. } => late(0x0d),
        Frame::DataBlocked(_) => late(0x0e),
        Frame::StreamDataBlocked { .. } => late(0x0f),
        Frame::NewConnectionId { .. } => late(0x10),
        Frame::RetireConnectionId(_) => late(0x11),
    }
}

/// What is left to read. Each read is whole or `None`.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes(&mut self, count: usize) -> Option<&[u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn id(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(self.u8()?);
        if length > MAX_ID {
            return None;
        }
        self.bytes(length).map(<[u8]>::to_vec)
    }

    fn counted(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(self.u16()?);
        self.bytes(length).map(<[u8]>::to_vec)
    }

    fn frame(&mut self, is_version_2: bool, numbering: Numbering) -> Option<Frame> {
        // Behind 0x0b, as Go has it.
        let kind = match (self.u8()?, numbering) {
            (kind @ 0x0c.., Numbering::Dart) => kind.checked_add(1)?,
            (kind, _) => kind,
        };
        Some(match kind {
            0x00 => Frame::Padding,
            0x01 => Frame::Ping,
            0x02 => self.ack()?,
            0x03 => {
                let flags = self.u8()?;
                Frame::Stream {
                    syn: flags & SYN != 0,
                    fin: flags & FIN != 0,
                    offset: if is_version_2 { 0 } else { self.u64()? },
                    data: self.counted()?,
                }
            }
            0x04 => Frame::WindowUpdate(self.u32()?),
            0x05 => Frame::MaxData(self.u64()?),
            0x06 => Frame::ResetStream(self.u32()?),
            0x07 => Frame::MaxStreams(self.u32()?),
            0x08 => {
                let rest = std::mem::take(&mut self.0);
                Frame::MtuProbe {
                    size: 1 + rest.len(),
                }
            }
            0x09 => Frame::PathChallenge(self.array()?),
            0x0a => Frame::PathResponse(self.array()?),
            0x0b => Frame::ConnectionClose {
                code: self.u32()?,
                frame: self.u32()?,
                reason: self.counted()?,
            },
            0x0d => Frame::StopSending {
                stream: self.u32()?,
                code: self.u32()?,
            },
            0x0e => Frame::DataBlocked(self.u64()?),
            0x0f => Frame::StreamDataBlocked {
                stream: self.u32()?,
                limit: self.u64()?,
            },
            0x10 => Frame::NewConnectionId {
                index: self.u64()?,
                retire_below: self.u64()?,
                id: self.id()?,
                token: self.array()?,
            },
            0x11 => Frame::RetireConnectionId(self.u64()?),
            _ => return None,
        })
    }

    fn ack(&mut self) -> Option<Frame> {
        let (largest, delay) = (self.u32()?, self.u16()?);
        let count = self.u8()?;
        let first = self.u32()?;
        let extra = (0..count)
            .map(|_| Some((self.u8()?, self.u32()?)))
            .collect::<Option<_>>()?;
        Some(Frame::Ack {
            largest,
            delay,
            first,
            extra,
        })
    }
}

/// The version whose STREAM frames have no offset.
pub const VERSION_2: u32 = 2;
/// The version whose STREAM frames have one.
pub const VERSION_3: u32 = 3;
/// Bytes of the longest connection ID (UDX 2.1).
pub const MAX_ID: usize = 20;
/// Bytes of the shortest stateless reset (UDX 2.5).
pub const MIN_RESET: usize = 39;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
