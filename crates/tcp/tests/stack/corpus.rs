//! Entries of the list of failures that need a whole stack: listeners, devices, addresses, and who is told what.

use super::listening::{packet, parse};
use super::net::*;
use gapless_tcp::wire::Flags;
use gapless_tcp::{CloseReason, ConnectError, Id, ReadError, Stack, State};
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Two stacks and an established connection: who dialed it and who accepted it.
fn connected() -> (Net, Id, Id) {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let now = net.now;
    let dialed = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    net.wait(SECOND);
    let (accepted, _) = net.stacks[1].accept().unwrap();
    while net.stacks[0].poll_changed().is_some() {}
    while net.stacks[1].poll_changed().is_some() {}
    (net, dialed, accepted)
}

fn state(stack: &Stack, id: Id) -> Option<State> {
    stack.connection(id).map(|connection| connection.state())
}

/// B9, R8, R12: a flood of segments to nobody is answered by as many packets as were set aside, however many came.
#[test]
fn b9_a_flood_of_strangers_gets_few_answers() {
    let mut net = Net::pair();
    for port in 0..10_000 {
        net.inject(1, &packet(end(0, 5), end(1, 1000 + port), Flags::ACK, 7, 9));
        net.inject(1, &packet(end(0, port), end(1, 9), Flags::SYN, 7, 0));
    }
    assert!(net.fetch(1).len() <= 64);
    assert!(net.stacks[1].memory() < 20_000);
    assert_eq!(net.stacks[1].stats().received, 20_000);
}

/// C26: a RST means the connection whose ends and numbers it has: no listener on the port, and no other connection.
#[test]
fn c26_a_reset_hits_one_connection_and_no_listener() {
    let (mut net, dialed, accepted) = connected();
    let now = net.now;
    let port = net.stacks[0].connection(dialed).unwrap().ports().local;
    let [next, _] = net.stacks[1]
        .connection(accepted)
        .unwrap()
        .numbers_for_tests();
    net.inject(1, &packet(end(0, port ^ 1), end(1, 7), Flags::RST, next, 0));
    net.inject(
        1,
        &packet(end(0, port ^ 1), end(1, 7), Flags::RST | Flags::ACK, 0, 1),
    );
    assert_eq!(state(&net.stacks[1], accepted), Some(State::Established));
    let second = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    net.wait(SECOND);
    assert_eq!(state(&net.stacks[0], second), Some(State::Established));
    net.inject(1, &packet(end(0, port), end(1, 7), Flags::RST, next, 0));
    assert_eq!(state(&net.stacks[1], accepted), Some(State::Closed));
    assert_eq!(state(&net.stacks[0], second), Some(State::Established));
}

/// C30: what belongs to other connections of the same hosts, old or never there, changes no window and no number of this one.
#[test]
fn c30_other_connections_of_the_same_hosts_change_nothing() {
    let (mut net, dialed, accepted) = connected();
    let port = net.stacks[1].connection(accepted).unwrap().ports().remote;
    let numbers = |net: &Net| {
        net.stacks[0]
            .connection(dialed)
            .unwrap()
            .numbers_for_tests()
    };
    let before = numbers(&net);
    let [next, una] = before;
    for other in [port ^ 1, port ^ 2, 8, port.swap_bytes()] {
        for flags in [
            Flags::ACK,
            Flags::FIN | Flags::ACK,
            Flags::SYN | Flags::ACK,
            Flags::RST,
        ] {
            net.inject(0, &packet(end(1, 7), end(0, other), flags, next, una));
            net.inject(0, &packet(end(1, other), end(0, port), flags, next, una));
        }
    }
    net.fetch(0);
    assert_eq!(numbers(&net), before);
    let now = net.now;
    net.stacks[1].release(now, accepted);
    net.wait(SECOND);
    assert_eq!(state(&net.stacks[0], dialed), Some(State::CloseWait));
}

/// C31: a server whose clients vanish in every way gets its places back.
#[test]
fn c31_a_server_gets_its_places_back() {
    let mut config = settings();
    config.max_connections = 4;
    config.connection.user_timeout = Some(SECOND * 60);
    let mut net = Net::new(vec![settings(), config]);
    net.stacks[1].listen(None, Some(7), 4, false).unwrap();
    for round in 0..6 {
        let now = net.now;
        for _ in 0..4 {
            net.stacks[0].connect(now, None, end(1, 7)).unwrap();
        }
        net.wait(SECOND);
        // The clients' host is switched off: its stack forgets everything.
        let mut empty = Net::new(vec![settings()]);
        net.stacks[0] = empty.stacks.remove(0);
        net.loss_percent = 100;
        let now = net.now;
        let mut accepted = 0;
        while let Some((id, _)) = net.stacks[1].accept() {
            accepted += 1;
            net.stacks[1].write(id, b"who is there?").unwrap();
            net.stacks[1].release(now, id);
        }
        assert_eq!(accepted, 4, "round {round}");
        net.wait(SECOND * 300);
        assert_eq!(net.stacks[1].connections(), 0);
        net.loss_percent = 0;
    }
}

