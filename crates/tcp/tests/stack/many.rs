//! Many connections at once.

use super::net::*;
use gapless_tcp::Id;
use std::time::Duration;

#[test]
fn hundreds_of_echoes_over_a_bad_link_leave_nothing_behind() {
    let mut net = Net::pair();
    net.loss_percent = 3;
    net.stacks[1].listen(None, Some(7), 1000, false).unwrap();
    let now = net.now;
    let mut dials: Vec<(Id, usize, Vec<u8>)> = (0..300)
        .map(|_| {
            (
                net.stacks[0].connect(now, None, end(1, 7)).unwrap(),
                0,
                Vec::new(),
            )
        })
        .collect();
    let data = |index: usize| -> Vec<u8> {
        (0..2000 + index * 13)
            .map(|n| (n * (index + 3)) as u8)
            .collect()
    };
    let mut echoes = Vec::new();
    net.run(Duration::from_secs(60), |net| {
        let now = net.now;
        for (index, (id, written, back)) in dials.iter_mut().enumerate() {
            let data = data(index);
            if *written < data.len() {
                if let Ok(count) = net.stacks[0].write(*id, &data[*written..]) {
                    *written += count;
                }
                if *written == data.len() {
                    net.stacks[0].shutdown(now, *id);
                }
            }
            let mut room = [0; 4000];
            while let Ok(count @ 1..) = net.stacks[0].read(*id, &mut room) {
                back.extend_from_slice(&room[..count]);
            }
        }
        serve(net, 0, &mut echoes);
    });
    for (index, (_, _, back)) in dials.iter().enumerate() {
        assert!(
            *back == data(index),
            "connection {index}: {} octets",
            back.len()
        );
    }
    let now = net.now;
    for (id, ..) in &dials {
        net.stacks[0].release(now, *id);
    }
    net.wait(Duration::from_secs(300));
    for stack in &net.stacks {
        assert_eq!(stack.connections(), 0);
        assert_eq!(stack.next_deadline(), None);
        assert!(stack.memory() < 200_000, "{}", stack.memory());
    }
    // Names of what is gone name nothing.
    let (id, ..) = dials[0];
    assert!(net.stacks[0].connection(id).is_none());
    assert!(net.stacks[0].write(id, b"x").is_err());
}

#[test]
fn idle_connections_cost_little() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 5000, false).unwrap();
    for _ in 0..20 {
        let now = net.now;
        for _ in 0..50 {
            net.stacks[0].connect(now, None, end(1, 7)).unwrap();
        }
        net.wait(Duration::from_secs(1));
        while net.stacks[1].accept().is_some() {}
    }
    net.wait(Duration::from_secs(10));
    for stack in &net.stacks {
        assert_eq!(stack.connections(), 1000);
        let each = stack.memory() / 1000;
        println!("{each} octets for an idle connection");
        assert!(each < 1950, "{each}");
    }
}
