//! The loads of the two documents that this project comes from, over a clean and a spoiled path.

use gapless_lab::load::{self, CLEAN, SPOILED};
use gapless_lab::{Report, Scenario, run};
use gapless_link::Profile;

fn run_load(name: &str, path: &str) -> Report {
    let path: Profile = path.parse().expect("the path is written right");
    let all = load::all();
    let load = all
        .iter()
        .find(|load| load.name == name)
        .expect("the load exists");
    let mut scenario = Scenario::plain(1, &path, load.streams.clone());
    // Some loads are long; the books are also checked at the end.
    scenario.check_every = 50;
    run(&scenario).unwrap_or_else(|violation| panic!("{name} over {path}: {violation}"))
}

macro_rules! loads {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            run_load($name, CLEAN);
            run_load($name, SPOILED);
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
    a_stream_opens_after_a_large_transfer: "transfer-then-another",
    framed_messages_are_answered: "framed-messages",
    rapid_and_delayed_writes_mix: "rapid-and-delayed-writes",
    both_directions_fill_repeatedly: "both-ways-repeated",
    what_was_sent_is_read_after_the_end_came: "reading-after-fin",
    a_waiting_reader_sees_the_end: "eof-pending",
    a_reset_ends_one_stream_only: "reset",
    a_stop_ends_one_stream_only: "stop",
    half_a_stream_closes: "half-close",
    a_slow_reader_gets_the_side_band: "sideband-slow-reader",
}
