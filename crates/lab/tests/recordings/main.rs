//! The models of Go and JS against recordings of the real ones.

mod js;
mod pairs;
mod replay;

use gapless_lab::peers::Kind;
use replay::{Act, Application, Replay};
use std::time::Duration;

fn replay(
    file: (&'static str, &'static str),
    dials: bool,
    delay_ms: f64,
    application: Application,
    script: &[(f64, Act)],
) -> usize {
    let kind = match file.0 {
        "v2" => Kind::GoV2Early,
        _ => Kind::GoV3Old,
    };
    Replay {
        file,
        kind,
        model: None,
        moves_with: None,
        starts_slowly: false,
        tolerance: TOLERANCE,
        dials,
        delay: Duration::from_secs_f64(delay_ms / 1e3),
        application,
        reads_after: READS_AFTER,
        timers_late: TIMERS_LATE,
        script: script.to_vec(),
    }
    .check()
}

/// As an acceptor that echoes. The result: bytes read.
fn echo(file: (&'static str, &'static str), delay_ms: f64) -> usize {
    replay(file, false, delay_ms, Application::Echo, &[])
}

/// As a dialer. The result: bytes read.
fn dial(file: (&'static str, &'static str), delay_ms: f64, script: &[(f64, Act)]) -> usize {
    replay(file, true, delay_ms, Application::Script, script)
}

#[test]
fn version_3_dials_echoes_and_closes() {
    let file = ("v3", "go-dial-echo-close");
    echo(file, 10.6);
    dial(
        file,
        10.6,
        &[
            (4.68, Act::Write(17)),
            (4.69, Act::Finish),
            (127.44, Act::Close(0)),
        ],
    );
}

#[test]
fn version_3_carries_100_kib_over_loss() {
    // What its dialer does next depends on which of its threads was first: pacer, or the one that reads acknowledgements.
    replay(
        ("v3", "go-100KiB-loss2"),
        false,
        10.6,
        Application::Sink,
        &[],
    );
}

#[test]
fn version_3_acknowledges_by_its_policy() {
    echo(("v3", "go-ack-policy"), 5.6);
}

#[test]
fn version_3_answers_control_frames() {
    echo(("v3", "go-control-frames"), 5.6);
}

#[test]
fn version_3_loses_what_is_cut_anew() {
    assert_eq!(echo(("v3", "go-coalesced-retransmission"), 5.6), 1500);
    assert_eq!(echo(("v3", "go-rechunked-retransmission"), 5.6), 2000);
}

#[test]
fn version_3_is_revived_by_a_late_syn() {
    echo(("v3", "go-late-syn-after-close"), 5.6);
}

#[test]
fn version_3_forgets_a_fin_that_overtakes() {
    let file = ("v3", "go-fin-overtakes-open");
    echo(file, 10.6);
    dial(file, 10.6, &[(7.99, Act::Write(17)), (8.0, Act::Finish)]);
}

#[test]
fn version_3_opens_connection_and_stream_at_once() {
    echo(("v3", "go-stream-opened-in-first-packet"), 5.6);
}

#[test]
fn version_3_repeats_its_dial() {
    dial(
        ("v3", "go-dialer-unanswered"),
        0.0,
        &[(5.21, Act::Write(17)), (5.22, Act::Finish)],
    );
}

#[test]
fn version_3_talks_with_js() {
    echo(("v3", "js-dials-go-echo"), 10.6);
    dial(
        ("v3", "go-dials-js-echo"),
        10.6,
        &[
            (4.85, Act::Write(3000)),
            (4.9, Act::Finish),
            (139.08, Act::Close(0)),
        ],
    );
}

#[test]
fn version_2_answers_version_3() {
    Replay {
        file: ("v3", "discovery-v3-syn-at-go-v2"),
        kind: Kind::GoV2Early,
        model: None,
        moves_with: None,
        starts_slowly: false,
        tolerance: TOLERANCE,
        dials: false,
        delay: Duration::from_micros(5600),
        application: Application::Echo,
        reads_after: READS_AFTER,
        timers_late: TIMERS_LATE,
        script: Vec::new(),
    }
    .check();
}

#[test]
fn version_2_dials_echoes_and_closes() {
    let file = ("v2", "go-dial-echo-close");
    assert_eq!(echo(file, 10.6), 17);
    let read = dial(
        file,
        10.6,
        &[
            (0.33, Act::Write(17)),
            (21.59, Act::Finish),
            (53.42, Act::Close(0)),
        ],
    );
    assert_eq!(read, 17);
}

#[test]
fn version_2_dials_echoes_and_resets() {
    let file = ("v2", "go-dial-echo-reset");
    echo(file, 10.6);
    dial(
        file,
        10.6,
        &[
            (1.5, Act::Write(17)),
            (22.42, Act::Reset(7)),
            (53.53, Act::Close(0)),
        ],
    );
}

#[test]
fn version_2_carries_200_kib() {
    for (file, begin, end) in [
        ("go-200KiB-clean", 0.86, 106.92),
        ("go-200KiB-loss2", 1.19, 115.84),
    ] {
        let file = ("v2", file);
        let read = replay(file, false, 10.6, Application::Script, &[]);
        assert_eq!(read, 204_800);
        let script = [
            (begin, Act::Write(204_800)),
            (begin, Act::Finish),
            (end, Act::Close(0)),
        ];
        dial(file, 10.6, &script);
    }
}

#[test]
fn version_2_acknowledges_acknowledgements() {
    let file = ("v2", "go-ack-storm-idle");
    echo(file, 100.4);
    assert_eq!(dial(file, 100.4, &[(0.53, Act::Write(100))]), 100);
}

#[test]
fn version_2_loses_a_reply_of_eight_bytes() {
    let file = ("v2", "go-eight-byte-reply-lost");
    replay(
        file,
        false,
        20.4,
        Application::Script,
        &[(41.63, Act::Write(8))],
    );
    let read = dial(file, 20.4, &[(0.35, Act::Write(2))]);
    assert_eq!(read, 0, "UDX2 H3");
}

#[test]
fn version_2_ignores_the_version() {
    echo(("v2", "go-acceptor-unknown-version"), 0.2);
}

#[test]
fn version_2_repeats_its_dial() {
    dial(
        ("v2", "go-dialer-unanswered"),
        0.1,
        &[(23.18, Act::Write(5))],
    );
}

#[test]
fn version_2_answers_control_frames() {
    echo(("v2", "go-answers-to-control-frames"), 0.2);
}

#[test]
fn version_2_talks_with_who_takes_care() {
    echo(("v2", "advised-dial-to-go"), 0.2);
}

#[test]
fn version_2_talks_with_dart() {
    echo(("v2", "dartform-dial-to-go"), 0.1);
    dial(
        ("v2", "go-dial-to-dartform"),
        0.1,
        &[
            (24.29, Act::Write(17)),
            (44.98, Act::Finish),
            (145.93, Act::Close(0)),
        ],
    );
}

/// How long after a packet the application's thread gets to read.
const READS_AFTER: Duration = Duration::from_micros(110);
/// How much later than asked for the real peer's timers came.
const TIMERS_LATE: Duration = Duration::from_micros(700);
/// What the real peer's threads and a busy machine may add.
const TOLERANCE: Duration = Duration::from_millis(8);
