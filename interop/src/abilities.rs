//! What a peer cannot do, with the place where that is written. Everything else it has to do.
//!
//! UDX and UDX2 are the specifications of the two versions of the wire, with section, difference (D) or hazard (H).

use crate::cell::Cell;
use crate::kind::Kind;
use crate::plan::{Choice, Scenario};

/// Why the peer cannot pass this cell; `None` if it has to.
pub(crate) fn not_possible(_cell: &Cell) -> Option<&'static str> {
    None
}

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
