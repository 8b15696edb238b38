//! Packets that nobody sane would send, at stacks with connections in many states: nothing panics, answers and memory are bounded.

use super::net::*;
use gapless_tcp::Id;
use std::time::Duration;

fn spoil(net: &mut Net, packet: &mut Vec<u8>) {
    for _ in 0..1 + net.random() % 3 {
        if packet.is_empty() {
            return;
        }
        let at = net.random() as usize % packet.len();
        match net.random() % 6 {
            0 => packet[at] = net.random() as u8,
            1 => packet[at] ^= 1 << (net.random() % 8),
            2 => packet.truncate(at),
            3 => packet.push(net.random() as u8),
            // The numbers and control bits of TCP behind an IPv4 header.
            4 => {
                let at = 24 + net.random() as usize % 10;
                if let Some(octet) = packet.get_mut(at) {
                    *octet = octet.wrapping_add(net.random() as u8 % 3).wrapping_sub(1);
                }
            }
            _ => {
                if let Some(octet) = packet.get_mut(33) {
                    *octet = net.random() as u8;
                }
            }
        }
    }
}

/// So that what was spoiled is looked at: nobody computes checksums.
fn without_checksums() -> gapless_tcp::StackConfig {
    let mut config = settings();
    config.checksums.receive = gapless_tcp::wire::Verify::Device;
    config
}

#[test]
fn spoiled_packets_hurt_nobody() {
    for seed in 0..12 {
        let mut net = Net::new(vec![without_checksums(), without_checksums()]);
        for _ in 0..seed {
            net.random();
        }
        net.stacks[1].listen(None, Some(7), 50, false).unwrap();
        let mut ids: Vec<Id> = Vec::new();
        let mut echoes = Vec::new();
        for round in 0..60 {
            let now = net.now;
            if round % 3 == 0 {
                ids.extend(net.stacks[0].connect(now, None, end(1, 7)).ok());
            }
            for (index, id) in ids.clone().into_iter().enumerate() {
                let stack = &mut net.stacks[0];
                let _ = stack.write(id, &[9; 700]);
                let _ = stack.read(id, &mut [0; 900]);
                match (index + round) % 9 {
                    0 => stack.shutdown(now, id),
                    1 if round % 4 == 0 => stack.abort(now, id),
                    2 if round % 5 == 0 => stack.release(now, id),
                    _ => {}
                }
            }
            net.run(Duration::from_millis(30), |net| serve(net, 0, &mut echoes));
            for _ in 0..40 {
                if net.log.is_empty() {
                    break;
                }
                let at = net.random() as usize % net.log.len();
                let (host, mut packet) = net.log[at].clone();
                spoil(&mut net, &mut packet);
                net.inject(1 - host, &packet);
                assert!(net.stacks[1 - host].memory() < 20_000_000);
            }
            if net.log.len() > 500 {
                net.log.drain(..250);
            }
        }
        // A release of all, and everything ends.
        let now = net.now;
        for id in ids {
            net.stacks[0].release(now, id);
        }
        for (host, id, _) in echoes {
            net.stacks[host].release(now, id);
        }
        net.run(Duration::from_secs(3000), |net| {
            while let Some((id, _)) = net.stacks[1].accept() {
                let now = net.now;
                net.stacks[1].release(now, id);
            }
        });
        for (host, stack) in net.stacks.iter().enumerate() {
            assert_eq!(stack.connections(), 0, "seed {seed}, host {host}");
        }
    }
}
