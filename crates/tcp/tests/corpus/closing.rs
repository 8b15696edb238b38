//! Ends: FIN, RST, both at once, and lost.

use super::script::*;
use gapless_tcp::wire::{Flags, Options};
use gapless_tcp::{CloseReason, Config, ReadError, State, WriteError};

/// S4: duplicates of the last acknowledgment do not keep a lone FIN from being repeated.
#[test]
fn s4_lone_fin_survives_dup_acks() {
    for peer_closed in [None, Some(false), Some(true)] {
        let mut script = Script::established(plain(), 1000);
        if peer_closed == Some(true) {
            script.send(FIN | ACK, 1, 1, 1000, b"");
            script.fetch();
        }
        script.engine.shutdown(script.now);
        assert!(script.fetch_one().flags.has(FIN));
        if peer_closed == Some(false) {
            script.send(FIN | ACK, 1, 1, 1000, b"");
            script.fetch();
            assert_eq!(script.engine.state(), State::Closing);
        }
        let seq = if peer_closed.is_some() { 2 } else { 1 };
        for _ in 0..4 {
            script.send(ACK, seq, 1, 1000, b"");
        }
        script.fetch();
        let again = script.wait(ms(5000));
        assert!(
            again.iter().any(|(_, sent)| sent.flags.has(FIN)),
            "{peer_closed:?}"
        );
    }
}

/// C4, R14: FIN x {in order, behind a hole, with overlap on the left, on the right, twice, with data behind it}.
#[test]
fn c4_fin_matrix() {
    let closed = |script: &Script| script.engine.state() == State::CloseWait;
    let fresh = || Script::established(plain(), 1000);
    let mut script = fresh();
    script.send(FIN | ACK, 1, 1, 1000, b"ab");
    assert_eq!(script.fetch().pop().unwrap().ack, 4);
    assert!(closed(&script));
    script.send(FIN | ACK, 1, 1, 1000, b"ab");
    assert_eq!(script.fetch_one().ack, 4, "its acknowledgment was lost");
    script.send(ACK, 4, 1, 1000, b"more");
    assert_eq!(script.read(100), b"ab");
    assert_eq!(script.engine.read(&mut [0; 4]), Ok(0));

    let mut script = fresh();
    script.send(FIN | ACK, 3, 1, 1000, b"cd");
    script.fetch();
    assert!(!closed(&script));
    script.send(ACK, 1, 1, 1000, b"ab");
    assert_eq!(script.fetch().pop().unwrap().ack, 6);
    assert!(closed(&script));

    let mut script = fresh();
    script.send(ACK, 1, 1, 1000, b"ab");
    script.send(FIN | ACK, 1, 1, 1000, b"abcd");
    assert!(closed(&script));

    // Cut off on the right, so it does not count yet.
    let mut script = Script::established(
        Config {
            receive_buffer: 4,
            ..plain()
        },
        1000,
    );
    script.send(FIN | ACK, 1, 1, 1000, b"abcdef");
    assert!(!closed(&script));
    assert_eq!(script.read(10), b"abcd");
    script.fetch();
    script.send(FIN | ACK, 5, 1, 1000, b"ef");
    script.fetch();
    assert!(closed(&script));
}

/// C8, C9: LAST-ACK is left by the acknowledgment of the FIN and of nothing less.
#[test]
fn c8_last_ack() {
    let mut script = Script::established(plain(), 1000);
    script.send(FIN | ACK, 1, 1, 1000, b"");
    script.fetch();
    script.write(b"x");
    script.engine.shutdown(script.now);
    let sent = script.fetch_one();
    assert_eq!(
        (sent.payload.as_slice(), sent.flags),
        (&b"x"[..], FIN | ACK)
    );
    script.send(ACK, 2, 1, 1000, b"");
    assert_eq!(script.engine.state(), State::LastAck);
    script.send(ACK, 2, 2, 1000, b"");
    assert_eq!(script.engine.state(), State::LastAck);
    let again = script.wait(ms(5000));
    assert!(
        again
            .iter()
            .any(|(_, sent)| sent.flags.has(FIN) && sent.payload.is_empty())
    );
    script.send(ACK, 2, 3, 1000, b"");
    assert_eq!(script.engine.ended(), Some(CloseReason::Finished));
}

