//! The defects of this crate that can be switched on.

gapless_seq::defects! {
    /// An ACK takes a number, and is never sent again.
    AckTakesNumber,
    /// Two wire numbers are subtracted in the wrong order.
    SubtractedTheWrongWay,
    /// Wire numbers are compared as they are.
    WrapIgnored,
    /// Each range of an ACK begins one number too low.
    RangeOffByOne,
    /// An ACK that may wait is never sent by itself.
    DelayedAckForgotten,
    /// The timers of ACKs and of losses share a slot, and the later one takes it.
    TimerShared,
    /// A window update is said once.
    WindowSaidOnce,
    /// Whoever asks for a window is not told.
    WindowNotToldOnRequest,
    /// A window's edge follows the free space of the buffer.
    EdgeFromFreeSpace,
    /// A stream ends when its end is known, whatever is missing.
    FinUnordered,
    /// What is sent again is cut anew.
    CutAnew,
    /// A packet that was delivered is delivered again.
    DeliveredTwice,
    /// What overlaps is not trimmed.
    OverlapKept,
    /// RESET_STREAM is not sent again.
    ResetOnce,
    /// The place of a stream that is over is never free again.
    PlaceNeverFree,
    /// A stream that is over is kept.
    StreamKept,
    /// A PATH_CHALLENGE is not answered.
    ChallengeUnanswered,
    /// Packets go to where the last one came from.
    MovedUnproven,
    /// An unproven address is sent whatever there is.
    AllowanceIgnored,
    /// Packets that arrive do not put off the idle timeout.
    IdleNotRestarted,
    /// A silent peer is asked once and never again.
    KeepAliveOnce,
    /// Bytes are let go with an acknowledgement of later ones.
    FreedUnacknowledged,
    /// Early packets are counted for ever.
    EarlyBytesLeaked,
    /// A packet that could not be stored is acknowledged.
    AckedUnstored,
    /// A late SYN revives a closed connection.
    ClosedRevived,
    /// A FIN may overtake the opening of its stream.
    FinOvertakes,
    /// More numbers are outstanding than Go of version 2 can order.
    SpanIgnored,
    /// Go of version 2 is sent more before its first data are acknowledged.
    FirstDataNotAwaited,
    /// Several streams send at once to early Go.
    SendersMixed,
    /// MAX_DATA binds nobody.
    MaxDataIgnored,
}
