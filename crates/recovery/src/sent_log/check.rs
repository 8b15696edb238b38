//! The sent log's part of the self check.

use crate::config::{Class, Numbering};
use crate::num::wide;

use super::SentLog;
use super::acknowledge::Span;
use super::transmissions::State;

#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum LogBroken {
    InFlight,
    RecordForgotten,
    Queue,
    Records,
    Numbers,
    Cursor,
}

impl<R> SentLog<R> {
    pub(crate) fn check(&self) -> Result<(), LogBroken> {
        self.check_transmissions()?;
        self.check_records()?;
        self.check_orders()?;
        self.check_numbers()
    }

    fn check_transmissions(&self) -> Result<(), LogBroken> {
        let (mut bytes, mut packets): (u64, u64) = (0, 0);
        for (order, transmission) in self.transmissions.iter() {
            if transmission.state != State::InFlight {
                continue;
            }
            if order < self.transmissions.cursor() {
                return Err(LogBroken::Cursor);
            }
            packets = packets.saturating_add(1);
            if !transmission.foreign {
                bytes = bytes.saturating_add(u64::from(transmission.bytes));
            }
        }
        let counted = (
            self.transmissions.bytes_in_flight(),
            self.transmissions.packets_in_flight(),
        );
        if counted == (bytes, packets) {
            Ok(())
        } else {
            Err(LogBroken::InFlight)
        }
    }

    fn check_records(&self) -> Result<(), LogBroken> {
        for (id, record) in self.records.iter() {
            let in_flight = self
                .transmissions
                .get(record.latest)
                .is_some_and(|sent| sent.state == State::InFlight && sent.record == id);
            match (record.class, record.queued, in_flight) {
                (Class::Reliable, true, false) | (_, false, true) => {}
                (_, true, _) => return Err(LogBroken::Queue),
                (_, false, false) => return Err(LogBroken::RecordForgotten),
            }
        }
        Ok(())
    }

    fn check_orders(&self) -> Result<(), LogBroken> {
        let (mut all, mut reliable, mut queued): (usize, usize, usize) = (0, 0, 0);
        for (_, record) in self.records.iter() {
            all = all.saturating_add(1);
            reliable = reliable.saturating_add(usize::from(record.class == Class::Reliable));
            queued = queued.saturating_add(usize::from(record.queued));
        }
        let counted = (
            self.records.len(),
            self.records.reliable(),
            self.records.queued(),
        );
        if counted != (all, reliable, queued) {
            return Err(LogBroken::Records);
        }
        let mut aged: usize = 0;
        let mut at = self.records.oldest();
        while let Some((id, _)) = at {
            aged = aged.saturating_add(1);
            if aged > reliable {
                return Err(LogBroken::Records);
            }
            at = self.records.next_newer(id);
        }
        if aged == reliable {
            Ok(())
        } else {
            Err(LogBroken::Records)
        }
    }

    fn check_numbers(&self) -> Result<(), LogBroken> {
        let minted = self.next_number.saturating_sub(1);
        if self.next_number > 0 && minted > self.last_number && minted >= self.first_number {
            return Err(LogBroken::Numbers);
        }
        if self.numbering == Numbering::Fresh {
            let lined_up = self.transmissions.next() == self.next_number;
            return if lined_up {
                Ok(())
            } else {
                Err(LogBroken::Numbers)
            };
        }
        let mut before: Option<&Span> = None;
        let mut waiting: u64 = 0;
        for (_, span) in self.spans.iter() {
            if span.start >= span.end || before.is_some_and(|before| before.end != span.start) {
                return Err(LogBroken::Numbers);
            }
            if span.closed == 0 {
                waiting = waiting.saturating_add(1);
                if self
                    .records
                    .get(span.record)
                    .is_none_or(|record| record.number != span.start)
                {
                    return Err(LogBroken::Numbers);
                }
            }
            before = Some(span);
        }
        if waiting == wide(self.records.len()) {
            Ok(())
        } else {
            Err(LogBroken::Numbers)
        }
    }
}
