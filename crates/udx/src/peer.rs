//! What the peers of today need differently, in one place.
//!
//! Nothing on the wire names an implementation, so a [`Peer`] is told from what it sends (UDX 18.1).
//! The rest of the engine asks [`Rules`] and never the name. Every rule here that is for one peer's
//! sake says whose; towards [`Peer::Own`] none of them costs anything.

mod v2;

pub(crate) use v2::LATE_GO;

use core::time::Duration;

use crate::connection::Side;
use crate::stream::Discipline;

/// Which implementation the peer is, as far as its packets told.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Peer {
    /// Not known yet, or none of the below.
    #[default]
    Unknown,
    /// This implementation.
    Own,
    /// go-udx.
    Go,
    /// js-udx.
    Js,
    /// dart-udx. Releases differ (UDX 1), but not in what matters here.
    Dart,
}

/// How to treat a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rules {
    /// Acknowledge at once when this many packets are pending (UDX 4.2: 2; 18.4: up to 10
    /// towards our own kind).
    pub(crate) ack_threshold: u32,
    /// ... or this many, where they come slowly. UDX 4.2: 2; towards our own kind 1, since a sender with a window of some packets
    /// waits for each acknowledgement, and few packets make few of them.
    pub(crate) least_ack_threshold: u32,
    /// Ranges beyond the first in an ACK frame. UDX 4.3: Go and JS worked with 32.
    pub(crate) ack_ranges: usize,
    /// Whether a PING under a fresh number is acknowledged. Go did not before v0.1.3 (D7), so a
    /// Go peer counts as one that does not.
    pub(crate) acknowledges_ping: bool,
    /// D9: Dart's probe is a PING under a data packet's number. Such a PING is acknowledged
    /// only from peers that never do that.
    pub(crate) ping_numbers_are_fresh: bool,
    /// V12: a FIN that overtakes the opening of its stream is lost at Go and JS, and the stream
    /// never ends. Our own kind keeps it.
    pub(crate) fin_may_overtake_syn: bool,
    /// UDX 8.1: the peer's stream IDs are every second number.
    pub(crate) stream_ids_count_by_two: bool,
    /// D12, V11: Go hands at most 16 waiting streams to its application and forgets the rest, so
    /// at most this many are opened in one round trip.
    pub(crate) streams_per_round_trip: Option<u32>,
    /// D23: Go and JS keep 32 packets that come ahead of the one which opens the connection, so
    /// this many at most are outstanding before the first answer.
    pub(crate) packets_before_answer: usize,
    /// The least probe timeout. UDX 18.5: 200 ms is the floor of all others, whose ACKs may
    /// come 25 ms late;
    /// our own kind's are as late, and it knows to expect that.
    pub(crate) min_pto: Duration,
    /// The part of its round trip time within which the peer promises to acknowledge; 0: none. The
    /// others delay as long (UDX 4.2), but one that only receives measures nothing and so takes 25 ms;
    /// our own kind measures by its challenge.
    pub(crate) ack_delay_share: u32,
    /// Whether an ACK may go with data. UDX2 H7: not where a packet that is sent again must be the same.
    pub(crate) ack_with_data: bool,
    /// How streams send.
    pub(crate) discipline: Discipline,
    /// The most numbers from the oldest unacknowledged one on (UDX2 H4).
    pub(crate) most_outstanding: u32,
    /// Only one stream sends at a time, to its end (UDX2 D10, H11).
    pub(crate) one_sender: bool,
    /// Whether STREAM_DATA_BLOCKED and DATA_BLOCKED are understood (D13, UDX2 D1).
    pub(crate) reports_blocked: bool,
    /// D14: Dart 3.0.0 says a limit once and understands no question, so that the stream of a lost one would stand for ever. After
    /// questions without an answer a little is sent beyond the limit, which all of Dart 3 takes.
    pub(crate) tries_limits: bool,
    /// UDX2 H2: until our first number is acknowledged, nothing is sent that Go would acknowledge under it.
    pub(crate) waits_for_first: bool,
    /// V5: RESET_STREAM, STOP_SENDING and PATH_RESPONSE go in numbered packets, with a SYN that means nothing.
    /// Version 2 between two of our own kind.
    pub(crate) carries_by_syn: bool,
    /// UDX2 D11: early Go and Dart take limits for plain numbers, so beyond 2^32 they stay at the largest.
    pub(crate) limits_saturate: bool,
    /// UDX2 H14: senders that never ask are told the limit again and again.
    pub(crate) insistent_windows: bool,
    /// The largest receive window of a stream, in bytes (UDX2 15.4).
    pub(crate) most_window: u32,
    /// Whether STOP_SENDING may be said. UDX2 D1: in version 2 Dart takes its number for another frame's. Dart of version 3 answers
    /// it by nothing (UDX 8.4): the stream would never be over here.
    pub(crate) says_stop: bool,
}

