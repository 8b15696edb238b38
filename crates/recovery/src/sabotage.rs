//! The defects of this crate that can be switched on.

gapless_seq::defects! {
    /// A number is left out although each has to arrive.
    AckTakesNumber,
    /// What is lost still counts as in flight.
    LostStaysInFlight,
    /// The congestion window is not asked.
    WindowIgnored,
    /// The pacer names a time that has come already.
    PacedInThePast,
    /// Losses are found by probe timeouts alone.
    NoFastRetransmit,
    /// Fewer than three later ones delivered are never a sign of loss, however late it is.
    LossByCountOnly,
    /// A probe timeout arms no further one.
    PtoOnce,
    /// The backoff of the probe timeout never ends.
    BackoffForEver,
    /// Any acknowledgement gives a round trip time, also of what was sent twice.
    KarnIgnored,
    /// Losses over a long time reduce the window no more than one does.
    PersistentIgnored,
    /// A reduction that was an error is taken back twice over.
    UndoneTwice,
    /// Large packets may vanish for ever.
    BlackHoleIgnored,
    /// An acknowledgement of what was never sent is believed.
    UnsentBelieved,
    /// A repetition goes under the number of something else.
    NumberReused,
    /// A size that was confirmed is not used.
    MtuNeverRaised,
    /// The path of before still fills the window of the new one.
    OldPathCounts,
    /// The window does not grow in slow start.
    NoSlowStart,
}
