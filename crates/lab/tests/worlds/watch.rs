//! What may be seen on the wire, whatever happens.

use gapless_udx::wire::{Frame, Packet, Version, peek_destination};
use std::collections::BTreeMap;

/// What one side has sent so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// The number after the largest, as a position.
    next_number: Option<u64>,
    /// By the peer's ID of the stream: the highest limit that was said.
    limits: BTreeMap<u32, u64>,
    /// What each number carried, in version 2, where it is the same for ever.
    carried: BTreeMap<u64, Vec<u8>>,
}

impl Watch {
    pub(crate) fn new(first_number: u64) -> Self {
        Self {
            next_number: Some(first_number),
            ..Self::default()
        }
    }

    /// Looks at a datagram that its side sends.
    pub(crate) fn see(&mut self, datagram: &[u8]) -> Result<(), String> {
        let (version, _) = peek_destination(datagram).ok_or("no packet")?;
        let version = Version::from_wire(version).ok_or("no version")?;
        let packet = Packet::decode_as(datagram, version.dialect())
            .map_err(|error| format!("its own side cannot read it: {error:?}"))?;
        self.see_number(version, &packet)?;
        for frame in packet.frames() {
            if let Frame::WindowUpdate { limit } = frame {
                let stream = packet.header().destination_stream;
                let said = self.limits.entry(stream).or_default();
                let limit = limit.expand(*said);
                // R4
                if limit < *said {
                    return Err(format!("the window's edge fell from {said} to {limit}"));
                }
                *said = limit;
            }
        }
        Ok(())
    }

    fn see_number(&mut self, version: Version, packet: &Packet<'_>) -> Result<(), String> {
        let numbered = packet.frames().any(|frame| match frame {
            Frame::Stream(_) | Frame::Ping => version == Version::V3,
            Frame::Ordered(frame) => frame.is_numbered(),
            _ => false,
        });
        if !numbered {
            return Ok(());
        }
        let next = self.next_number.unwrap_or(0);
        let number = packet.header().number.expand(next);
        if number >= next {
            self.next_number = Some(number + 1);
        }
        match version {
            // Each transmission has a number of its own.
            Version::V3 if number < next => Err(format!("number {number} comes twice")),
            Version::V3 => Ok(()),
            _ if number > next => Err(format!("number {next} was left out")),
            // UDX2 H7: a number names the same bytes for ever.
            _ => {
                let says: Vec<u8> = packet
                    .frames()
                    .filter_map(|frame| match frame {
                        Frame::Ordered(frame) => Some((frame, frame.data.to_vec())),
                        _ => None,
                    })
                    .flat_map(|(frame, data)| {
                        [vec![u8::from(frame.syn), u8::from(frame.fin)], data].concat()
                    })
                    .collect();
                let first = self.carried.entry(number).or_insert_with(|| says.clone());
                if *first == says {
                    Ok(())
                } else {
                    Err(format!(
                        "number {number} carries something else than before"
                    ))
                }
            }
        }
    }
}
