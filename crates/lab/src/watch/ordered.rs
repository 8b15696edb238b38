//! What the numbers of version 2 mean: each names its bytes for ever, none is left out, and the order of the numbers is the order of
//! the bytes (UDX2 3, 8).

use crate::report::Rule;
use gapless_udx::wire::{Frame, Ordered, Packet};
use std::collections::BTreeMap;

use super::Fault;

/// The numbered packets of one side.
#[derive(Default)]
pub(super) struct Numbered {
    /// What the latest ones carried: the stream and its frame.
    carried: BTreeMap<u64, Carried>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
struct Carried {
    own: u32,
    syn: bool,
    fin: bool,
    len: usize,
    hash: u64,
}

/// What a numbered packet is.
pub(super) enum Seen<'a> {
    /// It goes out for the first time, with this frame.
    New(Ordered<'a>),
    /// Its number and its bytes are known.
    Again,
}

impl Numbered {
    /// A packet with the number `number`, of which `next` would be a new one.
    pub(super) fn take<'a>(
        &mut self,
        packet: &Packet<'a>,
        number: u64,
        next: u64,
    ) -> Result<Seen<'a>, Fault> {
        let mut frames = packet.frames().filter_map(|frame| match frame {
            Frame::Ordered(frame) if frame.is_numbered() => Some(frame),
            _ => None,
        });
        let frame = frames.next().unwrap_or(Ordered {
            fin: false,
            syn: false,
            data: b"",
        });
        // UDX2 15: one to a packet.
        if frames.next().is_some() {
            return Err((Rule::Wire, format!("two STREAM frames under {number}")));
        }
        let carried = Carried {
            own: packet.header().source_stream,
            syn: frame.syn,
            fin: frame.fin,
            len: frame.data.len(),
            hash: hash(frame.data),
        };
        if number > next {
            let fault = format!("the number {number} came before {next}, which nobody will send");
            return Err((Rule::Books, fault));
        }
        if number == next {
            self.carried.insert(number, carried);
            if self.carried.len() > REMEMBERED {
                self.carried.pop_first();
            }
            return Ok(Seen::New(frame));
        }
        match self.carried.get(&number) {
            Some(before) if *before != carried => {
                let fault = format!("the number {number} carries something else than before");
                Err((Rule::Books, fault))
            }
            _ => Ok(Seen::Again),
        }
    }

    /// The opening went out in the form of version 3, without data.
    pub(super) fn open(&mut self, number: u64, own: u32) {
        let carried = Carried {
            own,
            syn: true,
            fin: false,
            len: 0,
            hash: hash(b""),
        };
        self.carried.insert(number, carried);
    }
}

/// FNV-1a: to tell accidents apart, not attacks.
fn hash(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// More than an engine has outstanding.
const REMEMBERED: usize = 40_000;
