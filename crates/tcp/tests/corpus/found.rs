//! What two stacks in the lab's virtual time came upon.

use super::script::*;
use gapless_tcp::wire::{Options, Timestamps};
use gapless_tcp::{BlockedOn, Config};

/// RFC 6691: the peer's maximum segment size is for data and options together, so blocks that tell of a hole do not go with data that fill it.
#[test]
fn data_and_options_together_fit_the_peers_segments() {
    let config = Config {
        sack: true,
        timestamps: true,
        ..plain()
    };
    let options = Options {
        sack_permitted: true,
        timestamps: Some(Timestamps {
            value: 1.into(),
            echo: 77.into(),
        }),
        ..mss(600)
    };
    let mut script = Script::established_at(config, 20_000, 1000, 2000, options);
    // Something is missing before it.
    script.send(ACK, 101, 1, 20_000, &[5; 10]);
    script.write(&[7; 3000]);
    let sent = script.fetch();
    assert!(sent.iter().any(|segment| segment.options.sack.len() == 1));
    assert!(sent.iter().any(|segment| segment.len() > 500));
    for segment in sent {
        let options = segment.options.encoded_len();
        assert!(options + segment.len() <= 600, "{segment:?}");
    }
}

/// A timeout whose probe would be new data found no room in the books for them, and sent nothing: now it repeats what is old (R10).
#[test]
fn a_timeout_repeats_what_is_old_when_nothing_new_may_be_sent() {
    let config = Config {
        max_segments: 2,
        sack: true,
        ..plain()
    };
    let options = Options {
        sack_permitted: true,
        ..mss(1000)
    };
    let mut script = Script::established_at(config, 20_000, 1000, 2000, options);
    script.write(&[7; 6000]);
    assert_eq!(script.fetch().len(), 2);
    let again = script.wait(ms(5000));
    assert!(
        again.iter().any(|(_, segment)| segment.seq == 1),
        "{again:?}"
    );
    let blocked = script.engine.blocked_on(script.now);
    assert_eq!(blocked, BlockedOn::Congestion);
}

/// RFC 9293 3.8.6: a late copy brings a new acknowledgment, and a window that does not count any more. The edge does not move with the
/// acknowledgment alone.
#[test]
fn an_acknowledgment_without_a_window_moves_no_edge() {
    let mut script = Script::established_at(plain(), 1000, 1000, 2000, mss(1000));
    script.send(ACK, 1, 1, 1000, &[5; 10]);
    script.fetch();
    script.write(&[7; 3000]);
    assert_eq!(script.fetch_one().len(), 1000);
    // The same octets again, from when the window was closed.
    script.send(ACK, 1, 1001, 0, &[5; 10]);
    let sent = script.fetch();
    assert!(sent.iter().all(|segment| segment.len() == 0), "{sent:?}");
    script.send(ACK, 11, 1001, 1000, b"");
    assert_eq!(script.fetch_one().len(), 1000);
}
