//! The marks of this crate: branches that a path, a peer or a caller has to bring about.

gapless_seq::marks! {
    // Which transmissions are lost, and which were not after all.

    /// RFC 8985 6.2 step 3: for the first time something was delivered after what was sent later.
    ReorderingSeen,
    /// RFC 8985 6.2 step 4: a loss that was none widened the reordering window.
    ReorderingWindowWidened,
    /// RFC 8985 6.2 step 4: after 16 recoveries without such an error the window is narrow again.
    ReorderingWindowForgotten,
    /// Lost because three later ones were delivered.
    LostByCount,
    /// Lost because it is overdue while a later one was delivered.
    LostByTime,
    /// The timer for a loss in question ran out, and it was one.
    LossTimerFired,
    /// A transmission that was declared lost is acknowledged after all.
    LossDisproved,
    /// Reused numbers: the answer came too soon for the repetition, so the first transmission had arrived.
    LossDisprovedByEarlyAnswer,
    /// Every loss of an episode was an error, and its reduction of the window is taken back.
    SpuriousLossUndone,
    /// RFC 5682: a timeout was too early, as the order of acknowledgements tells.
    TimeoutDisprovedByOrder,
    /// A loss that was none belongs to an episode that can no longer be undone.
    SpuriousLossTooLate,
    /// RFC 9002 7.6: nothing passed for three timeouts.
    PersistentCongestion,
    /// A transmission of the path before is lost, which tells nothing about this one.
    OldPathLost,
    /// A transmission of the path before is acknowledged.
    OldPathAcked,
    /// What is no longer remembered as sent is acknowledged.
    ForgottenAcked,
    /// A lost transmission is not the last of its record, which is on its way again.
    LostButSentAgain,
    /// A ping or a probe is lost, and nobody sends it again.
    OnceLost,

    // Acknowledgements.

    /// R3: an acknowledgement of what was never sent is refused.
    AckOfUnsentRefused,
    /// Karn: the largest number was sent more than once, so the answer gives no round trip time.
    KarnRefusedSample,
    /// RFC 8985 6.2 step 2: an answer faster than any round trip is for an earlier transmission.
    AnswerTooFast,
    /// Timeouts in a row: the least round trip time of before decides nothing any more.
    LeastRttDoubted,
    /// Karn: an answer that may mean the first transmission does not end the backoff.
    BackoffKept,
    /// A minute is over, and with it the least round trip time of the minute before.
    LeastRttExpired,
    /// The peer waited longer than peers do before it acknowledged.
    AckDelayLong,
    /// Acknowledgements came faster than any round trip, so their rate counts for nothing.
    RateSampleTooShort,

    // Timeouts.

    /// The first probe timeout in a row: the tail loss probe of RFC 8985 7.
    TailProbe,
    /// A further probe timeout in a row, with two probes.
    PtoBackedOff,
    /// The probe timeout backed off as far as it may.
    PtoCapped,
    /// A probe timeout with nothing in flight: what is lost found no room to be sent again.
    PtoWithNothingInFlight,
    /// Only what nobody needs was in flight, and its time ended.
    PingsExpired,
    /// A probe repeats what was not repeated since the timeout, though older records wait.
    ProbeSkipsRecent,
    /// All traffic ended a while ago, and memory is given back.
    MemoryReleased,

    // Sending.

    /// A lost record is sent again under a number of its own.
    ResentFresh,
    /// A lost record is sent again under the number it had.
    ResentReused,
    /// A record was cut in two.
    RecordSplit,
    /// A record was given up with its stream.
    RecordAbandoned,
    /// A number was left out.
    NumberSkipped,
    /// The window has no room.
    WindowFull,
    /// The pacer asks to wait.
    PacerWaits,
    /// The sent log is full.
    LogFull,
    /// The window has room, and there is nothing to send.
    AppLimited,
    /// Another path: everything that was learned of the one before is forgotten.
    PathChanged,
    /// The peer's first answer told how numbers are used: the books begin anew.
    BooksBegunAnew,

    // Proportional rate reduction, RFC 9937.

    /// More is in flight than the new window: sending in proportion to what is delivered.
    PrrProportional,
    /// Less is in flight: one packet for each that is delivered.
    PrrConservative,
    /// Less is in flight and no more was lost: a packet more.
    PrrSlowStart,
    /// Less was in flight than the reduced window allows: all of that is used.
    PrrSpare,
    /// The first retransmission goes whatever the window says.
    PrrForced,

    // The search for the path's size, RFC 8899.

    /// A size was confirmed.
    MtuRaised,
    /// Three probes of a size were lost.
    MtuRefused,
    /// Nothing is left to try.
    MtuSearchFinished,
    /// A new search after the pause that follows a black hole.
    MtuSearchedAgain,
    /// A large packet arrived after a suspicion.
    MtuSuspicionCleared,
    /// Large packets no longer pass.
    BlackHoleFound,
    /// Another path: back to the base size.
    MtuLowered,

    // Slow start, RFC 9406.

    /// A rise of the round trip time begins conservative slow start.
    CssEntered,
    /// The rise was no congestion: back to slow start.
    CssLeft,
    /// Five rounds of conservative slow start ended slow start.
    SlowStartLeftByDelay,
    /// A loss ended slow start.
    SlowStartLeftByLoss,

    // CUBIC, RFC 9438, and NewReno.

    /// Below the window before the loss.
    CubicConcave,
    /// Beyond it.
    CubicConvex,
    /// Where Reno would be faster.
    CubicRenoFriendly,
    /// 4.7: a window that fell twice gives way.
    CubicFastConvergence,
    /// 4.9.2: back to the epoch before.
    CubicUndone,
    /// 5.8: a silence does not count as age.
    CubicSilence,
    /// The window grew by a packet.
    NewRenoGrew,
    /// The window of before the losses that were none.
    NewRenoUndone,

    // BBR, draft-ietf-ccwg-bbr-06.

    /// 5.3.1.2: the rate stopped growing.
    BbrPipeFull,
    /// 5.3.1.3: Startup ended because it lost too much.
    BbrStartupLostTooMuch,
    /// 5.3.2: the queue was drained.
    BbrDrained,
    /// 5.3.2: Drain took too long.
    BbrDrainTooLong,
    /// 5.3.3: ProbeBW_CRUISE.
    BbrCruise,
    /// 5.3.3: ProbeBW_REFILL.
    BbrRefill,
    /// 5.3.3: ProbeBW_UP.
    BbrUp,
    /// 5.3.3: probing ended because the rate no longer grew.
    BbrProbeDone,
    /// 5.3.3.6: probing ended where it was too much before.
    BbrProbeCautious,
    /// 5.3.3.6: the cautious probe did no harm, so another one follows.
    BbrProbeAgain,
    /// 5.5.10.2: more than 2 % of what was sent while probing is lost.
    BbrTooMuchInFlight,
    /// 5.5.10.3: losses lower the bounds of the moment.
    BbrShortTermLowered,
    /// Losses that chance explains lower nothing.
    BbrChanceLoss,
    /// 5.3.4: ProbeRTT.
    BbrProbeRtt,
    /// 5.3.4.4: the least round trip time was measured.
    BbrProbeRttDone,
    /// The greatest rate is too old to be believed.
    BbrRateStale,
    /// 5.4.1: sends again after a silence.
    BbrRestarted,
    /// 5.5.11.2: losses that were none had ended Startup.
    BbrStartupUndone,
    /// 5.5.11.2: losses that were none had ended the probing.
    BbrUpUndone,
    /// 5.6.4.4: a window that persistent congestion reduced grew back.
    BbrWindowRestored,
}
