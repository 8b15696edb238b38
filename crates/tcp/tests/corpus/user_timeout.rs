//! The user timeout option, RFC 5482.

use super::script::*;
use gapless_tcp::wire::{Options, UserTimeout};
use gapless_tcp::{CloseReason, Config, UserTimeoutOption};
use std::time::Duration;

const OURS: UserTimeoutOption = UserTimeoutOption {
    advertised: Duration::from_secs(20),
    least: Duration::from_secs(10),
    most: Duration::from_secs(60),
    changeable: true,
};

fn config() -> Config {
    Config {
        user_timeout: Some(Duration::from_secs(30)),
        user_timeout_option: Some(OURS),
        ..plain()
    }
}

fn seconds(value: u16) -> Options {
    Options {
        user_timeout: Some(UserTimeout {
            in_minutes: false,
            value,
        }),
        ..Options::NONE
    }
}

/// Writes, and waits until the connection is given up. After how long that was, in whole seconds.
fn gives_up_after(script: &mut Script) -> u64 {
    script.write(b"abc");
    script.fetch();
    let begin = script.now;
    for _ in 0..2000 {
        if script.engine.ended().is_some() {
            break;
        }
        script.wait(ms(100));
    }
    assert_eq!(script.engine.ended(), Some(CloseReason::TimedOut));
    (script.now.saturating_duration_since(begin) + ms(500)).as_secs()
}

/// RFC 5482 section 3: ENABLED is off by default; nothing is told, and nothing believed.
#[test]
fn rfc5482_3_off_by_default() {
    let config = Config {
        user_timeout: Some(Duration::from_secs(30)),
        ..plain()
    };
    let mut script = Script::dialing(config, 1, 2);
    assert_eq!(script.fetch_one().options.user_timeout, None);
    script.send_with(SYN | ACK, 0, 1, 1000, b"", seconds(15));
    assert_eq!(script.fetch_one().options.user_timeout, None);
    script.send_with(ACK, 1, 1, 1000, b"", seconds(15));
    assert_eq!(gives_up_after(&mut script), 30);
}

/// RFC 5482 section 3: in each SYN, in the first segment without, and when it changes; and no more.
#[test]
fn rfc5482_3_it_is_told_in_the_syn_and_once_more() {
    let told = seconds(20).user_timeout;
    // Dialing; the SYN|ACK comes late.
    let mut script = Script::dialing(config(), 1, 2);
    assert_eq!(script.fetch_one().options.user_timeout, told);
    let again = script.wait(ms(1500));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].1.options.user_timeout, told);
    script.send(SYN | ACK, 0, 1, 60_000, b"");
    assert_eq!(script.fetch_one().options.user_timeout, told);
    script.write(b"abc");
    assert_eq!(script.fetch_one().options.user_timeout, None);
    // Being dialed.
    let mut script = Script::dialed(config(), 1, 2, 60_000, Options::NONE);
    assert_eq!(script.fetch_one().options.user_timeout, told);
    script.send(ACK, 1, 1, 60_000, b"");
    let sent = script.fetch_one();
    assert_eq!((sent.options.user_timeout, sent.len()), (told, 0));
    script.send(ACK, 1, 1, 60_000, b"abc");
    assert_eq!(script.fetch_one().options.user_timeout, None);
    // Another one.
    script
        .engine
        .advertise_user_timeout(Duration::from_secs(20));
    script.fetch_nothing();
    script
        .engine
        .advertise_user_timeout(Duration::from_secs(25));
    script.write(b"x");
    let sent = script.fetch_one();
    assert_eq!(sent.options.user_timeout, seconds(25).user_timeout);
    script.write(b"y");
    assert_eq!(script.fetch_one().options.user_timeout, None);
}

/// G19: a segment that is full without it takes it not along; it leaves by itself.
#[test]
fn rfc5482_3_full_segments_stay_as_long_as_they_were() {
    let mut script = Script::dialed(config(), 1, 2, 60_000, mss(1000));
    script.fetch_one();
    script.engine.write(&[1; 3000]).unwrap();
    script.send(ACK, 1, 1, 60_000, b"");
    let sent = script.fetch();
    let lengths: Vec<usize> = sent.iter().map(Sent::len).collect();
    assert_eq!(lengths, [1000, 1000, 1000, 0]);
    let told = sent.iter().map(|sent| sent.options.user_timeout.is_some());
    assert_eq!(told.collect::<Vec<_>>(), [false, false, false, true]);
}

/// RFC 5482 3.1: the larger one of both applies, within the limits; zero is none.
#[test]
fn rfc5482_3_1_the_peers_timeout_is_honoured_within_limits() {
    for (theirs, applies) in [(0, 30), (5, 20), (15, 20), (25, 25), (45, 45), (9999, 60)] {
        for in_syn in [true, false] {
            let options = if in_syn {
                seconds(theirs)
            } else {
                Options::NONE
            };
            let mut script = Script::established_at(config(), 1000, 1, 2, options);
            if !in_syn {
                script.send_with(ACK, 1, 1, 1000, b"", seconds(theirs));
            }
            assert_eq!(gives_up_after(&mut script), applies, "{theirs} {in_syn}");
        }
    }
}

/// RFC 5482 3.1: CHANGEABLE is off when it is said, and when the application said what it wants.
#[test]
fn rfc5482_3_1_the_application_has_the_last_word() {
    let fixed = Config {
        user_timeout_option: Some(UserTimeoutOption {
            changeable: false,
            ..OURS
        }),
        ..config()
    };
    let mut script = Script::established(fixed, 1000);
    script.send_with(ACK, 1, 1, 1000, b"", seconds(50));
    assert_eq!(gives_up_after(&mut script), 30);
    let mut script = Script::established(config(), 1000);
    script.send_with(ACK, 1, 1, 1000, b"", seconds(50));
    let timeout = Some(Duration::from_secs(12));
    script.engine.set_user_timeout(script.now, timeout);
    script.send_with(ACK, 1, 1, 1000, b"", seconds(55));
    assert_eq!(gives_up_after(&mut script), 12);
}

/// C18: a peer that acknowledges nothing is no more alive for changing its mind.
#[test]
fn rfc5482_3_1_options_are_no_sign_of_life() {
    let mut script = Script::established(config(), 1000);
    script.write(b"abc");
    script.fetch();
    for second in 0..57 {
        script.send_with(ACK, 1, 1, 1000, b"", seconds(58 + second % 3));
        script.wait(ms(1000));
        assert_eq!(script.engine.ended(), None);
    }
    script.wait(ms(3100));
    assert_eq!(script.engine.ended(), Some(CloseReason::TimedOut));
}
