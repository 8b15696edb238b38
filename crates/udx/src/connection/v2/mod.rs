//! What version 2 needs of a connection beyond what both versions have (UDX 19).
//!
//! "UDX2 H9" and the like name sections, hazards (H) and differences (D) of the specification of version 2.
//!
//! | Room | What |
//! |---|---|
//! | [`sequencer`] | the order in which numbered packets take effect |
//! | [`burnt`] | numbers that no data will come under |
//! | `listening` | which of these can be told by silence |
//! | `receive` | what they then do to the streams |
//! | `acks` | ACK frames as Go and Dart can read them |
//! | `send` | what may be sent next |
//! | `generation` | which Go it is |
//! | `discovery` | a dialer that does not know its peer's version yet |
//!
//! How recovery numbers ([`Numbering::Reuse`](gapless_recovery::Numbering::Reuse)) and how streams send
//! ([`Discipline`](crate::stream::Discipline)) are policies of theirs; what depends on the peer stands in
//! [`Rules`](crate::peer::Rules).

mod acks;
pub(crate) mod burnt;
mod discovery;
mod generation;
mod listening;
mod receive;
mod send;
pub(crate) mod sequencer;

#[cfg(test)]
mod tests;

use gapless_recovery::Instant;
use gapless_seq::RangeSet;

use crate::config::ConnectionConfig;
use generation::Generation;
use listening::Listening;
use sequencer::Sequencer;

/// A connection of version 2, or of a dialer that may become one.
#[derive(Debug)]
pub(crate) struct V2 {
    /// A dialer that has not heard its peer's version. Until then exactly one record is outstanding: the SYN
    /// without data (UDX 13).
    pub(crate) undecided: bool,
    /// The SYN is to be sent again at once, in another version's form.
    repeat_opening: bool,
    order: Sequencer,
    listening: Listening,
    /// Numbers that arrived since the last ACK was sent, known ones again among them: the next one has to name them, or their
    /// sender sends them for ever.
    recent: RangeSet<8>,
    /// The stream that is sending, where only one may (UDX2 D10).
    sender: Option<u32>,
    go: Generation,
}

impl V2 {
    pub(super) fn new(config: &ConnectionConfig, undecided: bool) -> Self {
        V2 {
            undecided,
            repeat_opening: false,
            order: Sequencer::new(config.first_number, config.streams_are_authenticated),
            listening: Listening::default(),
            recent: RangeSet::new(),
            sender: None,
            go: Generation::default(),
        }
    }

    /// Where wire numbers are expanded.
    pub(super) fn expected(&self) -> u64 {
        self.order.expected()
    }

    /// When the order of the numbers has waited long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.order.deadline()
    }

    /// A datagram came from the peer; the last one came then.
    pub(super) fn note_heard(&mut self, now: Instant, last: Instant) {
        let silence = now.saturating_duration_since(last);
        self.listening.note_heard(silence, self.order.expected());
    }

    /// Data came under this number; perhaps others have waited for them.
    fn note_place(&mut self, now: Instant, number: u64) {
        if let Some(since) = self.order.overtaken_since(number) {
            let late = now.saturating_duration_since(since);
            self.listening.note_late(late, number);
        }
    }

    /// A numbered packet is to be acknowledged.
    pub(super) fn note_received(&mut self, number: u64) {
        self.recent
            .insert_evicting_lowest(number..number.saturating_add(1));
    }

    /// All that came was acknowledged.
    pub(super) fn note_acknowledged(&mut self) {
        self.recent.clear();
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>().saturating_add(self.order.bytes())
    }
}
