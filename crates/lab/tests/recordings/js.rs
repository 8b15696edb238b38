//! The model of JS against recordings of the real one.

use crate::replay::{Act, Application, Replay};
use gapless_lab::peers::js::{Js, Options};
use gapless_lab::peers::{Foreign, Kind};
use std::time::Duration;

type Model = fn() -> Box<dyn Foreign + Send>;

fn js(file: &'static str, delay_ms: f64, model: Model) -> Replay {
    Replay {
        file: ("v3", file),
        kind: Kind::Js,
        model: Some(model),
        dials: false,
        delay: Duration::from_secs_f64(delay_ms / 1e3),
        application: Application::Echo,
        reads_after: Duration::ZERO,
        timers_late: TIMERS_LATE,
        moves_with: None,
        starts_slowly: true,
        tolerance: TOLERANCE,
        script: Vec::new(),
    }
}

/// With the search for the largest datagram, as by default.
fn searching() -> Box<dyn Foreign + Send> {
    Box::new(Js::new(Options::default(), 1))
}

/// Without it, as in most recordings.
fn plain() -> Box<dyn Foreign + Send> {
    let options = Options {
        search: false,
        ..Options::default()
    };
    Box::new(Js::new(options, 1))
}

fn accept(
    file: &'static str,
    delay_ms: f64,
    model: Model,
    application: Application,
    script: &[(f64, Act)],
) -> usize {
    Replay {
        application,
        script: script.to_vec(),
        ..js(file, delay_ms, model)
    }
    .check()
}

fn dial(file: &'static str, delay_ms: f64, model: Model, script: &[(f64, Act)]) -> usize {
    Replay {
        dials: true,
        application: Application::Script,
        script: script.to_vec(),
        ..js(file, delay_ms, model)
    }
    .check()
}

#[test]
fn dials_echoes_and_closes() {
    let file = "js-dial-echo-close";
    assert_eq!(accept(file, RELAY, plain, Application::Echo, &[]), 17);
    let script = [
        (147.5, Act::Write(17)),
        (147.5, Act::Finish),
        (180.9, Act::Close(0)),
    ];
    assert_eq!(dial(file, RELAY, plain, &script), 17);
}

#[test]
fn carries_200_kib() {
    let file = "js-200KiB-loss2";
    assert_eq!(accept(file, RELAY, plain, Application::Sink, &[]), 204_800);
    dial(
        file,
        RELAY,
        plain,
        &[
            (111.6, Act::Write(204_800)),
            (111.6, Act::Finish),
            (417.4, Act::Close(0)),
        ],
    );
    let file = "js-200KiB-clean";
    assert_eq!(
        accept(file, RELAY, searching, Application::Sink, &[]),
        204_800
    );
    dial(
        file,
        RELAY,
        searching,
        &[
            (113.7, Act::Write(204_800)),
            (113.7, Act::Finish),
            (248.5, Act::Close(0)),
        ],
    );
}

#[test]
fn carries_four_streams() {
    let file = "js-4-streams";
    assert_eq!(accept(file, RELAY, plain, Application::Echo, &[]), 20_000);
    let script: Vec<(f64, Act)> = (0..4)
        .flat_map(|_| [Act::Open, Act::Write(5000), Act::Finish])
        .map(|act| (166.2, act))
        .chain([(273.4, Act::Close(0))])
        .collect();
    assert_eq!(dial(file, RELAY, plain, &script), 20_000);
}

#[test]
fn resets() {
    let file = "js-reset";
    accept(
        file,
        RELAY,
        plain,
        Application::Script,
        &[(187.8, Act::Reset(0x42))],
    );
    dial(
        file,
        RELAY,
        plain,
        &[(167.0, Act::Write(6)), (203.4, Act::Close(0))],
    );
}

#[test]
fn searches_for_the_largest_datagram() {
    for (file, begin, end) in [
        ("js-pmtud-1472", 150.88, 588.2),
        ("js-pmtud-1430", 166.5, 4704.3),
    ] {
        accept(file, RELAY, searching, Application::Echo, &[]);
        let script = [
            (begin, Act::Write(17)),
            (begin, Act::Finish),
            (end, Act::Close(0)),
        ];
        dial(file, RELAY, searching, &script);
    }
}

