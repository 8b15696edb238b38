//! The marks of this crate: branches that a path, a peer or an application has to bring about.

gapless_seq::marks! {
    // Opening.

    /// UDX 7.1: a packet came ahead of the one that opens its connection, and is kept.
    EarlyPacketKept,
    /// D23: what overtook the opening packet is handled behind it.
    EarlyPacketReplayed,
    /// Packets that never found their connection are dropped.
    EarlyPacketsExpired,
    /// There is no room for one more early packet.
    EarlyPacketRefused,
    /// The oldest ID with early packets makes room for another one.
    EarlyPacketsEvicted,
    /// UDX 7.2: no stream is left that could open the connection, so a SYN for none does.
    OpenedByBareSyn,
    /// D23: no more is sent before the first answer.
    AwaitedFirstAnswer,
    /// A first packet is ignored because of a limit.
    FirstPacketRefused,
    /// UDX2 H19: a connection that never proved its address makes room, before it was accepted.
    DisplacedWaiting,
    /// UDX2 H19: the same of one that the application has.
    DisplacedAccepted,
    /// UDX2 H19: no more streams of a peer that has not proved its address.
    UnprovenStreamsRefused,

    // Versions.

    /// UDX 13: the answer to a SYN without data came in version 2.
    DiscoveredV2,
    /// UDX 13: the answer to a SYN without data came in version 3.
    DiscoveredV3,
    /// UDX 13: a first packet in a version that is not accepted is told which ones are.
    VersionsOffered,
    /// UDX 13: a version negotiation made the dialer send its SYN in the other version.
    OpeningRepeated,
    /// UDX 13: a dialer that cannot speak what is offered remembers that until it gives up.
    VersionRefused,
    /// V7: a version negotiation that comes late, from elsewhere or with a wrong ID is ignored.
    NegotiationIgnored,
    /// UDX2 D17: a packet of a connection, in another version than the connection's.
    OtherVersionIgnored,

    // Who the peer is.

    /// Our own kind, by its mark in MAX_DATA.
    PeerIsOwn,
    /// Go.
    PeerIsGo,
    /// JS.
    PeerIsJs,
    /// Dart.
    PeerIsDart,
    /// UDX2 15.1: whether Go is early or late is asked by a packet that names a stream.
    GoAsked,
    /// UDX2 4.1: early Go answered.
    GoIsEarly,
    /// UDX2 18.1: late Go told itself, or did not answer.
    GoIsLate,

    // Addresses.

    /// V6: a packet came from another address.
    CameFromElsewhere,
    /// V6: what was received before and comes again from elsewhere has no effect.
    RecordedIgnored,
    /// V6: a frame that could harm is not obeyed from there.
    HarmfulIgnored,
    /// Another address is asked whether the peer is there.
    CandidateAsked,
    /// One candidate at a time: others that speak are not asked.
    CandidateTurnedAway,
    /// Nobody answered from there in time.
    CandidateGivenUp,
    /// UDX 11: the peer is now there, on another host: the path is another one.
    MovedToHost,
    /// UDX 11: the peer is now there, behind another port of its host.
    MovedToPort,
    /// The address in use is proven.
    ChallengeAnswered,
    /// A challenge was lost, and is repeated.
    ChallengeRepeated,
    /// A PATH_RESPONSE that answers no question of ours, or not from where it was asked.
    ResponseIgnored,
    /// V18: the allowance of an unproven address holds data back.
    AllowanceHoldsData,
    /// V18: what is left of it does not pay for a challenge.
    AllowanceHoldsChallenge,
    /// V18: what is left of it does not pay for an ACK.
    AllowanceHoldsAck,
    /// A flood of challenges gets no more answers.
    ChallengesTooMany,
    /// The peer's challenge takes the place of somebody else's.
    ChallengePreferred,

    // Acknowledgements.

    /// A numbered packet came twice.
    DuplicateReceived,
    /// A gap, or one filled: acknowledged at once.
    OutOfOrderReceived,
    /// Packets come quickly, so more are awaited before the next ACK.
    AckThresholdRaised,
    /// They came slowly, or the ACK was sent by its timer.
    AckThresholdLowered,
    /// D8: a PING under 0 is nobody's number.
    PingUnderZero,
    /// D9: a PING under a number that did not arrive as data is not acknowledged.
    PingNotAcknowledged,
    /// R3: the peer acknowledged what was never sent.
    AckedUnsent,
    /// UDX 4.2: the delay of an ACK ran out.
    DelayedAckSent,

    // Streams: opening and ending.

    /// The peer's limit of streams keeps the application from opening one.
    OpenBlocked,
    /// The limit allows more again.
    StreamsOffered,
    /// D12: no more new streams towards this peer in this round trip.
    OpeningSpread,
    /// UDX 8.5: a stream beyond our limit is reset.
    StreamRefused,
    /// So many were refused, or the peer may take another stream for over, that the packet has to come again.
    RefusalPostponed,
    /// D2: the peer named our ID of its stream, and it is free.
    IdTakenFromPeer,
    /// UDX 8.1: an ID is hit by chance, by a stream with another source.
    SourceDiffers,
    /// V12: a FIN that overtook the opening of its stream is kept.
    EarlyFinKept,
    /// V12: its stream came, and ends with it.
    EarlyFinTaken,
    /// V12: there is no room to keep one more, so its packet is not acknowledged.
    EarlyFinRefused,
    /// V12: a FIN waits until the SYN is acknowledged.
    FinHeldBack,
    /// RESET_STREAM overtook the opening of its stream.
    ResetBeforeOpening,
    /// UDX 8.4: STOP_SENDING is answered by RESET_STREAM.
    StopAnswered,
    /// V5: the peer goes on with a stream that is over, and is told again.
    EndingSaidAgain,
    /// Endings were said blindly; now that the peer is known, they are said surely.
    EndingsSaidSurely,
    /// The application let go of a stream that was not read to its end: the peer is told when ours has ended.
    RestDropped,
    /// UDX2 D1: RESET_STREAM in the place of STOP_SENDING, which the peer does not know.
    StopSaidAsReset,
    /// V4: a late frame of a stream of ours that is gone.
    LateFrameOfOurs,
    /// V4: a late frame of a stream of the peer's that is gone.
    LateFrameOfPeers,
    /// Data of a stream that is not wanted any more are dropped.
    DataDropped,
    /// A reset comes when all of the stream is here, and takes nothing back.
    ResetTooLate,

    // Streams: data.

    /// Bytes that overlap with what was received.
    OverlapTrimmed,
    /// Bytes ahead of a gap.
    GapLeft,
    /// A gap is filled, and what waited behind it with it.
    GapFilled,
    /// More than a window beyond the limit.
    DataBeyondLimit,
    /// D14: beyond the limit, by no more than can be stored.
    OvershootStored,
    /// D14: beyond the limit, and not stored.
    OvershootRefused,
    /// Bytes behind the end of the stream.
    DataBeyondEnd,
    /// The stream was ended before, elsewhere.
    EndMoved,
    /// R16: more gaps than are remembered.
    TooFragmented,
    /// A block that the reader gave back is used again.
    BlockUsedAgain,
    /// Blocks that nobody needed for a while are let go.
    BlocksReleased,
    /// Bytes in the middle are acknowledged first.
    AckedOutOfOrder,
    /// The send buffer is full.
    WriteBlocked,
    /// Sixteen datagrams of one stream, then the next one's turn.
    TurnPassedOn,

    // Flow control.

    /// A window doubles because its reader keeps up.
    WindowGrown,
    /// The budget for windows is used up.
    WindowBudgetSpent,
    /// V5: a limit that may not have been heard is said again.
    WindowSaidAgain,
    /// A limit was said again often enough.
    WindowSaidEnough,
    /// D13: the peer asks for the limit, and is told.
    WindowAsked,
    /// D13: this side is blocked, and asks.
    BlockedReported,
    /// D11: MAX_DATA keeps data back.
    DataBlocked,
    /// D11: this side asks for more MAX_DATA.
    DataBlockedReported,

    // Packets.

    /// UDX 9: the path became too small for a record, which is cut in two.
    RecordCut,
    /// A timeout repeats the oldest record.
    ProbeRepeats,
    /// D8: the number 0 is not for a PING.
    PingSkipsZero,
    /// A packet number wraps on the wire.
    NumberWraps,
    /// V5: a frame that should arrive surely goes without a number.
    SureFrameUnnumbered,
    /// The application asks while the pacer waits.
    AskedWhilePaced,

    // The end.

    /// UDX 7.5: the peer fell silent.
    IdleTimeout,
    /// Nobody answered the dial.
    NoAnswer,
    /// V17: a silent peer is asked whether it is there.
    KeepAliveAsked,
    /// RFC 9002 6.2.2.1: a dialer that sent little asks soon, because the acceptor may not.
    UnprovenAsked,
    /// The peer closed.
    ClosedByPeer,
    /// D15: CONNECTION_CLOSE is said again.
    CloseSaidAgain,
    /// V3: a packet of a closed connection is answered.
    LatePacketAnswered,
    /// V6: a packet of a closed connection from elsewhere is answered there.
    LatePacketAnsweredElsewhere,
    /// R12: the peer of a closed connection says that it is closed, too.
    ClosedOnBothSides,
    /// V3: a peer that still speaks keeps its closed connection remembered.
    ClosedKept,
    /// The oldest closed connection is forgotten for another one.
    ClosedForgotten,
    /// UDX 14: the peer lost its state.
    StatelessResetTaken,
    /// UDX 7.1: a SYN under a late number opens no connection, whose other side would be of before a restart.
    LateSynRefused,
    /// UDX 14: a packet of a connection that nobody knows is answered by a stateless reset.
    StatelessResetGiven,
    /// Stateless answers are limited.
    StatelessLimited,
    /// What is no valid packet is dropped.
    Undecodable,

    // Version 2.

    /// UDX2 7: a packet waits for those before it.
    OrderKept,
    /// UDX2 H21: there is no room for one more to wait.
    OrderFull,
    /// UDX2 7: what waited has its turn.
    OrderResumed,
    /// Its stream has no room for the packet whose turn it is.
    OrderBlocked,
    /// A reader made room for it.
    OrderUnblocked,
    /// A number further ahead than anybody sends.
    OrderBeyond,
    /// UDX2 H6: a control packet may have used up the number that is awaited.
    NumberPerhapsBurnt,
    /// UDX2 H6: an ACK proves that it did.
    NumberProvenBurnt,
    /// UDX2 H6: such a number is passed.
    NumberBurnt,
    /// UDX2 H6: ... on suspicion, where a wrong byte would be noticed.
    NumberGuessed,
    /// UDX2 H6: the peer is asked whether the path loses anything.
    ListeningBegun,
    /// UDX2 H6: ... it does.
    ListeningAnew,
    /// UDX2 H6: ... it does not, and a number is passed for that.
    NumberPassedInSilence,
    /// UDX2 H6: a number that was passed comes after all.
    BurntNumberCame,
    /// UDX2 H17: a number never came.
    NumberMissing,
    /// UDX2 H14: whoever repeats what has arrived may be waiting for its window.
    WindowRepeated,
    /// UDX2 H14: a sender that never asks is told the limit again.
    WindowInsisted,
    /// UDX2 D4: an empty SYN answers the dialer's.
    SynAnswered,
    /// UDX2 H4: too many numbers are outstanding.
    SpanUsedUp,
    /// UDX2 D10: another stream has to end first.
    OneSenderWaits,
    /// UDX2 9.3: what was acknowledged is credit.
    AckIsCredit,
    /// UDX2 H9: nothing follows the first data before they are acknowledged.
    FirstDataAwaited,
    /// UDX2 H8: the FIN waits until everything is acknowledged.
    FinAlone,
    /// UDX2 H7: what a stream sent before it was given up is acknowledged at last.
    GivenUpSettled,
    /// A number that came again is named once more in the next ACK.
    AckRepeated,
    /// UDX2 H12: ranges behind the second go in a frame of their own.
    AckFrames,
    /// UDX2 D8: a range is clipped.
    AckClipped,
    /// UDX2 D14: a PING is answered by an ACK of what there is.
    AckAsked,
}