/// C10, C11: both close at once; both FINs are sent and repeated.
#[test]
fn c10_simultaneous_close() {
    for fetched in [false, true] {
        let mut script = Script::established(plain(), 1000);
        script.engine.shutdown(script.now);
        if fetched {
            script.fetch_one();
        }
        script.send(FIN | ACK, 1, 1, 1000, b"");
        assert_eq!(script.engine.state(), State::Closing);
        let sent = script.fetch();
        assert!(fetched || sent.iter().any(|sent| sent.flags.has(FIN)));
        let again = script.wait(ms(3000));
        assert!(
            again
                .iter()
                .any(|(_, sent)| sent.flags.has(FIN) && sent.ack == 2)
        );
        script.send(ACK, 2, 2, 1000, b"");
        assert_eq!(script.engine.state(), State::TimeWait);
        // The peer's FIN again: answered, and the time begins anew.
        script.wait(ms(50_000));
        script.send(FIN | ACK, 1, 2, 1000, b"");
        assert_eq!(script.fetch_one().ack, 2);
        script.wait(ms(59_000));
        assert_eq!(script.engine.state(), State::TimeWait);
        script.wait(ms(2000));
        assert_eq!(script.engine.ended(), Some(CloseReason::Finished));
    }
}

/// B6: in FIN-WAIT-2 data are acknowledged, and the deadline is never now without something to send.
#[test]
fn b6_data_in_fin_wait_2() {
    let mut script = Script::established(plain(), 1000);
    script.engine.shutdown(script.now);
    script.fetch_one();
    script.send(ACK, 1, 2, 1000, b"");
    assert_eq!(script.engine.state(), State::FinWait2);
    script.send(ACK, 1, 2, 1000, b"late");
    assert_eq!(script.fetch_one().ack, 5);
    assert_eq!(script.read(10), b"late");
}

/// B7: a FIN with an empty buffer is repeated with backoff, and given up.
#[test]
fn b7_fin_of_an_empty_buffer() {
    let mut script = Script::established(plain(), 1000);
    script.engine.shutdown(script.now);
    script.fetch_one();
    let sent = script.wait(ms(100_000));
    assert!((4..40).contains(&sent.len()), "{}", sent.len());
}

/// G18, CVE-2004-0230, RFC 5961: only at exactly the next number; else a challenge inside the window and nothing outside.
#[test]
fn g18_blind_resets_and_syns() {
    for (seq, is_challenged) in [
        (2, true),
        (9999, true),
        (10_001, true),
        (10_002, false),
        (0, false),
    ] {
        let mut script = Script::established(plain(), 1000);
        script.send(RST, seq, 1, 0, b"");
        assert_eq!(script.engine.state(), State::Established, "seq {seq}");
        assert_eq!(
            script.fetch().len(),
            usize::from(is_challenged),
            "seq {seq}"
        );
    }
    for seq in [0, 1, 500, 1 << 30] {
        let mut script = Script::established(plain(), 1000);
        script.send(SYN, seq, 0, 0, b"");
        assert_eq!(script.engine.state(), State::Established);
        assert_eq!(script.fetch_one().ack, 1);
    }
    let mut script = Script::established(plain(), 1000);
    script.write(b"abc");
    script.send(RST, 1, 1, 0, b"");
    assert_eq!(script.engine.ended(), Some(CloseReason::Reset));
    script.fetch_nothing();
    assert_eq!(
        script.engine.write(b"x"),
        Err(WriteError::Ended(CloseReason::Reset))
    );
    assert_eq!(
        script.engine.read(&mut [0; 4]),
        Err(ReadError::Ended(CloseReason::Reset))
    );
}

