//! The examples in hexadecimal: each is read and written by the codec, means what stands under it, and is in the vectors.
//!
//! A block begins with what it is, and after a colon with the name of its vector, or "our …" for what the engine sends. Each of its lines has digits and, after two spaces, words
//! for the reader. Lines with `=` say what the codec reads.

use std::collections::BTreeSet;
use std::fs;

use gapless_udx::wire::reset::Token;
use gapless_udx::wire::{
    ConnectionId, Datagram, Dialect, Encoder, Frame, Header, Packet, VERSION, Version,
    VersionNegotiation,
};
use serde_json::Value;

use crate::{crates, text};

pub(crate) struct Example {
    /// `packet v3`, `frame v2`, `frame-of-dart v2`, `negotiation`, `reset`.
    kind: String,
    /// The name of the vector that the bytes come from.
    pub(crate) vector: Option<String>,
    pub(crate) bytes: Vec<u8>,
    /// What the document says that the codec reads.
    reading: Vec<String>,
}

#[test]
fn every_example_reads_as_the_document_says_and_is_written_in_the_same_bytes() {
    let examples = examples();
    assert!(examples.len() >= 28, "the examples were not recognised");
    for example in &examples {
        let (reading, again) = read(example);
        assert_eq!(reading, example.reading, "{}", example.kind);
        // What Dart numbers differently is read, and written as Go numbers it.
        if !example.kind.starts_with("frame-of-dart") {
            assert_eq!(again, example.bytes, "{}: {reading:?}", example.kind);
        }
    }
}

#[test]
fn every_example_that_names_a_vector_has_its_bytes() {
    let mut compared = 0;
    for example in examples() {
        // What the engine sends is looked at elsewhere.
        let Some(name) = example
            .vector
            .as_ref()
            .filter(|name| !name.starts_with("our "))
        else {
            continue;
        };
        let bytes = vector(name).unwrap_or_else(|| panic!("no vector {name}"));
        match example.kind.split(' ').next() {
            Some("frame" | "frame-of-dart") => {
                let header = bytes.len().checked_sub(example.bytes.len()).unwrap();
                assert_eq!(bytes[header..], example.bytes, "{name}");
                assert_eq!(header, HEADER_LEN, "{name} has no other frame");
            }
            _ => assert_eq!(bytes, example.bytes, "{name}"),
        }
        compared += 1;
    }
    assert!(compared >= 26, "{compared}");
}

#[test]
fn every_frame_has_an_example() {
    let mut kinds = BTreeSet::new();
    for example in examples() {
        if let Some(dialect) = dialect(&example.kind) {
            let datagram = datagram(&example);
            let packet = Packet::decode_as(&datagram, dialect).unwrap();
            kinds.extend(packet.frames().map(|frame| frame.kind()));
        }
    }
    let all: BTreeSet<u8> = (0x00..=0x11).filter(|kind| *kind != 0x0c).collect();
    assert_eq!(kinds, all);
}

/// What the codec reads, and the bytes that it writes for it.
fn read(example: &Example) -> (Vec<String>, Vec<u8>) {
    let mut buffer = vec![0; 2048];
    match example.kind.as_str() {
        "reset" => {
            let Token(token) = Token::of(&example.bytes).unwrap();
            (
                vec![format!("token={}", hex(&token))],
                example.bytes.clone(),
            )
        }
        "negotiation" => {
            let Ok(Datagram::VersionNegotiation(offer)) = Datagram::decode(&example.bytes) else {
                panic!("no version negotiation: {}", hex(&example.bytes));
            };
            let versions: Vec<u32> = offer.versions().collect();
            let (destination, source) = (offer.destination, offer.source);
            let len =
                VersionNegotiation::encode(&mut buffer, destination, source, &versions).unwrap();
            buffer.truncate(len);
            let words: Vec<_> = versions.iter().map(u32::to_string).collect();
            (vec![format!("versions={}", words.join(","))], buffer)
        }
        kind => {
            let dialect = dialect(kind).unwrap_or_else(|| panic!("what is {kind}?"));
            let datagram = datagram(example);
            let packet = Packet::decode_as(&datagram, dialect).unwrap();
            let mut encoder = Encoder::new(&mut buffer, dialect.version());
            encoder.header(packet.header()).unwrap();
            let mut reading = vec![];
            if kind.starts_with("packet") {
                reading.push(header_words(packet.header()));
            }
            let header = encoder.written();
            for frame in packet.frames() {
                encoder.frame(&frame).unwrap();
                reading.push(frame_words(&frame));
            }
            let written = encoder.written();
            let from = if kind.starts_with("packet") {
                0
            } else {
                header
            };
            (reading, buffer[from..written].to_vec())
        }
    }
}

/// How the packets of an example are to be read; `None` for what is no packet.
fn dialect(kind: &str) -> Option<Dialect> {
    match kind {
        "packet v3" | "frame v3" => Some(Dialect::V3),
        "packet v2" | "frame v2" | "frame-of-dart v2" => Some(Dialect::V2),
        _ => None,
    }
}

/// The whole datagram of an example that may be a frame alone; then with the header of its vector.
fn datagram(example: &Example) -> Vec<u8> {
    if example.kind.starts_with("packet") {
        return example.bytes.clone();
    }
    let vector = example.vector.as_ref().map(|name| vector(name).unwrap());
    let mut datagram = vector.map_or_else(plain_header, |vector| vector[..HEADER_LEN].to_vec());
    datagram.extend(&example.bytes);
    datagram
}

