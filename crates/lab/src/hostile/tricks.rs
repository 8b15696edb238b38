//! The tricks of the hostile peer: each sends one packet or a few that no honest side would.

mod acks;
mod crowds;
mod paths;
mod streams;
mod wrecks;

use super::peer::Hostile;
use crate::plan::Time;

macro_rules! tricks {
    ($($(#[$doc:meta])* $name:ident => $play:ident,)*) => {
        /// One kind of lie.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Trick {
            $($(#[$doc])* $name,)*
        }

        impl Trick {
            /// Every one.
            pub(crate) const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// As reports name it.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }

        impl Hostile {
            /// Plays one trick.
            pub(super) fn play(&mut self, now: Time, trick: Trick) {
                match trick {
                    $(Trick::$name => self.$play(now),)*
                }
            }
        }
    };
}

tricks! {
    /// Acknowledges numbers that were never sent (R3).
    AckUnsent => ack_unsent,
    /// Ranges of 2^32 numbers, up to 255 of them (V8, UDX2 H20).
    AckHuge => ack_huge,
    /// The longest delay there is, and other wrong ones (V16).
    AckDelay => ack_delay,
    /// Everything at once, twice.
    AckTwice => ack_twice,
    /// Packets that are still underway, so that the window grows.
    AckOptimistic => ack_optimistic,
    /// Every second number, in as many ranges as fit.
    AckScattered => ack_scattered,
    /// Limits that jump, shrink, and wrap (D11).
    WindowWild => window_wild,
    /// MAX_DATA 0, 1, 2^64-1; MAX_STREAMS likewise (V14).
    MaxWild => max_wild,
    /// Says that it is blocked, again and again (D13).
    BlockedFlood => blocked_flood,
    /// Pings under all kinds of numbers (D8, D9).
    PingFlood => ping_flood,
    /// Numbers around the wrap (V9, UDX2 H1).
    WrapNumbers => wrap_numbers,
    /// Numbers that jump by 2^31 and back.
    JumpNumbers => jump_numbers,

    /// Streams by the thousand, a byte each.
    StreamFlood => stream_flood,
    /// Opens and resets streams as fast as it can.
    StreamChurn => stream_churn,
    /// One byte, one hole, one byte (V19, UDX2 H21).
    Fragments => fragments,
    /// One byte in every block of memory.
    Sparse => sparse,
    /// The same bytes again, with other content.
    Overlap => overlap,
    /// The same bytes, cut anew (V1, UDX2 H7).
    Recut => recut,
    /// The end before the beginning (V12, UDX2 H8).
    FinOvertakes => fin_overtakes,
    /// Ends at several sizes.
    FinOtherSizes => fin_other_sizes,
    /// Data behind the end.
    BeyondFinal => beyond_final,
    /// Data beyond every limit (D14).
    BeyondWindow => beyond_window,
    /// Streams of others, and streams that were.
    OtherStreams => other_streams,
    /// RESET_STREAM and STOP_SENDING for everything (V5).
    ResetAll => reset_all,
    /// Honest data, so that there is something to lie about.
    HonestData => honest_data,

    /// Challenges by the hundred.
    ChallengeFlood => challenge_flood,
    /// Answers to challenges that nobody asked.
    ResponseGuesses => response_guesses,
    /// Another address in every packet.
    AddressHop => address_hop,
    /// NEW_CONNECTION_ID without end (UDX 14).
    NewIdFlood => new_id_flood,
    /// Datagrams of a few bytes from others' addresses, which draw as much as they can (V18, UDX2 H19).
    Amplify => amplify,
    /// Stateless resets with guessed tokens (V7).
    GuessedResets => guessed_resets,
    /// Version negotiation out of the blue (V7).
    Negotiation => negotiation,
    /// Other versions in the middle of a connection.
    OtherVersions => other_versions,

    /// First packets from everywhere, and nothing behind them (UDX2 H19).
    HalfOpen => half_open,
    /// Packets ahead of a first one that never comes (D23).
    EarlyFlood => early_flood,
    /// First packets of connections that are over (V3).
    LateSyn => late_syn,
    /// Closes and opens the same connection.
    Reopen => reopen,
    /// Ids of other connections.
    OtherIds => other_ids,
    /// Its own packets again, from anywhere.
    ReplayOwn => replay_own,
    /// The victim's packets back.
    ReplayVictims => replay_victims,

    /// Packets cut short.
    Truncated => truncated,
    /// Packets with flipped bits.
    Mutated => mutated,
    /// Datagrams as large as UDP has them.
    Huge => huge,
    /// Datagrams without a byte, and with hardly any.
    Empty => empty,
    /// Noise.
    Garbage => garbage,
    /// A thousand frames in one packet.
    ManyFrames => many_frames,
    /// Any frames with any fields.
    RandomFrames => random_frames,
}