/// What arrived before a RST can be read.
#[test]
fn data_before_a_reset_can_be_read() {
    let mut script = Script::established(plain(), 1000);
    script.send(ACK, 1, 1, 1000, b"abc");
    script.send(RST, 4, 1, 0, b"");
    assert_eq!(script.read(10), b"abc");
    assert_eq!(
        script.engine.read(&mut [0; 4]),
        Err(ReadError::Ended(CloseReason::Reset))
    );
}

/// RFC 9293 3.6.1, RFC 1122 4.2.2.13: closed with unread data, or data after the close: a RST.
#[test]
fn close_with_unread_data_resets() {
    let mut script = Script::established(plain(), 1000);
    script.send(ACK, 1, 1, 1000, b"abc");
    script.fetch();
    script.engine.close(script.now);
    let sent = script.fetch_one();
    assert_eq!((sent.flags, sent.seq), (RST | ACK, 1));

    let mut script = Script::established(plain(), 1000);
    script.write(b"last words");
    script.engine.close(script.now);
    assert_eq!(script.fetch_one().flags, FIN | ACK);
    script.send(ACK, 1, 12, 1000, b"");
    script.send(ACK, 1, 12, 1000, b"too late");
    assert_eq!(script.fetch_one().flags, RST | ACK);
    assert_eq!(script.engine.ended(), Some(CloseReason::Aborted));
}

/// C31, G5, G8: a peer that vanishes after our close costs nothing for long.
#[test]
fn c31_every_closing_state_has_an_end() {
    let config = Config {
        user_timeout: Some(ms(60_000)),
        ..plain()
    };
    // FIN-WAIT-2, with nobody reading any more.
    let mut script = Script::established(config.clone(), 1000);
    script.engine.close(script.now);
    script.fetch_one();
    script.send(ACK, 1, 2, 1000, b"");
    script.wait(ms(61_000));
    assert_eq!(script.engine.state(), State::Closed);
    // Data queued before a closed window, then close: probes, and an end when nobody answers.
    let mut script = Script::established(config, 0);
    script.write(b"abc");
    script.engine.close(script.now);
    script.wait(ms(200_000));
    assert_eq!(script.engine.state(), State::Closed);
    assert_eq!(script.engine.next_deadline(script.now), None);
}

#[test]
fn half_close_lets_the_other_half_go_on() {
    let mut script = Script::established(plain(), 1000);
    script.send(FIN | ACK, 1, 1, 1000, b"");
    script.fetch();
    script.write(b"still here");
    assert_eq!(script.fetch_one().payload, b"still here");
    script.send(ACK, 2, 11, 1000, b"");
    script.engine.shutdown(script.now);
    assert_eq!(script.engine.write(b"x"), Err(WriteError::ShutDown));
    assert_eq!(script.fetch_one().flags, FIN | ACK);
    assert!(!script.engine.is_flushed());
    script.send(ACK, 2, 12, 1000, b"");
    assert!(script.engine.is_flushed());
}

/// A connection that is over says nothing, whatever comes.
#[test]
fn nothing_comes_from_what_is_over() {
    let mut script = Script::established(plain(), 1000);
    script.engine.abort(script.now);
    assert_eq!(script.fetch_one().flags, RST | ACK);
    for octet in 0..=255 {
        script.send_with(Flags::from_octet(octet), 1, 1, 10, b"x", Options::NONE);
        script.fetch_nothing();
    }
    assert_eq!(script.engine.next_deadline(script.now), None);
}

/// A RST behind the peer's FIN is a good end only if nothing was lost by it.
#[test]
fn a_reset_in_last_ack_tells_whether_the_data_arrived() {
    for (acknowledged, reason) in [
        (1, CloseReason::Reset),
        (6, CloseReason::Reset),
        (11, CloseReason::Finished),
    ] {
        let mut script = Script::established(plain(), 1000);
        script.send(FIN | ACK, 1, 1, 1000, b"");
        script.write(b"last words");
        script.engine.shutdown(script.now);
        script.fetch();
        assert_eq!(script.engine.state(), State::LastAck);
        script.send(ACK, 2, acknowledged, 1000, b"");
        script.send(RST, 2, 0, 0, b"");
        assert_eq!(script.engine.ended(), Some(reason), "{acknowledged}");
    }
}
