//! Our TCP beside smoltcp's, in both roles, over bad paths. `cargo xtask lab --tcp --against smoltcp --seeds N` runs more.

#[path = "../examples/smoltcp/mod.rs"]
#[allow(dead_code)]
mod smoltcp;

use gapless_lab::tcp::{run_tcp_seed, run_tcp_seeds};

const SEEDS: u64 = 100;

#[test]
fn no_seed_breaks_a_rule() {
    let summary = run_tcp_seeds(0..SEEDS, Some((smoltcp::NAME, smoltcp::MAKE)), |_| {});
    let failures: Vec<String> = summary.failures.iter().map(ToString::to_string).collect();
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(summary.seeds, SEEDS);
}

/// What the lab asked of smoltcp and it does not do: one connection for two copies of a SYN while several of its sockets listen (1118), and going on
/// where the window has no room for a segment (1770, 2244).
#[test]
fn seeds_that_broke_a_rule_once_break_none() {
    for seed in [1_118, 1_770, 2_244] {
        let result = run_tcp_seed(seed, Some((smoltcp::NAME, smoltcp::MAKE)));
        if let Err(failure) = result {
            panic!("{failure}");
        }
    }
}
