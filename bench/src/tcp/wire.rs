//! What joins two stacks: a queue of packets in memory, whose buffers are used again.

use std::collections::VecDeque;

/// A buffer and how much of it a packet takes.
pub(crate) struct Frame {
    octets: Box<[u8]>,
    length: usize,
}

impl Frame {
    pub(crate) fn packet(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}

/// One direction.
pub(crate) struct Wire {
    /// Octets of the largest packet.
    largest: usize,
    /// Packets that wait at most, as in the ring of a device.
    most: usize,
    waiting: VecDeque<Frame>,
    pool: Vec<Frame>,
}

impl Wire {
    pub(crate) fn new(largest: usize, most: usize) -> Self {
        Self {
            largest,
            most,
            waiting: VecDeque::new(),
            pool: Vec::new(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= self.most
    }

    /// Lets a stack write a packet; nothing is sent if it writes none.
    pub(crate) fn put<R>(&mut self, write: impl FnOnce(&mut [u8]) -> (usize, R)) -> R {
        let mut frame = self.pool.pop().unwrap_or_else(|| Frame {
            octets: vec![0; self.largest].into_boxed_slice(),
            length: 0,
        });
        let (length, result) = write(&mut frame.octets);
        frame.length = length;
        if length > 0 {
            self.waiting.push_back(frame);
        } else {
            self.pool.push(frame);
        }
        result
    }

    pub(crate) fn take(&mut self) -> Option<Frame> {
        self.waiting.pop_front()
    }

    /// Gives a buffer back.
    pub(crate) fn give_back(&mut self, frame: Frame) {
        if self.pool.len() < 1024 {
            self.pool.push(frame);
        }
    }
}
