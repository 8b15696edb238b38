//! Our engine on either side of the peers that wedge each other: it delivers, or says within a stated time that it cannot.
//!
//! The peers and what goes wrong are those of the tests of the wedges (corpus, section 9: U1 to U5, U14).

use crate::table::{End, Meddler, Table, Talk};
use crate::wedges::{link, talk};
use gapless_lab::peers::Kind;
use gapless_lab::peers::dart::Release;
use gapless_lab::peers::wire::{Frame, Numbering, Packet, VERSION_2, decode};
use gapless_udx::{ConnectionConfig, Version, VersionChoice};
use std::time::Duration;

/// UDX2 H17: a number that is missing for 150 s will not come. That, and the slack of a round trip or two.
const STATED: Duration = Duration::from_secs(151);
/// UDX2 H6: on suspicion, a burnt number is skipped after 3 s as head of the line. Some of them in a row, and the transfer itself.
const WITH_SKIPS: Duration = Duration::from_secs(15);
/// A number that is proven to be burnt holds nothing up: the transfer alone.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Ours as dialer of either manner, and as acceptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ours {
    Discovers,
    Dials,
    Accepts,
}

const ROLES: [Ours; 3] = [Ours::Discovers, Ours::Dials, Ours::Accepts];

impl Ours {
    fn side(self) -> usize {
        usize::from(self == Self::Accepts)
    }

    fn at_table<'a>(self, peer: Kind, talks: [Talk; 2]) -> Table<'a> {
        self.at_table_with(peer, talks, false)
    }

    fn at_table_with<'a>(
        self,
        peer: Kind,
        talks: [Talk; 2],
        streams_are_authenticated: bool,
    ) -> Table<'a> {
        let version = match self {
            Self::Dials => VersionChoice::Only(Version::V2),
            Self::Discovers | Self::Accepts => VersionChoice::Discover,
        };
        let config = ConnectionConfig {
            version,
            streams_are_authenticated,
            ..ConnectionConfig::default()
        };
        let mut ends = [End::ours_with(9, config), End::model(peer, 5)];
        let mut talks = talks;
        ends.rotate_left(self.side());
        talks.rotate_left(self.side());
        Table::new(ends, talks, &link("delay=5ms"))
    }
}

/// The first of `talks` is ours. All of both is delivered in time.
#[track_caller]
fn assert_delivers<'a>(
    peer: Release,
    talks: [Talk; 2],
    within: Duration,
    meddler: impl Fn(usize) -> Meddler<'a>,
) {
    for role in ROLES {
        let peer_side = 1 - role.side();
        let mut table = role
            .at_table(Kind::Dart(peer), talks.clone())
            .meddle(meddler(peer_side));
        table.run(within);
        assert!(table.is_delivered(), "{role:?}: {:?}", table.seen);
    }
}

fn passes<'a>(_: usize) -> Meddler<'a> {
    Box::new(|_, _, _| Some(Duration::ZERO))
}

/// U1, the seed's peer: every ACK of it burns a number. What we write arrives; what it writes behind a burnt number cannot be told
/// from what is lost, so in the stated time we say that a packet is missing.
#[test]
fn u1_the_seeds_peer_is_answered_with_an_error() {
    for role in ROLES {
        let mut table = role.at_table(
            Kind::Dart(Release::Before200),
            [talk(200_000), talk(200_000)],
        );
        let (ours, peers) = (role.side(), 1 - role.side());
        assert!(table.run(STATED), "{role:?}: {:?}", table.seen);
        let error = table.seen[ours].error.clone().expect("an error");
        assert!(error.contains("MissingPacket"), "{error}");
        assert!(table.seen[ours].is_intact && table.seen[peers].is_intact);
        assert_eq!(
            (table.seen[peers].read, table.seen[peers].ended),
            (200_000, true)
        );
    }
}

/// U1, as a peer that only listens: whatever it burns stands in nobody's way.
#[test]
fn u1_what_is_written_to_the_seeds_peer_arrives() {
    for role in ROLES {
        let talks = [talk(2_000_000), talk(0)];
        let mut table = role.at_table(Kind::Dart(Release::Before200), talks);
        table.run(Duration::from_secs(30));
        let seen = &table.seen[1 - role.side()];
        assert!(
            seen.read == 2_000_000 && seen.ended && seen.is_intact,
            "{role:?}: {seen:?}"
        );
    }
}