impl Rules {
    /// Whether control frames can be said so that they arrive (V5).
    pub(crate) fn is_heard_surely(&self) -> bool {
        self.acknowledges_ping || self.carries_by_syn
    }
}

/// How late our own kind may acknowledge. The same 25 ms as everybody (UDX 4.2).
pub(crate) const MAX_ACK_DELAY: Duration = Duration::from_millis(25);

impl Peer {
    /// How to treat a peer that speaks version 3.
    pub(crate) const fn rules(self) -> &'static Rules {
        match self {
            Peer::Unknown => &COMMON,
            Peer::Dart => &Rules {
                tries_limits: true,
                // UDX 8.4: 3.1.0 then closes its side without a word, to 3.0.0 it says something else (D4).
                says_stop: false,
                ..COMMON
            },
            Peer::Go => &Rules {
                ping_numbers_are_fresh: true,
                stream_ids_count_by_two: true,
                ..COMMON
            },
            Peer::Js => &Rules {
                ping_numbers_are_fresh: true,
                acknowledges_ping: true,
                stream_ids_count_by_two: true,
                streams_per_round_trip: None,
                ..COMMON
            },
            Peer::Own => &Rules {
                ack_threshold: 10,
                least_ack_threshold: 1,
                ack_ranges: 32,
                acknowledges_ping: true,
                ping_numbers_are_fresh: true,
                fin_may_overtake_syn: true,
                stream_ids_count_by_two: false,
                streams_per_round_trip: None,
                packets_before_answer: 10,
                min_pto: OWN_MIN_PTO,
                ack_delay_share: 4,
                ..COMMON
            },
        }
    }
}

/// UDX 18.1: who is not known is treated as Dart for D9 and as Go for D12.
const COMMON: Rules = Rules {
    ack_threshold: 2,
    least_ack_threshold: 2,
    ack_ranges: 32,
    acknowledges_ping: false,
    ping_numbers_are_fresh: false,
    fin_may_overtake_syn: false,
    stream_ids_count_by_two: false,
    streams_per_round_trip: Some(8),
    packets_before_answer: 10,
    min_pto: Duration::from_millis(200),
    ack_delay_share: 0,
    ack_with_data: true,
    discipline: Discipline::Free,
    most_outstanding: u32::MAX,
    one_sender: false,
    reports_blocked: true,
    tries_limits: false,
    waits_for_first: false,
    carries_by_syn: false,
    limits_saturate: false,
    insistent_windows: false,
    most_window: u32::MAX,
    says_stop: true,
};

/// The least probe timeout towards our own kind: three ticks of an operating system's timer. A probe sent in vain costs
/// one packet and reduces nothing; one sent late costs a lossy path its rate.
const OWN_MIN_PTO: Duration = Duration::from_millis(3);

/// The mark by which our own kind knows itself: the low 16 bits of the MAX_DATA that a side
/// announces. All others announce multiples of 65,536 (UDX 7.2, 15), and to all of them the value
/// only says "plenty".
///
/// Dialer and acceptor have different marks, since Go answers DATA_BLOCKED by the very value that it was
/// given (UDX 10.2): our own mark coming back must not make it one of us.
///
/// The upper twelve bits are fixed for each side, the lower four are the base 2 logarithm of the number of
/// streams the sender really lets its peer hold open at once. (MAX_STREAMS cannot say that: Go
/// counts it over the connection's life, so everybody is told 65,535, D12.)
const DIALER_MARK: u64 = 0x6A50;
const ACCEPTOR_MARK: u64 = 0x6A60;
const OWN_MARK_MASK: u64 = 0xFFF0;
const OWN_STREAMS_MASK: u64 = 0x000F;
const MARK_BITS: u64 = 0xFFFF;

/// The largest value any 64 bit field may carry: JS drops the packet above it (V14).
const MAX_WIRE_VALUE: u64 = (1 << 53) - 1;

const fn own_mark(side: Side) -> u64 {
    match side {
        Side::Dialer => DIALER_MARK,
        Side::Acceptor => ACCEPTOR_MARK,
    }
}

/// The MAX_DATA value by which `side` announces `in_flight` bytes and its stream limit.
pub(crate) fn announce_max_data(side: Side, in_flight: u64, max_streams: u32) -> u64 {
    let rounded = in_flight.clamp(MARK_BITS, MAX_WIRE_VALUE) & !MARK_BITS;
    let log2 = u64::from(max_streams.max(1).ilog2().min(15));
    rounded | own_mark(side) | log2
}

/// If a MAX_DATA value that came from `side` is our own kind's: how many streams it lets us hold
/// open.
pub(crate) fn own_kind_streams(side: Side, max_data: u64) -> Option<u32> {
    if max_data & OWN_MARK_MASK != own_mark(side) {
        return None;
    }
    let log2 = u32::try_from(max_data & OWN_STREAMS_MASK).unwrap_or(0);
    1_u32.checked_shl(log2)
}

