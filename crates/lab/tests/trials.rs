//! Paths made for one question each: how long a transfer may take, and that nothing is lost for no reason. `cargo xtask lab` runs more.

use gapless_lab::{MS, Rule, Trial, run_trials};

/// Several of each question.
const TRIALS: u64 = 64;

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
        let trial = Trial::about("what was never sent cannot be acknowledged", number);
        if let Err(violation) = trial.expect("a trial").run() {
            panic!("{number}: {violation}");
        }
    }
}

/// A bound that nothing can exceed says nothing: on a tenth of its rate, a bulk transfer is found to be slow.
#[test]
fn a_slow_transfer_is_found() {
    let fails = |number: &u64| {
        let mut trial = Trial::about("a clean path is used", *number).expect("a trial");
        let scenario = &mut trial.scenario;
        for profile in scenario.faults.iter_mut().chain(&mut scenario.calm) {
            profile.rate = profile.rate.map(|rate| rate / 10);
        }
        trial.run().is_err()
    };
    // Some of them carry next to nothing.
    let clean: Vec<u64> = (0..8).collect();
    let found = clean.iter().filter(|number| fails(number)).count();
    assert!(found * 2 >= clean.len(), "{found} of {}", clean.len());
}

/// UDX 14: without a secret there are no tokens, and a side that was started anew is silence to the other: the bound of the trial tells them apart.
#[test]
fn a_restart_without_a_secret_is_not_told() {
    let trials = (0..40).filter_map(|number| Trial::about("who lost its state says so", number));
    let mut told = 0;
    for mut trial in trials {
        let restart = trial.scenario.restart.expect("a restart");
        let usual = trial.run().expect("no rule is broken").learned_within;
        // In version 2, and without a secret, it is silence anyway.
        if usual.is_none_or(|took| took > 8_000 * MS) {
            continue;
        }
        told += 1;
        trial.scenario.hosts[1 - restart.host].config.reset_secret = None;
        assert!(trial.run().is_ok(), "the other's secret is its own affair");
        trial.scenario.hosts[restart.host].config.reset_secret = None;
        let silent = trial.run();
        let rule = silent.err().map(|violation| violation.rule);
        assert_eq!(rule, Some(Rule::Speed), "it takes the idle timeout");
    }
    assert!(told >= 5, "{told}");
}