/// U1, repaired in 2.0.0: every third ACK is lost, and nothing stands still.
#[test]
fn u1_lost_acks_of_the_repaired_peer_cost_nothing() {
    let talks = [talk(200_000), talk(200_000)];
    assert_delivers(Release::V200, talks, Duration::from_secs(20), |peer| {
        let mut acks = 0_u32;
        Box::new(move |_, side, datagram| {
            acks += u32::from(side == peer && is_ack(datagram));
            let is_lost = side == peer && is_ack(datagram) && acks.is_multiple_of(3);
            (!is_lost).then_some(Duration::ZERO)
        })
    });
}

/// U2: the peer's window updates burn numbers in the way of its data.
#[test]
fn u2_burnt_by_window_updates() {
    let talks = [talk(1_000_000), talk(1_000_000)];
    assert_delivers(Release::V202, talks, AT_ONCE, passes);
}

/// U2 on top of loss: what is lost is waited for, what was seen to be burnt is not. An update that is lost leaves no trace of the
/// number that it burnt: then we say that a packet is missing.
#[test]
fn u2_burnt_and_lost() {
    let mut outcomes = [0; 2];
    for (role, every) in ROLES
        .into_iter()
        .flat_map(|role| [7, 20, 31, 40].map(|every| (role, every)))
    {
        let (ours, peer) = (role.side(), 1 - role.side());
        let mut count = 0_u32;
        let talks = [talk(100_000), talk(100_000)];
        let mut table =
            role.at_table(Kind::Dart(Release::V202), talks)
                .meddle(move |_, side, _| {
                    count += u32::from(side == peer);
                    let is_lost = side == peer && count.is_multiple_of(every);
                    (!is_lost).then_some(Duration::ZERO)
                });
        assert!(
            table.run(WITH_SKIPS + STATED),
            "{role:?} {every}: {:?}",
            table.seen
        );
        let seen = &table.seen[ours];
        assert!(seen.is_intact, "{role:?} {every}: {seen:?}");
        if let Some(error) = &seen.error {
            assert!(error.contains("MissingPacket"), "{error}");
        }
        outcomes[usize::from(seen.error.is_some())] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

/// U3: an ACK under a data packet's number overtakes it. To us that number is still missing when the packet comes.
#[test]
fn u3_ack_before_the_data_of_its_number() {
    let talks = [talk(300_000), talk(300_000)];
    assert_delivers(Release::V201, talks, WITH_SKIPS, |peer| {
        Box::new(move |_, side, datagram| {
            let late = |packet: Packet| packet.is_numbered() && packet.sequence.is_multiple_of(11);
            let is_it = side == peer && read(datagram).is_some_and(late);
            Some(Duration::from_millis(if is_it { 12 } else { 0 }))
        })
    });
}

/// U3, the other direction: no control packet of ours bears a number that its receiver may be waiting for.
#[test]
fn u3_our_control_packets_skip_nothing() {
    let talks = [talk(300_000), talk(300_000)];
    assert_delivers(Release::V201, talks, WITH_SKIPS, |peer| {
        Box::new(move |_, side, datagram| {
            let is_it = side != peer && read(datagram).is_some_and(|packet| packet.is_numbered());
            Some(Duration::from_millis(if is_it { 12 } else { 0 }))
        })
    });
}

/// U3, the same at the very start: our ping must not be taken for the opening packet that is lost.
#[test]
fn u3_our_ping_waits_for_the_opening_packet() {
    let mut talks = [talk(100_000), talk(100_000)];
    talks[0].pings = [5, 15, 40, 200].map(Duration::from_millis).to_vec();
    assert_delivers(Release::V201, talks, WITH_SKIPS, |peer| {
        let mut is_lost = false;
        Box::new(move |_, side, datagram| {
            let is_syn = |packet: Packet| packet.frames.contains(&Frame::syn());
            let loses = side != peer && !is_lost && read(datagram).is_some_and(is_syn);
            is_lost |= loses;
            (!loses).then_some(Duration::ZERO)
        })
    });
}

/// U4: the peer's ping call burns a number in the middle of its data, and looks like a probe of data that were lost. On a path that loses nothing
/// these would have come again: all arrives, whether a wrong byte would be noticed or not.
#[test]
fn u4_burnt_by_pings_amid_data() {
    let mut talks = [talk(1_000_000), talk(1_000_000)];
    talks[1].pings = [20, 60, 100].map(Duration::from_millis).to_vec();
    let peer = Kind::Dart(Release::V203Repaired);
    for (role, noticed) in ROLES
        .into_iter()
        .flat_map(|role| [(role, false), (role, true)])
    {
        let mut table = role.at_table_with(peer, talks.clone(), noticed);
        table.run(WITH_SKIPS);
        assert!(table.is_delivered(), "{role:?}: {:?}", table.seen);
    }
}

/// U4: on a path that loses every third answer nothing tells the two apart. Where nobody would notice a wrong byte, a number is missing; where
/// that is authenticated, all arrives.
#[test]
fn u4_burnt_by_pings_on_a_path_that_loses() {
    let mut talks = [talk(1_000_000), talk(1_000_000)];
    talks[1].pings = [20, 60, 100].map(Duration::from_millis).to_vec();
    let peer = Kind::Dart(Release::V203Repaired);
    let loses = |peers| {
        let mut answers = 0_u32;
        move |_, side, datagram: &[u8]| {
            answers += u32::from(side == peers && answers_challenge(datagram));
            let is_lost = side == peers && answers_challenge(datagram) && answers.is_multiple_of(3);
            (!is_lost).then_some(Duration::ZERO)
        }
    };
    for role in ROLES {
        let (ours, peers) = (role.side(), 1 - role.side());
        let mut table = role.at_table(peer, talks.clone()).meddle(loses(peers));
        assert!(table.run(STATED), "{role:?}: {:?}", table.seen);
        let seen = &table.seen[ours];
        let error = seen.error.as_deref().unwrap_or("none");
        assert!(error.contains("MissingPacket"), "{role:?}: {error}");
        assert!(
            seen.is_intact && seen.read < 1_000_000,
            "{role:?}: {seen:?}"
        );
        let written = &table.seen[peers];
        assert_eq!((written.read, written.ended), (1_000_000, true));
        let noticed = role.at_table_with(peer, talks.clone(), true);
        let mut table = noticed.meddle(loses(peers));
        table.run(WITH_SKIPS);
        assert!(table.is_delivered(), "{role:?}: {:?}", table.seen);
    }
}

/// U4, when the peer says nothing between its ping and our next packet: its ACK proves that the number was burnt.
#[test]
fn u4_a_ping_before_our_data() {
    // The peer answers only once all of ours came, after its ping.
    let mut talks = [talk(100_000), talk(100_000)];
    talks[1].after = 100_000;
    for (role, ping) in ROLES
        .into_iter()
        .flat_map(|role| [20, 25, 32].map(|ping| (role, ping)))
    {
        talks[1].pings = vec![Duration::from_millis(ping)];
        let mut table = role.at_table(Kind::Dart(Release::V203Repaired), talks.clone());
        table.run(AT_ONCE);
        assert!(table.is_delivered(), "{role:?} {ping}: {:?}", table.seen);
    }
}

/// U5: so do its probes for the path's size.
#[test]
fn u5_burnt_by_size_probes() {
    let talks = [talk(1_000_000), talk(1_000_000)];
    assert_delivers(Release::V203Probing, talks, AT_ONCE, passes);
}

/// U14: its window updates stop coming. Its ACKs prove receipt, and receipt is credit (UDX2 9.3).
#[test]
fn u14_beyond_the_last_window_update() {
    let talks = [talk(20_000_000), talk(0)];
    assert_delivers(Release::V203, talks, Duration::from_secs(60), passes);
}

/// The packet of version 2 in a datagram, if that is what it is.
fn read(datagram: &[u8]) -> Option<Packet> {
    decode(datagram, Numbering::Dart).filter(|packet| packet.version == VERSION_2)
}

fn answers_challenge(datagram: &[u8]) -> bool {
    let is = |frame: &Frame| matches!(frame, Frame::PathResponse(_));
    read(datagram).is_some_and(|packet| packet.frames.iter().any(is))
}

fn is_ack(datagram: &[u8]) -> bool {
    read(datagram).is_some_and(|packet| matches!(packet.frames[..], [Frame::Ack { .. }]))
}

/// Dart of version 2 finds most losses by its timer of 300 ms and more, whoever receives: what it uploads through loss is slow, and whole. 64 MiB
/// take 172 s at 1 % of loss and 414 s on the worse link, here as on real sockets (`docs/udx.md` 21).
#[test]
fn what_dart_uploads_through_loss_arrives_in_the_time_of_its_timers() {
    for (path, seconds) in [
        ("loss=1%,delay=50us", 5..20),
        ("loss=5%,reorder=5%,duplicate=5%,delay=50us", 15..45),
    ] {
        let ends = [
            End::ours(9, VersionChoice::Only(Version::V2)),
            End::model(Kind::Dart(Release::V200), 5),
        ];
        let mut table = Table::new(ends, [talk(1), talk(4 << 20)], &link(path));
        table.run(Duration::from_secs(100));
        assert!(table.is_delivered(), "{path}: {:?}", table.seen);
        let took = table.seen[0]
            .last_at
            .map_or(0, |at| at.as_nanos() / 1_000_000_000);
        assert!(seconds.contains(&took), "{path}: {took} s");
    }
}