/// Clues gathered from a peer's packets until they name it (UDX 18.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clues {
    /// It announced limits: the dialer MAX_DATA or MAX_STREAMS in its opening packet, the acceptor
    /// MAX_STREAMS (a MAX_DATA may be Go's answer to DATA_BLOCKED).
    pub(crate) announced: bool,
    /// It challenged our address right at the start.
    pub(crate) challenged: bool,
    /// It opened the connection by a SYN without stream IDs.
    pub(crate) bare_syn: bool,
    /// The first packet of all had both stream IDs. (With a source alone it is a stream of Go's or JS's
    /// whose packet overtook the opening of the connection.)
    pub(crate) named_ids: bool,
    /// It answered a stream of ours by a SYN of its own (D3).
    pub(crate) syn_back: bool,
    /// An unnumbered packet of its had a number in the header (D5), or a frame type as only
    /// Dart 3.0.0 numbers it (D4).
    pub(crate) dart_header: bool,
    /// MAX_DATA carried our mark.
    pub(crate) own: bool,
    /// It acknowledged with our stream IDs swapped.
    pub(crate) swapped_ack: bool,
}

impl Clues {
    /// What the clues say so far. A later call may know more, never less.
    pub(crate) fn verdict(&self, dialed: bool) -> Peer {
        if self.own {
            Peer::Own
        } else if self.dart_header || self.syn_back {
            Peer::Dart
        } else if dialed {
            match (self.challenged || self.announced, self.swapped_ack) {
                (true, _) => Peer::Js,
                (false, true) => Peer::Go,
                (false, false) => Peer::Unknown,
            }
        } else {
            match (self.bare_syn, self.announced) {
                (true, true) => Peer::Js,
                (true, false) => Peer::Go,
                // A SYN with stream IDs and nothing else is Dart's; with further frames it
                // is a third implementation, though not ours.
                (false, false) if self.named_ids => Peer::Dart,
                (false, _) => Peer::Unknown,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDES: [Side; 2] = [Side::Dialer, Side::Acceptor];

    #[test]
    fn our_mark_survives_and_nobody_else_carries_it() {
        for log2 in 0..16 {
            for [side, other] in [SIDES, [SIDES[1], SIDES[0]]] {
                let value = announce_max_data(side, 16 << 20, 1 << log2);
                assert_eq!(own_kind_streams(side, value), Some(1 << log2));
                assert_eq!(own_kind_streams(other, value), None, "our own, sent back");
                assert!(value >= 16 << 20, "peers may have 16 MiB in flight");
            }
        }
        // UDX 15: what JS, Dart and Go announce.
        for value in [16_777_216, 1_048_576, 0, u64::MAX, MAX_WIRE_VALUE] {
            assert_eq!(SIDES.map(|side| own_kind_streams(side, value)), [None; 2]);
        }
        assert!(announce_max_data(Side::Dialer, u64::MAX, 1024) <= MAX_WIRE_VALUE);
    }

    #[test]
    fn a_stream_limit_is_rounded_down_to_a_power_of_two() {
        let told = |streams| {
            let value = announce_max_data(Side::Acceptor, 1 << 20, streams);
            own_kind_streams(Side::Acceptor, value)
        };
        assert_eq!(told(1000), Some(512));
        assert_eq!(told(0), Some(1));
        assert_eq!(told(u32::MAX), Some(32_768));
    }

    // UDX 18.1, both tables.
    #[test]
    fn peers_are_known_by_their_first_packets() {
        let none = Clues::default();
        assert_eq!(
            Clues {
                bare_syn: true,
                ..none
            }
            .verdict(false),
            Peer::Go
        );
        assert_eq!(
            Clues {
                bare_syn: true,
                announced: true,
                ..none
            }
            .verdict(false),
            Peer::Js
        );
        assert_eq!(
            Clues {
                named_ids: true,
                ..none
            }
            .verdict(false),
            Peer::Dart
        );
        assert_eq!(
            none.verdict(false),
            Peer::Unknown,
            "a stream overtook the opening of its connection"
        );
        assert_eq!(
            Clues {
                announced: true,
                ..none
            }
            .verdict(false),
            Peer::Unknown
        );
        assert_eq!(
            Clues {
                announced: true,
                own: true,
                ..none
            }
            .verdict(false),
            Peer::Own
        );

        assert_eq!(none.verdict(true), Peer::Unknown);
        assert_eq!(
            Clues {
                swapped_ack: true,
                ..none
            }
            .verdict(true),
            Peer::Go
        );
        assert_eq!(
            Clues {
                challenged: true,
                announced: true,
                ..none
            }
            .verdict(true),
            Peer::Js
        );
        assert_eq!(
            Clues {
                syn_back: true,
                ..none
            }
            .verdict(true),
            Peer::Dart
        );
        assert_eq!(
            Clues {
                dart_header: true,
                swapped_ack: true,
                ..none
            }
            .verdict(true),
            Peer::Dart
        );
        assert_eq!(
            Clues {
                own: true,
                challenged: true,
                ..none
            }
            .verdict(true),
            Peer::Own
        );
    }
}
