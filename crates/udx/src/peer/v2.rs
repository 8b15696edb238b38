//! The peers of version 2 (UDX2 1, 15.1).

use core::time::Duration;

use super::{Clues, OWN_MIN_PTO, Peer, Rules};
use crate::stream::Discipline;

/// UDX2 H4: the gaps in an ACK frame have eight bits, and Go forgets what is late by some 755 numbers (H16).
const MOST_OUTSTANDING: u32 = 250;

/// UDX2 15.4: early Go sends all that a window allows at once, unpaced, so it stays below 256 KiB; in bytes.
const MOST_WINDOW: u32 = (256 << 10) - 1;

impl Peer {
    /// How to treat a peer that speaks version 2. Whoever is not known is treated as Go, which costs the others one or
    /// two round trips at the start.
    pub(crate) const fn rules_v2(self) -> &'static Rules {
        match self {
            Peer::Unknown | Peer::Js => &CAUTIOUS,
            Peer::Go => &Rules {
                stream_ids_count_by_two: true,
                // D1: Go answers it.
                reports_blocked: true,
                ..CAUTIOUS
            },
            Peer::Dart => &Rules {
                streams_per_round_trip: None,
                // D10: it orders by the connection, as we do.
                one_sender: false,
                // It controls congestion, and paces.
                most_window: u32::MAX,
                ..CAUTIOUS
            },
            Peer::Own => &Rules {
                ack_threshold: 10,
                least_ack_threshold: 1,
                ack_ranges: 32,
                streams_per_round_trip: None,
                packets_before_answer: 10,
                fin_may_overtake_syn: true,
                min_pto: OWN_MIN_PTO,
                ack_delay_share: 4,
                ack_with_data: true,
                discipline: Discipline::Ordered,
                most_outstanding: u32::MAX,
                one_sender: false,
                reports_blocked: true,
                waits_for_first: false,
                carries_by_syn: true,
                limits_saturate: false,
                insistent_windows: false,
                most_window: u32::MAX,
                says_stop: true,
                ..CAUTIOUS
            },
        }
    }
}

/// Go of about August 2026 (UDX2 18.1): it orders by the connection, takes limits modulo 2^32, and grants what was
/// consumed.
pub(crate) const LATE_GO: Rules = Rules {
    stream_ids_count_by_two: true,
    reports_blocked: true,
    discipline: Discipline::Careful,
    one_sender: false,
    limits_saturate: false,
    ..CAUTIOUS
};

/// Every precaution that one of the peers needs.
const CAUTIOUS: Rules = Rules {
    ack_threshold: 2,
    least_ack_threshold: 2,
    ack_ranges: 1,
    // D14: nobody is sent a PING.
    acknowledges_ping: false,
    ping_numbers_are_fresh: false,
    fin_may_overtake_syn: false,
    stream_ids_count_by_two: false,
    streams_per_round_trip: Some(8),
    // H9, H10: nothing follows number 0 until it is acknowledged.
    packets_before_answer: 1,
    min_pto: Duration::from_millis(200),
    ack_delay_share: 0,
    // H7: a packet that is sent again is the same to the byte.
    ack_with_data: false,
    discipline: Discipline::Cautious,
    most_outstanding: MOST_OUTSTANDING,
    one_sender: true,
    reports_blocked: false,
    tries_limits: false,
    waits_for_first: true,
    carries_by_syn: false,
    limits_saturate: true,
    insistent_windows: true,
    most_window: MOST_WINDOW,
    says_stop: false,
};

impl Clues {
    /// What the clues say of a peer that speaks version 2 (UDX2 15.1). A later call may know more, never less.
    pub(crate) fn verdict_v2(&self, dialed: bool) -> Peer {
        if self.own {
            Peer::Own
        } else if self.dart_header || self.syn_back {
            Peer::Dart
        } else if dialed {
            // Dart acknowledges with IDs 0/0.
            if self.swapped_ack {
                Peer::Go
            } else {
                Peer::Unknown
            }
        } else {
            match (self.bare_syn, self.named_ids && !self.announced) {
                (true, _) => Peer::Go,
                (false, true) => Peer::Dart,
                (false, false) => Peer::Unknown,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // UDX2 15.1, the table.
    #[test]
    fn peers_of_version_2_are_known_by_their_first_packets() {
        let none = Clues::default();
        let clues = |change: fn(&mut Clues)| {
            let mut clues = none;
            change(&mut clues);
            clues
        };
        assert_eq!(none.verdict_v2(true), Peer::Unknown);
        assert_eq!(none.verdict_v2(false), Peer::Unknown);
        let go = clues(|clues| clues.bare_syn = true);
        assert_eq!(go.verdict_v2(false), Peer::Go);
        let go = clues(|clues| clues.swapped_ack = true);
        assert_eq!(go.verdict_v2(true), Peer::Go);
        let dart = clues(|clues| clues.named_ids = true);
        assert_eq!(dart.verdict_v2(false), Peer::Dart);
        let third = clues(|clues| (clues.named_ids, clues.announced) = (true, true));
        assert_eq!(
            third.verdict_v2(false),
            Peer::Unknown,
            "no peer but a third puts more into it"
        );
        let dart = clues(|clues| clues.syn_back = true);
        assert_eq!(dart.verdict_v2(true), Peer::Dart);
        let dart = clues(|clues| (clues.dart_header, clues.swapped_ack) = (true, true));
        assert_eq!(dart.verdict_v2(true), Peer::Dart);
        let own = clues(|clues| (clues.own, clues.named_ids) = (true, true));
        assert_eq!(
            [own.verdict_v2(true), own.verdict_v2(false)],
            [Peer::Own; 2]
        );
    }

    /// What is not known is treated with every care that one of the peers needs.
    #[test]
    fn nobody_is_treated_more_carefully_than_the_unknown() {
        let unknown = Peer::Unknown.rules_v2();
        for peer in [Peer::Go, Peer::Dart, Peer::Own] {
            let rules = peer.rules_v2();
            assert!(rules.most_outstanding >= unknown.most_outstanding);
            assert!(unknown.one_sender && unknown.waits_for_first && unknown.limits_saturate);
            assert!(!rules.acknowledges_ping, "D14");
        }
    }
}
