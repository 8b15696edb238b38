//! Dart's receiving order of version 2, and what it acknowledges next (UDX2 4.2, 7).

use super::release::Release;
use crate::peers::wire::{Frame, Packet};
use std::collections::{BTreeMap, BTreeSet};

/// One space of numbers, the receiving side.
pub(super) struct Order {
    release: Release,
    /// Grows beyond the 32 bits of the wire (U18).
    expected: u64,
    buffer: BTreeMap<u64, Packet>,
    /// Received since the last ACK.
    pending: BTreeSet<u32>,
}

impl Order {
    pub(super) fn new(release: Release) -> Self {
        Self {
            release,
            expected: 0,
            buffer: BTreeMap::new(),
            pending: BTreeSet::new(),
        }
    }

    pub(super) fn expected(&self) -> u32 {
        self.expected as u32
    }

    pub(super) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Takes a packet; gives those whose STREAM frames are due, in order.
    pub(super) fn on_packet(&mut self, packet: Packet) -> Vec<Packet> {
        let number = u64::from(packet.sequence);
        let is_numbered = packet.is_numbered();
        if self.release.is_version_3() {
            return vec![packet];
        }
        if !is_numbered && !self.release.control_advances() {
            return Vec::new();
        }
        if number > self.expected {
            if is_numbered || self.release.buffers_control() {
                self.buffer.insert(number, packet);
            }
            return Vec::new();
        }
        if number < self.expected {
            return Vec::new();
        }
        // U3: a control packet gets here under a number that some data packet bears, or will.
        if self.release.control_advances() {
            self.pending.insert(packet.sequence);
        }
        self.expected += 1;
        let mut due = vec![packet];
        while let Some(next) = self.buffer.remove(&self.expected) {
            self.expected += 1;
            due.push(next);
        }
        due
    }

    /// Notes that `number` is to be acknowledged.
    pub(super) fn note(&mut self, number: u32) {
        self.pending.insert(number);
    }

    /// The ACK of what came since the last one: in practice of one packet. Gaps are stored modulo 256 (U13).
    pub(super) fn take_ack(&mut self) -> Option<Frame> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for number in std::mem::take(&mut self.pending).into_iter().rev() {
            match runs.last_mut() {
                Some((top, length)) if *top - *length == number => *length += 1,
                _ => runs.push((number, 1)),
            }
        }
        let (&(largest, first), rest) = runs.split_first()?;
        let mut below = largest.wrapping_sub(first);
        let mut extra = Vec::new();
        for &(top, length) in rest {
            extra.push((below.wrapping_sub(top) as u8, length));
            below = top.wrapping_sub(length);
        }
        Some(Frame::Ack {
            largest,
            delay: 0,
            first,
            extra,
        })
    }
}
