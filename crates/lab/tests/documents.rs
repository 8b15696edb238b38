//! The loads of the two documents that this project comes from, over a clean and a spoiled path.

use gapless_lab::load::{self, CLEAN, SPOILED};
use gapless_lab::{MS, Scenario, run};
use gapless_link::Profile;

/// Runs a load and holds it to a time, in milliseconds: it takes about two thirds of it today over the spoiled path, and nearly all
/// of it over the clean one. Time is virtual, so a miss is not the machine's.
fn run_load(name: &str, path: &str, most: u64) {
    let path: Profile = path.parse().expect("the path is written right");
    let all = load::all();
    let load = all
        .iter()
        .find(|load| load.name == name)
        .expect("the load exists");
    let mut scenario = Scenario::plain(1, &path, load.streams.clone());
    // Some loads are long; the books are also checked at the end.
    scenario.check_every = 50;
    let report =
        run(&scenario).unwrap_or_else(|violation| panic!("{name} over {path}: {violation}"));
    let took = report.streams_over.expect("all streams were over") / MS;
    assert!(took <= most, "{name} over {path} took {took} ms");
}

macro_rules! loads {
    ($($test:ident: $name:literal, $clean:literal, $spoiled:literal;)*) => {
        $(#[test]
        fn $test() {
            run_load($name, CLEAN, $clean);
            run_load($name, SPOILED, $spoiled);
        })*

        #[test]
        fn every_load_has_a_test() {
            let mut tested = vec![$($name),*];
            let mut known: Vec<&str> = load::all().iter().map(|load| load.name).collect();
            tested.sort_unstable();
            known.sort_unstable();
            assert_eq!(tested, known);
        }
    };
}

loads! {
    a_stream_opens_after_a_large_transfer: "transfer-then-another", 9_500, 380_000;
    framed_messages_are_answered: "framed-messages", 2_150, 7_000;
    rapid_and_delayed_writes_mix: "rapid-and-delayed-writes", 4_250, 6_000;
    both_directions_fill_repeatedly: "both-ways-repeated", 600, 10_000;
    what_was_sent_is_read_after_the_end_came: "reading-after-fin", 4_050, 4_300;
    a_waiting_reader_sees_the_end: "eof-pending", 2_100, 2_400;
    a_reset_ends_one_stream_only: "reset", 180, 800;
    a_stop_ends_one_stream_only: "stop", 220, 900;
    half_a_stream_closes: "half-close", 250, 1_100;
    a_slow_reader_gets_the_side_band: "sideband-slow-reader", 1_600, 8_000;
}
