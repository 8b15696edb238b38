//! Paths made for one question each: how long a transfer may take, and that nothing is lost for no reason. `cargo xtask lab` runs more.

use gapless_lab::{Trial, run_trial, run_trials};

/// Several of each question.
const TRIALS: u64 = 56;

#[test]
fn no_trial_breaks_a_rule() {
    let failures = run_trials(0..TRIALS, |_| {});
    let text: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", text.join("\n"));
}

/// Trials that failed once: what forged acknowledgements add to the limit of an unproven address was not counted.
#[test]
fn trials_that_broke_a_rule_once_break_none() {
    for number in [710, 1270] {
        if let Err(failure) = run_trial(number) {
            panic!("{failure}");
        }
    }
}

/// A bound that nothing can exceed says nothing: on a tenth of its rate, a bulk transfer is found to be slow.
#[test]
fn a_slow_transfer_is_found() {
    let fails = |number: &u64| {
        let mut trial = Trial::new(*number);
        let scenario = &mut trial.scenario;
        for profile in scenario.faults.iter_mut().chain(&mut scenario.calm) {
            profile.rate = profile.rate.map(|rate| rate / 10);
        }
        trial.run().is_err()
    };
    // Every fourteenth trial is of a clean path; some of them carry next to nothing.
    let clean: Vec<u64> = (0..8).map(|trial| trial * 14).collect();
    let found = clean.iter().filter(|number| fails(number)).count();
    assert!(found * 2 >= clean.len(), "{found} of {}", clean.len());
}