fn plain_header() -> Vec<u8> {
    let mut header = vec![0; HEADER_LEN];
    let id = |byte| ConnectionId::new(&[byte; 8]).unwrap();
    let fields = Header {
        version: VERSION,
        destination: id(1),
        source: id(2),
        number: 0.into(),
        destination_stream: 2,
        source_stream: 1,
    };
    let mut encoder = Encoder::new(&mut header, Version::V3);
    encoder.header(&fields).unwrap();
    header
}

/// A header with the IDs of eight bytes that the vectors have.
const HEADER_LEN: usize = 34;

fn header_words(header: &Header) -> String {
    format!(
        "version={} number={} streams={}->{}",
        header.version,
        header.number.raw(),
        header.source_stream,
        header.destination_stream
    )
}

fn frame_words(frame: &Frame<'_>) -> String {
    match *frame {
        Frame::Padding { len } => format!("PADDING len={len}"),
        Frame::Ping => "PING".into(),
        Frame::Ack(ack) => {
            let ranges: Vec<_> = ack
                .ranges(ack.largest.raw())
                .map(|range| format!("{range:?}"))
                .collect();
            format!("ACK delay={} ranges={}", ack.delay_ms, ranges.join(","))
        }
        Frame::Stream(stream) => {
            let flags = flag_words(stream.syn, stream.fin);
            format!(
                "STREAM{flags} offset={} len={}",
                stream.offset,
                stream.data.len()
            )
        }
        Frame::Ordered(ordered) => {
            let flags = flag_words(ordered.syn, ordered.fin);
            format!("STREAM{flags} len={}", ordered.data.len())
        }
        Frame::WindowUpdate { limit } => format!("WINDOW_UPDATE limit={}", limit.raw()),
        Frame::MaxData { limit } => format!("MAX_DATA limit={limit}"),
        Frame::ResetStream { code } => format!("RESET_STREAM code={code}"),
        Frame::MaxStreams { count } => format!("MAX_STREAMS count={count}"),
        Frame::MtuProbe { size } => format!("MTU_PROBE size={size}"),
        Frame::PathChallenge { nonce } => format!("PATH_CHALLENGE nonce={nonce:016x}"),
        Frame::PathResponse { nonce } => format!("PATH_RESPONSE nonce={nonce:016x}"),
        Frame::ConnectionClose {
            code,
            frame_type,
            reason,
        } => format!(
            "CONNECTION_CLOSE code={code} frame={frame_type} reason={}",
            reason.len()
        ),
        Frame::StopSending { stream, code } => format!("STOP_SENDING stream={stream} code={code}"),
        Frame::DataBlocked { limit } => format!("DATA_BLOCKED limit={limit}"),
        Frame::StreamDataBlocked { stream, limit } => {
            format!("STREAM_DATA_BLOCKED stream={stream} limit={limit}")
        }
        Frame::NewConnectionId {
            index,
            retire_below,
            id,
            ..
        } => format!("NEW_CONNECTION_ID index={index} retire_below={retire_below} id={id}"),
        Frame::RetireConnectionId { index } => format!("RETIRE_CONNECTION_ID index={index}"),
    }
}

fn flag_words(syn: bool, fin: bool) -> String {
    let flags = [(syn, " syn"), (fin, " fin")];
    flags
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| *name)
        .collect()
}

pub(crate) fn examples() -> Vec<Example> {
    let mut examples = vec![];
    let text = text();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(title) = line.strip_prefix("```udx ") else {
            continue;
        };
        let (kind, vector) = title
            .split_once(": ")
            .map_or((title, None), |(kind, name)| (kind, Some(name.to_owned())));
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let digits = body.iter().filter(|line| !line.starts_with('='));
        let digits: String = digits
            .flat_map(|line| line.split("  ").next())
            .flat_map(str::chars)
            .filter(|digit| *digit != ' ')
            .collect();
        let reading = body.iter().filter_map(|line| line.strip_prefix("= "));
        examples.push(Example {
            kind: kind.to_owned(),
            vector,
            bytes: bytes(&digits),
            reading: reading.map(str::to_owned).collect(),
        });
    }
    examples
}

/// The bytes of a vector: a golden packet by its name, a file of version 2, or the last datagram of a recorded conversation that
/// can be routed nowhere.
fn vector(name: &str) -> Option<Vec<u8>> {
    if name.starts_with("go-frames/") || name.starts_with("dart-frames/") {
        let file = crates().join(format!("udx/tests/vectors/v2/{name}.json"));
        let golden: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).unwrap();
        return Some(bytes(golden["hex"].as_str().unwrap()));
    }
    let folder = crates().join("udx/tests/vectors/v3");
    if name.ends_with(".jsonl") {
        let lines = fs::read_to_string(folder.join("conversations").join(name)).ok()?;
        let datagrams = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut datagrams = datagrams.map(|line| bytes(line["hex"].as_str().unwrap()));
        return datagrams.rfind(|datagram| datagram[..4] != [0, 0, 0, 3]);
    }
    let golden: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("go-v3.json")).unwrap()).unwrap();
    ["packets", "versionNegotiation"]
        .iter()
        .flat_map(|key| golden[key].as_array().unwrap())
        .find(|entry| entry["name"] == name)
        .map(|entry| bytes(entry["hex"].as_str().unwrap()))
}

fn bytes(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "{digits}");
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_else(|_| panic!("{digits}"))
        })
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
