//! What each implementation can do at all. A scenario asks no more of it; what is asked is checked as strictly as with our own kind.

use super::Kind;
use super::dart::Release;

/// What may be expected of a peer by its known defects. Each `false` and each bound names the defect that makes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Abilities {
    /// Streams that can be underway at one time.
    pub streams_at_once: usize,
    /// Streams in the life of a connection.
    pub streams_for_life: usize,
    /// What the path has to carry: bytes of the largest datagram that it sends, without headers. None ever becomes smaller (V10).
    pub datagram: u16,
    /// Its address, when it dials, may change; ours may, when we dial it.
    pub survives_moves: [bool; 2],
    /// A reset reaches both sides also where packets are lost.
    pub repeats_resets: bool,
    /// After losses it may send no more than a fragment every 30 s, for the rest of the connection.
    pub declines: bool,
    /// It takes numbers for packets that it never sends again. Where nothing proves that, our side says after a while that a packet is
    /// missing.
    pub burns: Burns,
    /// As a dialer it hears the acceptor's first packet of all, also when an acknowledgement overtakes it.
    pub hears_first_packet: bool,
    /// Late packets of a stream that is over open it again, for its application.
    pub revives_streams: bool,
    /// The other side is told when it closes the connection.
    pub says_goodbye: bool,
    /// It notices by itself that the other side is gone.
    pub notices_silence: bool,
    /// Seconds that its next attempt may be away after a bad time.
    pub patience: u64,
}

/// Which numbers no data will ever come under, and what our side can know of them (UDX2 H6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Burns {
    /// Every number has data.
    None,
    /// Some are taken by packets that nothing else looks like, or that a proof or a path that loses nothing tells from those which repeat the
    /// number of data: only one that is lost is not known of.
    Evidently,
    /// Some are taken by ACKs, which most often repeat the number of data.
    Ambiguously,
}

impl Kind {
    /// What it can.
    pub fn abilities(self) -> Abilities {
        match self {
            Self::GoV2Early => Abilities {
                // UDX2 7, H11: a stream whose packets are not all in a row stalls for ever.
                streams_at_once: 1,
                // UDX2 8: waits grow to 30 s.
                patience: 31,
                notices_silence: false,
                datagram: 1410,
                ..GO
            },
            Self::GoV2Late => Abilities {
                patience: 31,
                notices_silence: false,
                datagram: 1410,
                ..GO
            },
            Self::GoV3Old | Self::GoV3 => GO,
            Self::Dart(release) => dart(release),
            Self::Js => Abilities {
                // UDX 11: it follows. Its own keep-alive is an option.
                survives_moves: [false, true],
                // UDX 11: as far as its search for the path's size goes.
                datagram: 1472,
                // UDX 11: it asks three times whether the other side is there, and stays at three times what comes if all were lost.
                patience: 31,
                ..GO
            },
        }
    }
}

fn dart(release: Release) -> Abilities {
    let is_v2 = Kind::Dart(release).version() == 2;
    // UDX2 H6: its window updates and resets (U2), its probes for the path's size (U5), before 2.0.0 whatever it sends (U1).
    let burns = match release {
        Release::Before200 => Burns::Ambiguously,
        Release::V201 | Release::V202 | Release::V203Probing => Burns::Evidently,
        _ => Burns::None,
    };
    Abilities {
        // UDX2 1: numbers per stream.
        streams_for_life: if release <= Release::V200 {
            1
        } else {
            usize::MAX
        },
        streams_at_once: 100,
        datagram: if is_v2 { 1422 } else { 1430 },
        // At its own new address it is found only if it has something to say.
        survives_moves: [false, true],
        repeats_resets: false,
        // UDX 5.3: each loss of what it sends slows a Dart of version 3 down; reordering is loss to it.
        declines: !is_v2,
        burns,
        // UDX2 1, U3: a control packet under 0, which all bear, moves its expectation on to 1. An empty SYN for its own stream is
        // no loss, another stream's is.
        hears_first_packet: release > Release::V201,
        // UDX 8.2, V4: it forgets a stream 50 ms after its end, and data open streams.
        revives_streams: !is_v2,
        // D15.
        says_goodbye: false,
        notices_silence: !is_v2,
        // D14, and UDX2 8; and UDX2 H17: what was burnt unseen is told from what is late 150 s after the next packet came.
        patience: if burns == Burns::None { 31 } else { 31 + 151 },
    }
}

const GO: Abilities = Abilities {
    streams_at_once: 100,
    // UDX 8.5, D19: our MAX_STREAMS lifts the 100 for life.
    streams_for_life: usize::MAX,
    datagram: 1418,
    // D17: it never follows to another address, and on a connection where nothing happens it says nothing by which it could be
    // found at its own new one.
    survives_moves: [false, false],
    // UDX 8.4: once.
    repeats_resets: false,
    declines: false,
    burns: Burns::None,
    hears_first_packet: true,
    revives_streams: false,
    says_goodbye: true,
    notices_silence: true,
    patience: 0,
};
