//! What a peer cannot do, with the place where that is written. Everything else it has to do.
//!
//! UDX and UDX2 are the specifications of the two versions of the wire, with section, difference (D) or hazard (H).

use crate::cell::{Cell, Link};
use crate::kind::Kind;
use crate::plan::{Choice, Scenario};
use gapless_lab::peers::{self, dart::Release};

/// Why the peer cannot pass this cell; `None` if it has to.
pub(crate) fn not_possible(cell: &Cell) -> Option<&'static str> {
    let Kind::Model(peers::Kind::Dart(release)) = cell.peer else {
        return None;
    };
    dart(cell, release)
}

fn dart(cell: &Cell, release: Release) -> Option<&'static str> {
    let loses = matches!(cell.link, Link::Loss1 | Link::Bad);
    let to_peer = cell.direction.ours_active;
    let (streams, bytes) = cell.scenario.load();
    let bytes = bytes.saturating_mul(streams.into());
    match release {
        Release::V200 if needs_streams(cell.scenario) => Some(NUMBERS_PER_STREAM),
        Release::V201 | Release::V202 if loses && cell.scenario == Scenario::Reset => Some(BURNT),
        Release::V201 | Release::V202 if loses && answers_after(cell, DART_UPDATE) => Some(BURNT),
        Release::V300 | Release::V310
            if cell.scenario == Scenario::Reset && cell.direction.ours_dials && !to_peer =>
        {
            Some(GHOST)
        }
        Release::V300 if loses && to_peer && needs_window(cell.scenario) => Some(WINDOW_LOST),
        Release::V300 | Release::V310
            if loses && !to_peer && cell.scenario.is_measured() && bytes >= DART_DECLINES =>
        {
            Some(DECLINE)
        }
        _ => None,
    }
}

/// Whether the scenario opens more than one stream.
fn needs_streams(scenario: Scenario) -> bool {
    matches!(
        scenario,
        Scenario::EightStreams | Scenario::HundredStreams | Scenario::Reset | Scenario::Idle
    )
}

/// Whether a stream carries more than its first window, and has to be delivered.
fn needs_window(scenario: Scenario) -> bool {
    scenario.is_measured() && scenario.load().1 > FIRST_WINDOW
}

/// Whether a busy machine alone may keep the peer from passing: timers that fire late are losses to Dart's sender, too (UDX 5).
pub(crate) fn depends_on_the_machine(cell: &Cell) -> bool {
    let Kind::Model(peers::Kind::Dart(Release::V300 | Release::V310)) = cell.peer else {
        return false;
    };
    let (streams, bytes) = cell.scenario.load();
    !cell.direction.ours_active && bytes.saturating_mul(streams.into()) >= DART_DECLINES
}

/// Whether the peer has something to say after it has received more than so many bytes.
fn answers_after(cell: &Cell, bytes: u64) -> bool {
    let (streams, each) = cell.scenario.load();
    let received = each.saturating_mul(streams.into());
    let answers = match cell.scenario {
        Scenario::PeerKilled => false,
        // Both sides send; who receives first speaks last.
        Scenario::HalfClose => true,
        _ => cell.direction.ours_active,
    };
    answers && received > bytes
}

/// Bytes that a stream may carry before any window update (UDX 10.1).
const FIRST_WINDOW: u64 = 65_536;

/// Bytes after which Dart's receiver sends a window update (UDX2 9.1).
const DART_UPDATE: u64 = 16_384;

/// 1 MiB is some 760 packets: of 1%, more are lost than the five that Dart's sender may not survive (UDX 5).
const DART_DECLINES: u64 = 1 << 20;

const NUMBERS_PER_STREAM: &str =
    "it numbers packets per stream, so that a connection carries one stream only (UDX2 1, 3)";
const BURNT: &str = "it spends a number on every window update and reset; when the link loses one, nobody sends that number again, and \
    what follows waits for it (UDX2 3, H6). Ours closes the connection with code 6 after 150 s (H17)";
const WINDOW_LOST: &str = "it cannot read the question for a lost window update, so that a stream waits for ever when the last one is lost \
    (UDX 2.2, 10.1)";
const GHOST: &str = "what is on its way when Dart resets a stream opens it again there, so that its application accepts another \
    stream than the one opened next (UDX 8.2, V4)";
const DECLINE: &str = "after 5 to 40 lost packets its sender sends one fragment in 30 s (UDX 5)";

/// Why the end of a stream may come in a packet of its own, though the sender said all at once; `None` if it has to come with the data.
pub(crate) fn no_fin_with_data(cell: &Cell) -> Option<&'static str> {
    let direction = cell.direction;
    match (cell.peer, cell.version) {
        _ if cell.scenario != Scenario::FinWithData => None,
        (Kind::Own, Choice::V2) if direction.ours_active == direction.ours_dials => {
            Some(DIALER_DOES_NOT_KNOW)
        }
        (Kind::Own, _) => None,
        (_, Choice::V2) if direction.ours_active => Some(FIN_WAITS),
        (_, Choice::V2) => Some(V2_FIN_ALONE),
        (_, _) if direction.ours_active => None,
        (_, _) => Some(V3_FIN_ALONE),
    }
}

const DIALER_DOES_NOT_KNOW: &str = "a dialer's first data leave before it knows that the peer is of its own kind; to any other, the \
    end waits for the acknowledgement of the data (UDX2 15.1, D16)";
const FIN_WAITS: &str = "the peer ends a stream when the FIN arrives, whatever is missing, so the FIN waits until all is acknowledged \
    (UDX2 H8, D16)";
const V2_FIN_ALONE: &str = "the peer's library ends a stream by a packet of its own (UDX2 6.3)";
const V3_FIN_ALONE: &str =
    "the peer's library sends the FIN in a frame of its own after the data (UDX 8.3)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Direction;

    fn cell(peer: Kind, scenario: Scenario, direction: usize, link: Link) -> Cell {
        Cell {
            peer,
            version: Choice::V3,
            scenario,
            direction: Direction::ALL[direction],
            link,
        }
    }

    /// Nothing excuses our own kind, Go and JS, and nothing excuses a sender to Dart on a link that loses nothing.
    #[test]
    fn who_can_must() {
        let dart = |release| Kind::Model(peers::Kind::Dart(release));
        for scenario in Scenario::ALL {
            for direction in 0..4 {
                for link in [Link::Clean, Link::Loss1, Link::Bad] {
                    for peer in Kind::all() {
                        let is_dart = matches!(peer, Kind::Model(peers::Kind::Dart(_)));
                        let cell = cell(peer, scenario, direction, link);
                        assert!(is_dart || not_possible(&cell).is_none(), "{cell}");
                    }
                }
                for release in [Release::V201, Release::V202, Release::V203] {
                    let cell = cell(dart(release), scenario, direction, Link::Clean);
                    assert!(not_possible(&cell).is_none(), "{cell}");
                }
            }
        }
        let repaired = cell(dart(Release::V203Repaired), Scenario::Bulk, 0, Link::Bad);
        assert!(not_possible(&repaired).is_none());
        let declining = cell(dart(Release::V310), Scenario::Bulk, 1, Link::Bad);
        assert_eq!(not_possible(&declining), Some(DECLINE));
    }
}