/// D3, R24: who takes segments to any address takes none to groups, to all, or to nobody.
#[test]
fn d3_any_address_is_no_group() {
    let mut config = settings();
    config.any_address = true;
    let mut net = Net::new(vec![settings(), config]);
    net.stacks[1].listen(None, None, 100, false).unwrap();
    let to = |address: &str| SocketAddr::new(address.parse().unwrap(), 7);
    for address in [
        "224.0.0.1",
        "239.1.2.3",
        "255.255.255.255",
        "0.0.0.0",
        "240.0.0.1",
    ] {
        net.inject(1, &packet(end(0, 9), to(address), Flags::SYN, 7, 0));
        net.inject(1, &packet(end(0, 9), to(address), Flags::ACK, 7, 7));
    }
    let from = |address: &str| SocketAddr::new(address.parse().unwrap(), 9);
    for (source, address) in [
        ("::", "2001:db8::1"),
        ("ff02::1", "2001:db8::1"),
        ("2001:db8::2", "ff02::1"),
    ] {
        net.inject(1, &packet(from(source), to(address), Flags::SYN, 7, 0));
    }
    assert!(net.fetch(1).is_empty());
    assert_eq!(net.stacks[1].connections(), 0);
    net.inject(
        1,
        &packet(end(0, 9), to("198.51.100.200"), Flags::SYN, 7, 0),
    );
    assert_eq!(net.fetch(1).len(), 1);
}

/// D6, D7, W6, M5: a device that is full, or offers less room than asked for, delays packets and loses none.
#[test]
fn d6_a_device_without_room_loses_nothing() {
    for rooms in [
        &[0_usize, 1, 19, 39, 40, 59, 60, 600, 1499][..],
        &[0],
        &[700, 100],
    ] {
        let mut net = Net::pair();
        net.stacks[1].listen(None, Some(7), 10, false).unwrap();
        let now = net.now;
        let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
        let refused = net.stacks[0].connect(now, None, end(1, 9)).unwrap();
        let data: Vec<u8> = (0..50_000_u32).map(|n| ((n * 11) >> 2) as u8).collect();
        let (mut written, mut back) = (0, Vec::new());
        let mut echoes = Vec::new();
        net.run(SECOND * 20, |net| {
            let stack = &mut net.stacks[0];
            if written < data.len() {
                written += stack.write(id, &data[written..]).unwrap_or(0);
            }
            let mut room = [0; 3000];
            while let Ok(count @ 1..) = stack.read(id, &mut room) {
                back.extend_from_slice(&room[..count]);
            }
            serve(net, 0, &mut echoes);
            for stack in &mut net.stacks {
                for room in rooms {
                    assert_eq!(stack.poll_transmit(net.now, &mut vec![0; *room]), None);
                }
            }
        });
        assert!(back == data, "{} of {}", back.len(), data.len());
        // Nor the answers that belong to no connection.
        let refused = net.stacks[0].connection(refused).unwrap();
        assert_eq!(refused.ended(), Some(CloseReason::Refused));
    }
}

/// G2: a connection from an end to itself (RFC 9293 3.5: a simultaneous open) opens, carries octets, closes, and answers itself for no longer.
#[test]
fn g2_self_connect() {
    let mut net = Net::new(vec![settings()]);
    let now = net.now;
    let id = net.stacks[0]
        .connect(now, Some(end(0, 900)), end(0, 900))
        .unwrap();
    let mut packets = 0;
    let mut carry = |net: &mut Net, time: Duration| {
        let until = net.now + time;
        loop {
            for packet in net.fetch(0) {
                packets += 1;
                assert!(packets < 500, "a war with oneself");
                net.inject(0, &packet);
            }
            let next = net.stacks[0].next_deadline().filter(|at| *at <= until);
            let Some(at) = next else { break };
            net.now = net.now.max(at);
            net.stacks[0].on_timeout(at);
        }
        net.now = until;
    };
    carry(&mut net, SECOND * 5);
    assert_eq!(state(&net.stacks[0], id), Some(State::Established));
    net.stacks[0].write(id, b"to myself").unwrap();
    carry(&mut net, SECOND * 5);
    let mut room = [0; 20];
    assert_eq!(net.stacks[0].read(id, &mut room), Ok(9));
    assert_eq!(&room[..9], b"to myself");
    let now = net.now;
    net.stacks[0].release(now, id);
    carry(&mut net, SECOND * 300);
    assert_eq!(net.stacks[0].connections(), 0);
}

