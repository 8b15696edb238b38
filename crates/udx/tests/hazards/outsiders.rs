//! V6, V18: whoever knows an id because he recorded packets, and sends them again from another address.

use std::time::Duration;

use gapless_udx::CloseReason;
use gapless_udx::wire::Frame;

use crate::rig::{CHOSEN, Rig, data, elsewhere, home, syn};

const SECOND: Duration = Duration::from_secs(1);

/// A connection with an endpoint that accepted it, of our own kind so that PINGs have numbers of their own.
fn met() -> (Rig, crate::rig::Hand) {
    let mut rig = Rig::new();
    let own = Frame::MaxData {
        limit: 16 << 20 | 0x6A50 | 10,
    };
    let hand = rig.dialed(CHOSEN, &[syn(b"x"), own]);
    let seen = rig.sent();
    hand.prove(&mut rig, &seen);
    rig.sent();
    (rig, hand)
}

#[test]
fn recorded_packets_do_not_keep_a_connection_alive_whose_peer_is_gone() {
    let (mut rig, hand) = met();
    let recorded = hand.packet(1, CHOSEN, &[data(1, b"y")]);
    rig.give(home(), &recorded);
    for _ in 0..40 {
        rig.wait(SECOND);
        rig.give(elsewhere(), &recorded);
    }
    let reason = rig.connection().close_reason().cloned();
    assert_eq!(reason, Some(CloseReason::IdleTimeout));
}

#[test]
fn recorded_packets_do_not_make_this_side_send_to_the_peer() {
    let (mut rig, hand) = met();
    let recorded = [
        hand.packet(1, CHOSEN, &[data(1, b"y")]),
        hand.packet(2, (0, 0), &[Frame::Ping]),
        hand.packet(0, (0, 0), &[Frame::DataBlocked { limit: 1 }]),
        hand.packet(
            0,
            CHOSEN,
            &[Frame::StreamDataBlocked {
                stream: 1,
                limit: 1,
            }],
        ),
    ];
    for packet in &recorded {
        rig.give(home(), packet);
    }
    rig.wait(SECOND);
    rig.sent();
    for _ in 0..100 {
        for packet in &recorded {
            rig.give(elsewhere(), packet);
        }
    }
    rig.wait(SECOND);
    let to_peer = rig.sent().into_iter().filter(|seen| seen.to == home());
    assert_eq!(to_peer.count(), 0);
}

#[test]
fn a_packet_from_elsewhere_draws_no_more_than_one_answer_to_challenges() {
    let (mut rig, hand) = met();
    let challenges: Vec<_> = (0..20)
        .map(|nonce| Frame::PathChallenge { nonce })
        .collect();
    rig.give(elsewhere(), &hand.packet(0, (0, 0), &challenges));
    let seen = rig.sent();
    let answers = seen.iter().filter(|seen| seen.response().is_some());
    assert_eq!(answers.count(), 1);
    rig.give(home(), &hand.packet(0, (0, 0), &challenges));
    let seen = rig.sent();
    let answers = seen.iter().filter(|seen| seen.response().is_some());
    assert_eq!(
        answers.count(),
        4,
        "the peer is answered what it asks, up to a bound"
    );
}
