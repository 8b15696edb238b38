//! The marks of this crate.

gapless_seq::marks! {
    // Opening.

    /// Both sides opened at once.
    CrossedSyn,
    /// The peer's SYN again, because our answer was lost.
    SynAgain,
    /// A SYN answered by a cookie.
    CookieSent,
    /// A cookie brought back.
    CookieTaken,

    // Receiving.

    /// A segment that begins with what is here already is trimmed.
    FrontTrimmed,
    /// A segment that goes beyond the window is trimmed.
    EndTrimmed,
    /// A segment behind a hole.
    HoleMade,
    /// More pieces behind holes than are kept.
    TooFragmented,
    /// What came twice is told.
    DuplicateTold,
    /// A FIN before data that are missing.
    FinBeforeData,
    /// A FIN at the edge of a closed window.
    FinAtEdge,
    /// A timestamp of an earlier round.
    StampOld,
    /// A segment outside of the window is answered.
    OutsideAnswered,
    /// A reader opens a window that was closed, or small.
    UpdateOwed,
    /// A window is rounded up, so that its edge does not seem to move left.
    RoundedUp,
    /// A window grew with what the application takes out.
    WindowGrew,
    /// Blocks had no room beside data.
    BlocksWait,
    /// An acknowledgment was held back, and nothing came to go along with.
    DelayedAck,

    // Sending.

    /// More may be written than at first, because the congestion window has grown.
    SendBufferGrew,
    /// Nagle's algorithm holds a segment.
    NagleHolds,
    /// The window is too small to be worth a segment.
    SillyWindowAvoided,
    /// A closed window is probed.
    WindowProbed,
    /// The peer's window moved left.
    WindowShrank,
    /// A record is cut because the path became smaller.
    RecordCut,
    /// A router told of a smaller path.
    PathLowered,

    // Strangers.

    /// A segment that may be a stranger's is challenged.
    Challenged,
    /// Not each of them.
    ChallengeHeldBack,
    /// A RST in the window that is not at the next number.
    ResetChallenged,
    /// A RST outside of the window, or in TIME-WAIT.
    ResetIgnored,

    // Ending.

    /// Both FINs crossed.
    ClosedAtOnce,
    /// The peer's FIN again.
    FinAgain,
    /// Closed with octets unread.
    ClosedUnread,
    /// Data for an application that has closed.
    DataForNobody,
    /// The peer's FIN never came.
    FinWaitEnded,
    /// A silent peer is asked.
    KeepAliveAsked,
    /// A silent peer is given up.
    KeepAliveGaveUp,
    /// What was sent was not acknowledged for too long.
    UserTimeout,
    /// Nothing is left of a connection but the answer to late segments.
    Lingers,
    /// Which is given.
    LingerAnswered,
}