#[test]
fn pings_and_keeps_alive() {
    let file = "js-ping-keepalive";
    accept(file, RELAY, plain, Application::Script, &[]);
    let model = || -> Box<dyn Foreign + Send> {
        let options = Options {
            search: false,
            keep_alive: Some(Duration::from_secs(1)),
            reset_secret: None,
        };
        Box::new(Js::new(options, 1))
    };
    dial(
        file,
        RELAY,
        model,
        &[
            (165.32, Act::Ping),
            (165.33, Act::Open),
            (3704.4, Act::Close(0)),
        ],
    );
}

#[test]
fn says_that_it_is_blocked() {
    let file = "js-blocked-reader";
    accept(file, RELAY, plain, Application::Deaf, &[]);
    dial(file, RELAY, plain, &[(136.5, Act::Write(70_000))]);
}

#[test]
fn follows_to_another_address() {
    let file = "js-rebinding";
    let replay = Replay {
        moves_with: Some(11),
        ..js(file, RELAY, plain)
    };
    assert_eq!(replay.check(), 30_000);
    dial(
        file,
        RELAY,
        plain,
        &[
            (156.15, Act::Write(30_000)),
            (156.15, Act::Finish),
            (227.3, Act::Close(0)),
        ],
    );
}

#[test]
fn answers_other_versions() {
    accept(
        "js-version-negotiation",
        HAND,
        plain,
        Application::Echo,
        &[],
    );
    dial(
        "js-dialer-refused-version",
        RELAY,
        plain,
        &[(149.09, Act::Write(17)), (149.09, Act::Finish)],
    );
}

#[test]
fn repeats_its_dial() {
    dial(
        "js-dialer-unanswered",
        RELAY,
        plain,
        &[(156.69, Act::Write(17)), (156.69, Act::Finish)],
    );
}

#[test]
fn talks_with_go() {
    accept("go-dials-js-echo", RELAY, searching, Application::Echo, &[]);
    let script = [
        (155.1, Act::Write(3000)),
        (155.1, Act::Finish),
        (486.3, Act::Close(0)),
    ];
    assert_eq!(dial("js-dials-go-echo", RELAY, searching, &script), 3000);
}

#[test]
fn is_told_of_lost_state() {
    let script = [(109.63, Act::Write(17)), (1609.1, Act::Write(100))];
    dial("js-stateless-reset", RELAY, plain, &script);
}

#[test]
fn acknowledges_by_its_policy() {
    assert_eq!(
        accept("js-ack-policy", HAND, plain, Application::Echo, &[]),
        6
    );
}

#[test]
fn answers_control_frames() {
    accept("js-control-frames", HAND, plain, Application::Echo, &[]);
}

#[test]
fn opens_connection_and_stream_at_once() {
    accept(
        "js-stream-opened-in-first-packet",
        HAND,
        plain,
        Application::Echo,
        &[],
    );
}

#[test]
fn loses_what_is_cut_anew() {
    assert_eq!(
        accept(
            "js-rechunked-retransmission",
            HAND,
            plain,
            Application::Echo,
            &[]
        ),
        2000
    );
    assert_eq!(
        accept(
            "js-coalesced-retransmission",
            HAND,
            plain,
            Application::Echo,
            &[]
        ),
        1500
    );
}

#[test]
fn is_revived_by_a_late_syn() {
    accept(
        "js-late-syn-after-close",
        HAND,
        plain,
        Application::Echo,
        &[],
    );
}

#[test]
fn forgets_a_fin_that_overtakes() {
    let file = "js-fin-overtakes-open";
    accept(file, RELAY, plain, Application::Echo, &[]);
    dial(
        file,
        RELAY,
        plain,
        &[(142.59, Act::Write(17)), (142.6, Act::Finish)],
    );
}

/// Milliseconds from the relay to an end, or from the hand-built peer's recorder.
const RELAY: f64 = 10.6;
const HAND: f64 = 5.6;
const TIMERS_LATE: Duration = Duration::from_micros(700);
/// A program that runs its code for the first time takes up to 10 ms longer for its first answers.
const TOLERANCE: Duration = Duration::from_millis(15);