/// G3: no room for another connection is an answer, on both sides, and no accident.
#[test]
fn g3_no_room_is_an_answer() {
    let mut config = settings();
    config.max_connections = 2;
    let mut net = Net::new(vec![config.clone(), config]);
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let now = net.now;
    let first = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    let third = net.stacks[0].connect(now, None, end(1, 7));
    assert_eq!(third, Err(ConnectError::Full));
    net.wait(SECOND);
    net.inject(1, &packet(end(0, 5), end(1, 7), Flags::SYN, 7, 0));
    assert!(net.fetch(1).is_empty());
    assert_eq!(net.stacks[1].stats().overflows, 1);
    assert_eq!(net.stacks[1].connections(), 2);
    // A place that becomes free is a place.
    let now = net.now;
    net.stacks[0].abort(now, first);
    net.stacks[0].release(now, first);
    net.wait(SECOND);
    assert!(net.stacks[0].connect(now, None, end(1, 7)).is_ok());
}

/// R22, W3: whatever ends a connection is told, and every call says so from then on: octets that wait will never leave.
#[test]
fn r22_every_end_is_told() {
    let (mut net, dialed, accepted) = connected();
    net.stacks[0].write(dialed, &[1; 300_000]).unwrap();
    net.loss_percent = 100;
    net.wait(SECOND / 10);
    while net.stacks[0].poll_changed().is_some() {}
    let [next, _] = net.stacks[0]
        .connection(dialed)
        .unwrap()
        .numbers_for_tests();
    let port = net.stacks[0].connection(dialed).unwrap().ports().local;
    net.inject(0, &packet(end(1, 7), end(0, port), Flags::RST, next, 0));
    assert_eq!(net.stacks[0].poll_changed(), Some(dialed));
    let reset = ReadError::Ended(CloseReason::Reset);
    assert_eq!(net.stacks[0].read(dialed, &mut [0; 9]), Err(reset));
    assert!(net.stacks[0].write(dialed, b"x").is_err());
    // A timeout is told as well.
    net.stacks[1].write(accepted, b"x").unwrap();
    while net.stacks[1].poll_changed().is_some() {}
    net.wait(SECOND * 2000);
    assert_eq!(net.stacks[1].poll_changed(), Some(accepted));
    let connection = net.stacks[1].connection(accepted).unwrap();
    assert_eq!(connection.ended(), Some(CloseReason::TimedOut));
}

/// W1: what was written before the connection was let go is delivered, with the end behind it.
#[test]
fn w1_what_was_written_is_delivered_after_release() {
    for loss in [0, 5] {
        let (mut net, dialed, accepted) = connected();
        net.loss_percent = loss;
        let data: Vec<u8> = (0..400_000_u32).map(|n| ((n * 13) >> 4) as u8).collect();
        let written = net.stacks[0].write(dialed, &data).unwrap();
        assert_eq!(written, data.len());
        let now = net.now;
        net.stacks[0].release(now, dialed);
        let (mut read, mut ended) = (Vec::new(), false);
        net.run(SECOND * 60, |net| {
            let mut room = [0; 4000];
            while let Ok(count) = net.stacks[1].read(accepted, &mut room) {
                ended |= count == 0;
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&room[..count]);
            }
        });
        assert!(read == data && ended, "{} octets, end {ended}", read.len());
        assert_eq!(net.stacks[1].connection(accepted).unwrap().ended(), None);
    }
}

/// W4: who aborts is told of the end as everybody is, and the RST leaves, also when the connection is let go at once.
#[test]
fn w4_an_abort_is_told_and_its_reset_leaves() {
    for releases in [false, true] {
        let (mut net, dialed, accepted) = connected();
        let now = net.now;
        net.stacks[0].abort(now, dialed);
        if releases {
            net.stacks[0].release(now, dialed);
        } else {
            assert_eq!(net.stacks[0].poll_changed(), Some(dialed));
        }
        let sent = net.fetch(0);
        assert_eq!(sent.len(), 1);
        let (_, segment) = parse(&sent[0]);
        assert!(segment.header.flags.has(Flags::RST));
        net.inject(1, &sent[0]);
        assert_eq!(net.stacks[1].poll_changed(), Some(accepted));
        let connection = net.stacks[1].connection(accepted).unwrap();
        assert_eq!(connection.ended(), Some(CloseReason::Reset));
        assert_eq!(net.stacks[0].connections(), 0);
    }
}
