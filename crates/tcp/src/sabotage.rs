//! The defects of this crate that can be switched on.

gapless_seq::defects! {
    /// What the window leaves wraps when the window has moved back.
    RoomWraps,
    /// Octets that wait to be read are taken off the window twice.
    EdgeFromFreeSpace,
    /// The window of a SYN is shifted in the books.
    SynWindowShifted,
    /// A stream ends when its end is known, whatever is missing.
    FinUnordered,
    /// A FIN is not sent again.
    FinSentOnce,
    /// Pieces with one octet missing between them are joined.
    HoleOffByOne,
    /// A block tells of one octet too many.
    BlockOffByOne,
    /// All timers share a slot, and that of retransmissions gives way.
    TimerShared,
    /// Nobody asks whether a closed window is open again.
    NoWindowProbe,
    /// An acknowledgment that may wait is never sent by itself.
    DelayedAckForgotten,
    /// TIME-WAIT never ends.
    TimeWaitForgotten,
    /// A small segment waits although nothing is in flight.
    NagleForEver,
    /// A timestamp that is the same as the one before is old.
    PawsOffByOne,
    /// Wire numbers are compared as they are.
    WrapIgnored,
    /// A selective acknowledgement of what was never sent is believed.
    UnsentBlockBelieved,
    /// An acknowledgment of what was never sent is believed.
    UnsentAckBelieved,
    /// A RST counts whatever its number.
    ResetUnchecked,
    /// A RST counts anywhere in the window.
    ResetInWindow,
    /// A SYN in the window ends the connection.
    SynEnds,
    /// The peer's segment size is not asked.
    SizeIgnored,
    /// An octet more is let go than was acknowledged.
    FreedUnacknowledged,
    /// A connection that is over is kept.
    ConnectionKept,
    /// What arrives beyond the window is taken.
    BeyondWindowTaken,
    /// Timestamps are compared as they are.
    StampWrapIgnored,
    /// Windows are shifted although the peer did not offer it.
    ScaleUnasked,
    /// The first part of what is cut in two has the FIN.
    FinOnFirstPart,
    /// Timestamps take no room.
    StampsNotCounted,
    /// Nobody answers the peer's FIN when it comes again in TIME-WAIT.
    LateFinIgnored,
    /// Blocks tell of what is behind holes although the peer did not permit them.
    BlocksUnasked,
}
