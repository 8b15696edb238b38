//! The codec of the models, and the models themselves: what they do wrong they do on purpose, and never by a panic of their own.

use super::script::Script;
use crate::peers::wire::{Numbering, decode_as, decode_negotiation, encode, encode_negotiation};
use crate::peers::{Kind, foreign};
use gapless_udx::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// Datagrams at one instant; more is no end.
const MOST_SENT: usize = 2_000;

/// Datagrams that are given to it in one run, at most.
const MOST_STEPS: usize = 200;

pub(super) fn models(data: &[u8]) {
    let mut script = Script(data);
    let kinds: Vec<Kind> = Kind::all().collect();
    let kind = kinds[script.pick(kinds.len())];
    codec(script.0);
    model(kind, &mut script);
}

/// What is understood is written as it was read, or in a shorter form that means the same.
fn codec(datagram: &[u8]) {
    if let Some(negotiation) = decode_negotiation(datagram) {
        let written = encode_negotiation(&negotiation);
        assert_eq!(decode_negotiation(&written), Some(negotiation));
    }
    for version in [2, 3] {
        for numbering in [Numbering::Go, Numbering::Dart] {
            let Some(packet) = decode_as(datagram, version, numbering) else {
                continue;
            };
            // A datagram of another version is read in this one's form, but would be written in its own.
            if packet.version != version {
                continue;
            }
            let written = encode(&packet, numbering);
            let again = decode_as(&written, version, numbering);
            assert_eq!(again.as_ref(), Some(&packet));
        }
    }
}

fn model(kind: Kind, script: &mut Script<'_>) {
    let mut model = foreign(kind, 1);
    let mut now = Instant::from_nanos(1_000_000_000);
    let peer: SocketAddr = ([192, 0, 2, 1], 4000).into();
    let mut ids: Option<Vec<u8>> = None;
    let mut connection = None;
    for _ in 0..MOST_STEPS {
        let Some(step) = script.byte() else { break };
        match step % 6 {
            0 => now += Duration::from_nanos(1 << (script.byte().unwrap_or(0) % 34)),
            1 => model.handle(now, peer, script.bytes()),
            // Behind the addresses that it knows, in the right order.
            2 | 3 => {
                let mut datagram = ids.clone().unwrap_or_else(|| opening(kind.version()));
                datagram.extend_from_slice(script.bytes());
                model.handle(now, peer, &datagram);
            }
            4 => connection = connection.or_else(|| Some(model.connect(now, peer))),
            _ => {
                connection = model.accept().or(connection);
                if let Some(connection) = connection {
                    let stream = model
                        .accept_stream(connection)
                        .or_else(|| model.open(now, connection));
                    if let Some(stream) = stream {
                        model.write(now, connection, stream, &[7; 3000]);
                        model.read(now, connection, stream, 1 << 16);
                        model.finish(now, connection, stream);
                    }
                }
            }
        }
        if model.next_deadline().is_some_and(|at| at <= now) {
            model.handle_timeout(now);
        }
        let mut sent = 0;
        while let Some((_, datagram)) = model.poll_transmit(now) {
            sent += 1;
            assert!(sent < MOST_SENT, "{kind:?} does not stop sending");
            ids = turned(&datagram).or(ids);
        }
    }
}

/// Version and IDs of an answer to this datagram.
fn turned(datagram: &[u8]) -> Option<Vec<u8>> {
    let (version, rest) = datagram.split_at_checked(4)?;
    let (len, rest) = rest.split_first()?;
    let (destination, rest) = rest.split_at_checked((*len).into())?;
    let (len, rest) = rest.split_first()?;
    let (source, _) = rest.split_at_checked((*len).into())?;
    let mut answer = version.to_vec();
    for id in [source, destination] {
        answer.push(id.len() as u8);
        answer.extend_from_slice(id);
    }
    Some(answer)
}

fn opening(version: u32) -> Vec<u8> {
    let mut datagram = version.to_be_bytes().to_vec();
    for id in [[1; 8], [2; 8]] {
        datagram.push(8);
        datagram.extend_from_slice(&id);
    }
    datagram
}
