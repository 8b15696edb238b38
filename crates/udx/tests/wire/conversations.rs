//! The recorded conversations of real peers: every datagram is understood, and written the same.

use std::collections::HashMap;
use std::path::PathBuf;

use gapless_udx::wire::reset::Token;
use gapless_udx::wire::{Datagram, Frame, VERSION, VersionNegotiation, peek_destination, peek_ids};

use crate::harness;
use crate::vectors::{conversation, encode_again, folder};

#[derive(Debug, Default, Eq, PartialEq)]
struct Seen {
    packets: usize,
    negotiations: usize,
    stateless_resets: usize,
    /// Packets of version 2 with the shorter STREAM frame: the codec for version 3 cannot read them.
    version_2_streams: usize,
}

#[test]
fn every_recorded_datagram() {
    let mut seen = Seen::default();
    let files = files();
    assert_eq!(files.len(), 34);
    for file in files {
        // By direction: the tokens that NEW_CONNECTION_ID gave out.
        let mut tokens: HashMap<String, Token> = HashMap::new();
        for (direction, datagram) in conversation(&file) {
            harness::check(&datagram);
            match Datagram::decode(&datagram) {
                Ok(Datagram::Packet(packet)) => {
                    seen.packets += 1;
                    assert_eq!(encode_again(&packet), datagram, "{}", file.display());
                    let header = packet.header();
                    assert_eq!(
                        peek_destination(&datagram),
                        Some((header.version, header.destination))
                    );
                    assert_eq!(
                        peek_ids(&datagram),
                        Some((header.version, header.destination, header.source))
                    );
                    for frame in packet.frames() {
                        // UDX 14: a token counts only for the id in use.
                        if let Frame::NewConnectionId { id, token, .. } = frame
                            && id == header.source
                        {
                            tokens.insert(direction.clone(), token);
                        }
                    }
                }
                Ok(Datagram::VersionNegotiation(list)) => {
                    seen.negotiations += 1;
                    let versions: Vec<u32> = list.versions().collect();
                    let mut buffer = [0; 64];
                    let (to, from) = (list.destination, list.source);
                    let len = VersionNegotiation::encode(&mut buffer, to, from, &versions).unwrap();
                    assert_eq!(buffer[..len], datagram, "{}", file.display());
                }
                Err(error) => match peek_destination(&datagram) {
                    Some((2, _)) => seen.version_2_streams += 1,
                    _ => {
                        seen.stateless_resets += 1;
                        let token = Token::of(&datagram).expect("long enough for a token");
                        let known = tokens.get(&direction).copied();
                        assert_eq!(known, Some(token), "{}: {error}", file.display());
                    }
                },
            }
        }
    }
    let packets = seen.packets;
    assert_eq!(
        seen,
        Seen {
            packets,
            negotiations: 3,
            stateless_resets: 1,
            version_2_streams: 3
        },
        "version {VERSION}"
    );
    assert!(packets > 1000, "{packets} packets");
}

fn files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(folder().join("conversations")).unwrap();
    folder.map(|entry| entry.unwrap().path()).collect()
}
