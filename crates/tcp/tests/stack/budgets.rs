//! Memory that connections share.

use super::net::*;
use gapless_tcp::{ConnectError, Connection, Id, StackConfig, WriteError};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Host 0 with so much memory, and two others without limits.
fn hosts(memory: usize, memory_per_peer: usize) -> Net {
    let scarce = StackConfig {
        memory,
        memory_per_peer,
        ..settings()
    };
    let mut net = Net::new(vec![scarce, settings(), settings()]);
    net.stacks[0].listen(None, Some(80), 64, false).unwrap();
    net
}

/// Dials host 0 from another one, and accepts.
fn dial(net: &mut Net, from: usize) -> [Id; 2] {
    let now = net.now;
    let there = net.stacks[from].connect(now, None, end(0, 80)).unwrap();
    net.wait(SECOND);
    let (here, _) = net.stacks[0].accept().unwrap();
    [there, here]
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 9)) as u8).collect()
}

fn check(net: &Net) {
    for stack in &net.stacks {
        assert_eq!(stack.check(net.now), Ok(()));
    }
}

/// One side writes what of `data` was not written, and the other one reads, until all is there.
fn transfer(net: &mut Net, [from, to]: [(usize, Id); 2], data: &[u8], mut written: usize) {
    let mut came = Vec::new();
    for _ in 0..100 {
        net.run(SECOND, |net| {
            if let Ok(count) = net.stacks[from.0].write(from.1, &data[written..]) {
                written += count;
            }
            let mut room = [0; 3000];
            while let Ok(count @ 1..) = net.stacks[to.0].read(to.1, &mut room) {
                came.extend_from_slice(&room[..count]);
            }
            check(net);
        });
        if came.len() >= data.len() {
            break;
        }
    }
    assert_eq!(came.len(), data.len());
    assert!(came == data);
}

/// A peer that fills what it may starves itself and nobody else; what was taken is not given up, and when it was read there is room again.
#[test]
fn one_peer_cannot_take_what_is_everybodys() {
    let mut net = hosts(1 << 20, 1 << 18);
    let greedy: Vec<[Id; 2]> = (0..8).map(|_| dial(&mut net, 1)).collect();
    let data = pattern(60_000);
    for [there, _] in &greedy {
        assert_eq!(net.stacks[1].write(*there, &data), Ok(data.len()));
    }
    // Nobody reads.
    net.wait(SECOND * 10);
    check(&net);
    let most = (1 << 18) + 8 * 2 * 4096;
    let held = net.stacks[0].held_by(address(1));
    assert!((1 << 17..=most).contains(&held), "{held}");
    assert_eq!(net.stacks[0].held(), held);
    assert!(net.stacks[0].stats().starved > 0);
    // Another one has all that it needs.
    let starved = net.stacks[0].stats().starved;
    let modest = dial(&mut net, 2);
    let ends = [(2, modest[0]), (0, modest[1])];
    transfer(&mut net, ends, &pattern(300_000), 0);
    // What was sent meanwhile again and again to those who are full counts, too.
    assert!(net.stacks[0].stats().starved >= starved);
    // When it is read, all of it arrives.
    for [there, here] in greedy {
        transfer(&mut net, [(1, there), (0, here)], &data, data.len());
    }
    net.wait(SECOND * 3);
    let held = net.stacks[0].held_by(address(1));
    assert!(held <= 8 * size_of::<Connection>() + 8 * 2048, "{held}");
}

/// With nothing left beyond the first allocations everything still arrives, in both directions, over a path that loses.
#[test]
fn a_spent_budget_slows_and_does_not_stop() {
    for loss_percent in [0, 3] {
        let mut net = hosts(2 * size_of::<Connection>(), usize::MAX);
        net.loss_percent = loss_percent;
        let now = net.now;
        let there = net.stacks[1].connect(now, None, end(0, 80)).unwrap();
        net.wait(SECOND * 10);
        let (here, _) = net.stacks[0].accept().unwrap();
        let data = pattern(100_000);
        transfer(&mut net, [(1, there), (0, here)], &data, 0);
        // And back.
        assert_eq!(net.stacks[0].write(here, &data), Ok(4096));
        let full = net.stacks[0].write(here, &data);
        assert_eq!(full, Err(WriteError::WouldBlock));
        assert!(net.stacks[0].stats().starved > 0);
        transfer(&mut net, [(0, here), (1, there)], &data, 4096);
    }
}

/// Who opens connections and no more is refused when his part is spent; others are not; and when he closes them he is welcome again.
#[test]
fn connections_count_and_syns_are_dropped_as_if_lost() {
    let few = 5 * size_of::<Connection>() + 4 * 1024;
    let mut net = hosts(1 << 20, few);
    let now = net.now;
    let dialed: Vec<Id> = (0..20)
        .map(|_| net.stacks[1].connect(now, None, end(0, 80)).unwrap())
        .collect();
    net.wait(SECOND * 3);
    check(&net);
    let accepted: Vec<Id> = std::iter::from_fn(|| net.stacks[0].accept())
        .map(|(id, _)| id)
        .collect();
    assert!((2..=8).contains(&accepted.len()), "{}", accepted.len());
    assert!(net.stacks[0].stats().unaffordable >= 12);
    dial(&mut net, 2);
    let now = net.now;
    let refused = net.stacks[0].connect(now, None, end(1, 9));
    assert_eq!(refused, Err(ConnectError::Full));
    for id in accepted {
        net.stacks[0].abort(now, id);
        net.stacks[0].release(now, id);
    }
    // The SYNs of the others come again.
    net.wait(SECOND * 20);
    assert!(net.stacks[0].accept().is_some());
    for id in dialed {
        let now = net.now;
        net.stacks[1].abort(now, id);
        net.stacks[1].release(now, id);
    }
    net.wait(SECOND * 5);
    check(&net);
}
