//! Listeners, refusals, cookies, TIME-WAIT, ICMP.

use super::net::*;
use gapless_tcp::wire::{
    Checksum, Ecn, Flags, Header, Options, Packet, PacketHeader, Segment, Verify,
};
use gapless_tcp::{CloseReason, ConnectError, ListenError, ReadError, StackConfig, State};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn packet(
    from: SocketAddr,
    to: SocketAddr,
    flags: Flags,
    seq: u32,
    ack: u32,
) -> Vec<u8> {
    let header = Header {
        source_port: from.port(),
        destination_port: to.port(),
        sequence: seq.into(),
        acknowledgment: ack.into(),
        flags,
        window: 1000,
        urgent: 0,
        options: Options::NONE,
    };
    let ip = PacketHeader {
        source: from.ip(),
        destination: to.ip(),
        protocol: 6,
        ecn: Ecn::NotCapable,
        hop_limit: 64,
    };
    let mut octets = vec![0; ip.len() + header.len()];
    ip.write(&mut octets, Verify::Here).unwrap();
    let segment = &mut octets[ip.len()..];
    header
        .write(from.ip(), to.ip(), segment, Verify::Here)
        .unwrap();
    octets
}

pub(crate) fn parse(octets: &[u8]) -> (Packet<'_>, Segment<'_>) {
    let packet = Packet::parse(octets, Verify::Here).unwrap();
    let segment = Segment::parse(
        packet.source,
        packet.destination,
        packet.payload,
        Verify::Here,
    )
    .unwrap();
    (packet, segment)
}

#[test]
fn an_echo_goes_there_and_back() {
    for host in [false, true] {
        let mut net = Net::pair();
        net.loss_percent = if host { 5 } else { 0 };
        net.stacks[1].listen(None, Some(7), 10, false).unwrap();
        let now = net.now;
        let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
        let data: Vec<u8> = (0..300_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
        assert_eq!(net.echo(0, id, &data, SECOND * 60), data);
        let now = net.now;
        net.stacks[0].release(now, id);
        net.wait(SECOND * 200);
        for stack in &net.stacks {
            assert_eq!(stack.connections(), 0);
        }
    }
}

/// RFC 9293 3.10.7.1.
#[test]
fn nobody_listens() {
    let mut net = Net::pair();
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 9)).unwrap();
    net.wait(SECOND);
    let connection = net.stacks[0].connection(id).unwrap();
    assert_eq!(connection.ended(), Some(CloseReason::Refused));
    assert_eq!(
        net.stacks[0].read(id, &mut [0; 9]),
        Err(ReadError::Ended(CloseReason::Refused))
    );
    // Exactly one answer: RST, acknowledging the SYN.
    let answers: Vec<_> = net.log.iter().filter(|(host, _)| *host == 1).collect();
    assert_eq!(answers.len(), 1);
    let (_, segment) = parse(&answers[0].1);
    assert_eq!(segment.header.flags, Flags::RST | Flags::ACK);
    // A stray ACK draws a RST at its acknowledgment, a stray RST nothing.
    net.inject(1, &packet(end(0, 5), end(1, 9), Flags::ACK, 7, 1234));
    let sent = net.fetch(1);
    let (_, segment) = parse(&sent[0]);
    assert_eq!(segment.header.flags, Flags::RST);
    assert_eq!(segment.header.sequence.raw(), 1234);
    net.inject(1, &packet(end(0, 5), end(1, 9), Flags::RST, 7, 0));
    assert!(net.fetch(1).is_empty());
}

/// D3, D4, R24: what cannot be answered makes no state and no answer; what is not ours neither.
#[test]
fn unanswerable_addresses() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, None, 10, false).unwrap();
    for source in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "240.1.2.3"] {
        let source = SocketAddr::new(source.parse().unwrap(), 5);
        net.inject(1, &packet(source, end(1, 7), Flags::SYN, 7, 0));
    }
    for destination in ["224.0.0.1", "255.255.255.255", "192.0.2.77"] {
        let destination = SocketAddr::new(destination.parse().unwrap(), 5);
        net.inject(1, &packet(end(0, 1), destination, Flags::SYN, 7, 0));
    }
    assert!(net.fetch(1).is_empty());
    assert_eq!(net.stacks[1].connections(), 0);
    assert_eq!(net.stacks[1].stats().dropped, 7);
}

/// C25: who finds no room in the queue is not refused, and let in later.
#[test]
fn a_full_backlog_drops_and_does_not_refuse() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 2, false).unwrap();
    let now = net.now;
    let ids: Vec<_> = (0..5)
        .map(|_| net.stacks[0].connect(now, None, end(1, 7)).unwrap())
        .collect();
    net.wait(SECOND / 2);
    let mut accepted = 0;
    for _ in 0..3 {
        let before = accepted;
        while net.stacks[1].accept().is_some() {
            accepted += 1;
        }
        assert!(accepted - before <= 2, "more than the backlog waited");
        net.wait(SECOND * 8);
    }
    assert_eq!(accepted, 5);
    for id in ids {
        let connection = net.stacks[0].connection(id).unwrap();
        assert_eq!(connection.state(), State::Established);
    }
}

/// Strangers who send SYNs and nothing else keep nobody out, however short the queue.
#[test]
fn a_flood_of_syns_leaves_the_queue_to_those_who_come() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 2, false).unwrap();
    for port in 1000..2000 {
        net.inject(1, &packet(end(0, port), end(1, 7), Flags::SYN, 7, 0));
        net.fetch(1);
    }
    let most = StackConfig::default().max_half_open;
    assert_eq!(net.stacks[1].connections(), most);
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    let data = vec![42; 50_000];
    assert_eq!(net.echo(0, id, &data, SECOND * 20), data);
}

/// RFC 4987: with no room for half-open connections SYNs cost nothing, and connections work.
#[test]
fn cookies_under_pressure() {
    let config = StackConfig {
        max_half_open: 0,
        ..settings()
    };
    let mut net = Net::new(vec![settings(), config]);
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    for port in 1000..2000 {
        net.inject(1, &packet(end(0, port), end(1, 7), Flags::SYN, 7, 0));
        assert_eq!(net.fetch(1).len(), 1);
    }
    assert_eq!(net.stacks[1].connections(), 0);
    // A guessed one is nothing while one may come back, and refused afterwards.
    net.inject(1, &packet(end(0, 1000), end(1, 7), Flags::ACK, 8, 77));
    assert!(net.fetch(1).is_empty());
    net.wait(SECOND * 130);
    net.inject(1, &packet(end(0, 1000), end(1, 7), Flags::ACK, 8, 77));
    let sent = net.fetch(1);
    assert_eq!(parse(&sent[0]).1.header.flags, Flags::RST);
    assert_eq!(net.stacks[1].connections(), 0);
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    let data = vec![42; 50_000];
    assert_eq!(net.echo(0, id, &data, SECOND * 20), data);
}

/// RFC 4987 3.6: a SYN is answered by a cookie, and a late copy of it comes when there is room to remember one. The peer goes on with the
/// cookie, and the half-open connection with another number does not keep it out.
#[test]
fn a_cookie_comes_back_although_a_copy_of_the_syn_was_remembered() {
    let config = StackConfig {
        max_half_open: 1,
        ..settings()
    };
    let mut net = Net::new(vec![settings(), config]);
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    net.inject(1, &packet(end(0, 999), end(1, 7), Flags::SYN, 7, 0));
    net.fetch(1);
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    let syn = net.fetch(0).remove(0);
    net.inject(1, &syn);
    let cookie = net.fetch(1).remove(0);
    assert_eq!(net.stacks[1].stats().cookies, 1);
    // The stranger gives up.
    net.inject(1, &packet(end(0, 999), end(1, 7), Flags::RST, 8, 0));
    net.inject(1, &syn);
    assert_eq!(net.fetch(1).len(), 1, "an answer, which is lost");
    assert_eq!(net.stacks[1].stats().cookies, 1);
    net.inject(0, &cookie);
    assert_eq!(net.stacks[0].write(id, b"hello"), Ok(5));
    net.wait(SECOND / 10);
    let (accepted, _) = net.stacks[1].accept().unwrap();
    assert_eq!(net.stacks[1].read(accepted, &mut [0; 9]), Ok(5));
    // And one is being opened no longer.
    net.inject(1, &packet(end(0, 998), end(1, 7), Flags::SYN, 7, 0));
    assert_eq!(net.stacks[1].stats().cookies, 1);
}

/// RFC 9293 3.4.1: an old copy of a SYN opens another connection than the first one although the clock has not moved, and what belonged to
/// the first one is nothing to it.
#[test]
fn initial_numbers_move_on_while_the_clock_stands() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let (peer, ours) = (end(0, 1000), end(1, 7));
    let mut opened = || {
        net.inject(1, &packet(peer, ours, Flags::SYN, 7, 0));
        let answers = net.fetch(1);
        let initial = u32::from(parse(&answers[0]).1.header.sequence);
        net.inject(1, &packet(peer, ours, Flags::RST, 8, 0));
        assert_eq!(net.stacks[1].connections(), 0);
        initial
    };
    let first = opened();
    assert_ne!(first, opened());
    net.inject(1, &packet(peer, ours, Flags::SYN, 7, 0));
    net.fetch(1);
    let old = packet(peer, ours, Flags::ACK, 8, first.wrapping_add(1));
    net.inject(1, &old);
    assert!(net.stacks[1].accept().is_none());
    assert_eq!(parse(&net.fetch(1)[0]).1.header.flags, Flags::RST);
    // Who dials the same end again has another number, too.
    let dialed = [(); 2].map(|()| {
        let (now, local) = (net.now, Some(end(0, 2000)));
        let id = net.stacks[0].connect(now, local, end(1, 9)).unwrap();
        let initial = parse(&net.fetch(0)[0]).1.header.sequence;
        net.stacks[0].abort(now, id);
        net.stacks[0].release(now, id);
        initial
    });
    assert_ne!(dialed[0], dialed[1]);
}

/// What is held was promised not to be answered: with no room for half-open connections either. A cookie of before and a decision of
/// the application's would be two answers with two numbers.
#[test]
fn held_syns_get_no_cookies() {
    let config = StackConfig {
        max_half_open: 0,
        ..settings()
    };
    let mut net = Net::new(vec![settings(), config]);
    net.stacks[1].listen(None, Some(7), 2, true).unwrap();
    for port in 1000..1010 {
        net.inject(1, &packet(end(0, port), end(1, 7), Flags::SYN, 7, 0));
        assert!(net.fetch(1).is_empty(), "nobody has decided");
    }
    assert_eq!(net.stacks[1].connections(), 2, "the backlog");
    let now = net.now;
    let (id, _) = net.stacks[1].accept().unwrap();
    net.stacks[1].answer(now, id);
    let answer = net.fetch(1).remove(0);
    assert_eq!(parse(&answer).1.header.flags, Flags::SYN | Flags::ACK);
    assert_eq!(net.stacks[1].stats().cookies, 0);
}

/// A proxy: any address, any port, and no answer before it has decided.
#[test]
fn held_syns_wait_for_the_decision() {
    let config = StackConfig {
        any_address: true,
        ..settings()
    };
    let mut net = Net::new(vec![settings(), config]);
    net.stacks[1].listen(None, None, 10, true).unwrap();
    let anywhere: SocketAddr = "203.0.113.5:443".parse().unwrap();
    let now = net.now;
    let taken = net.stacks[0].connect(now, None, anywhere).unwrap();
    let refused = net.stacks[0]
        .connect(now, None, "203.0.113.6:80".parse().unwrap())
        .unwrap();
    net.wait(SECOND / 10);
    assert!(
        net.log.iter().all(|(host, _)| *host == 0),
        "nobody answered"
    );
    let (first, tuple) = net.stacks[1].accept().unwrap();
    assert_eq!(tuple.local, anywhere);
    let (second, _) = net.stacks[1].accept().unwrap();
    let now = net.now;
    net.stacks[1].answer(now, first);
    net.stacks[1].release(now, second);
    net.wait(SECOND / 10);
    let state = |net: &Net, id| net.stacks[0].connection(id).unwrap().state();
    assert_eq!(state(&net, taken), State::Established);
    assert_eq!(
        net.stacks[0].connection(refused).unwrap().ended(),
        Some(CloseReason::Refused)
    );
    assert_eq!(net.stacks[1].write(first, b"hello"), Ok(5));
    net.wait(SECOND / 10);
    assert_eq!(net.stacks[0].read(taken, &mut [0; 9]), Ok(5));
}

/// Devices that compute TCP's checksum leave that of the IP header to whoever writes it.
#[test]
fn the_ip_header_has_its_checksum_whatever_the_device_does() {
    let config = StackConfig {
        checksums: gapless_tcp::Checksums {
            send: Verify::Device,
            receive: Verify::Device,
        },
        ..settings()
    };
    let mut net = Net::new(vec![config, settings()]);
    let now = net.now;
    net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    let syn = net.fetch(0).remove(0);
    assert!(Packet::parse(&syn, Verify::Here).is_ok());
    // And so has an answer that belongs to no connection.
    net.inject(0, &packet(end(1, 9), end(0, 9), Flags::SYN, 1, 0));
    let refusal = net.fetch(0).remove(0);
    assert!(Packet::parse(&refusal, Verify::Here).is_ok());
}

#[test]
fn what_must_not_be_guessed_is_not_printed() {
    let seed = [0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210];
    let stack = gapless_tcp::Stack::new(settings(), seed);
    let printed = format!("{stack:?} {stack:#x?}");
    for secret in seed {
        assert!(!printed.contains(&secret.to_string()));
        assert!(!printed.contains(&format!("{secret:x}")));
    }
    assert!(!printed.contains("key"));
}

/// Who listens in several places takes what came to one of them, and is told of each arrival once.
#[test]
fn each_listener_has_a_queue_of_its_own() {
    let mut net = Net::pair();
    let listeners = [7, 8].map(|port| net.stacks[1].listen(None, Some(port), 10, false).unwrap());
    assert_eq!(net.stacks[1].poll_offered(), None);
    let now = net.now;
    for port in [7, 8, 7] {
        net.stacks[0].connect(now, None, end(1, port)).unwrap();
    }
    net.wait(SECOND / 10);
    let mut offered = [net.stacks[1].poll_offered(), net.stacks[1].poll_offered()];
    offered.sort_by_key(|listener| *listener != Some(listeners[0]));
    assert_eq!(offered, listeners.map(Some));
    assert_eq!(net.stacks[1].poll_offered(), None);
    let mut ports = |listener| {
        let accepted = std::iter::from_fn(|| net.stacks[1].accept_from(listener));
        let tuples = accepted.map(|(_, tuple)| tuple.local.port());
        tuples.collect::<Vec<_>>()
    };
    assert_eq!(ports(listeners[1]), [8]);
    assert_eq!(ports(listeners[0]), [7, 7]);
    assert_eq!(ports(listeners[1]), []);
    assert!(net.stacks[1].accept().is_none());
}

/// What a handle that many share asks before it lets somebody wait.
#[test]
fn a_connection_tells_whether_a_call_would_wait() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    assert!(!net.stacks[0].may_transmit());
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    assert!(net.stacks[0].may_transmit());
    net.wait(SECOND / 10);
    assert!(!net.stacks[0].may_transmit());
    let (other, tuple) = net.stacks[1].accept().unwrap();
    assert_eq!(net.stacks[1].tuple(other), Some(tuple));
    assert_eq!(
        net.stacks[0].tuple(id).map(|it| it.local),
        Some(tuple.remote)
    );
    let asks = |net: &Net, host: usize, id| {
        let connection = net.stacks[host].connection(id).unwrap();
        (connection.may_read(), connection.may_write())
    };
    assert_eq!(asks(&net, 0, id), (false, true));
    while net.stacks[0].write(id, &[7; 4096]).is_ok() {}
    assert_eq!(asks(&net, 0, id), (false, false));
    net.wait(SECOND / 10);
    assert_eq!(asks(&net, 1, other), (true, true));
    let now = net.now;
    net.stacks[0].shutdown(now, id);
    // It says that it is shut down.
    assert_eq!(asks(&net, 0, id), (false, true));
    net.stacks[1].abort(now, other);
    assert_eq!(
        net.stacks[1].connection(other).map(|it| it.may_write()),
        Some(true)
    );
    net.wait(SECOND / 10);
    assert_eq!(asks(&net, 0, id), (true, true));
}

/// RFC 896: a small segment waits for the answer to another, or does not.
#[test]
fn nagle_is_switched_while_the_connection_lives() {
    for waits in [true, false] {
        let mut net = Net::pair();
        net.stacks[1].listen(None, Some(7), 10, false).unwrap();
        let now = net.now;
        let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
        net.wait(SECOND / 10);
        net.stacks[0].set_nagle(id, waits);
        assert_eq!(net.stacks[0].connection(id).unwrap().has_nagle(), waits);
        for _ in 0..3 {
            net.stacks[0].write(id, b"x").unwrap();
            net.log.clear();
            net.wait(Duration::from_millis(1));
        }
        let sent = net.log.iter().filter(|(host, _)| *host == 0).count();
        assert_eq!(sent, usize::from(!waits));
    }
}

/// RFC 9293 3.4.2, RFC 6191: late segments are answered, and a newer SYN between the same ends begins anew.
#[test]
fn time_wait_answers_and_can_be_reused() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let now = net.now;
    let local = end(0, 50_000);
    let id = net.stacks[0].connect(now, Some(local), end(1, 7)).unwrap();
    net.wait(SECOND / 10);
    let (other, _) = net.stacks[1].accept().unwrap();
    // The acceptor closes first, so it is the one that waits.
    let now = net.now;
    net.stacks[1].release(now, other);
    net.wait(SECOND / 10);
    let now = net.now;
    assert_eq!(net.stacks[0].read(id, &mut [0; 9]), Ok(0));
    net.stacks[0].release(now, id);
    net.wait(SECOND / 10);
    assert_eq!(net.stacks[0].connections(), 0);
    assert_eq!(net.stacks[1].connections(), 1);
    // The FIN of the dialer again: acknowledged.
    let mut fins = net
        .log
        .iter()
        .filter(|(host, octets)| *host == 0 && parse(octets).1.header.flags.has(Flags::FIN));
    let fin = fins.next_back().unwrap().1.clone();
    net.inject(1, &fin);
    let sent = net.fetch(1);
    assert_eq!(parse(&sent[0]).1.header.flags, Flags::ACK);
    // The same ends once more.
    let now = net.now;
    let id = net.stacks[0].connect(now, Some(local), end(1, 7)).unwrap();
    let data = vec![1; 1000];
    assert_eq!(net.echo(0, id, &data, SECOND * 5), data);
}

/// C27: a peer that forgot the connection dials again; it is told to forget by a RST, and gets in.
#[test]
fn half_open_connections_are_cleared() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let now = net.now;
    let local = end(0, 50_001);
    net.stacks[0].connect(now, Some(local), end(1, 7)).unwrap();
    net.wait(SECOND / 10);
    assert!(net.stacks[1].accept().is_some());
    // The dialer's machine starts anew.
    let mut anew = gapless_tcp::Stack::new(settings(), [5, 6]);
    anew.add_address(address(0)).unwrap();
    net.stacks[0] = anew;
    let now = net.now;
    let id = net.stacks[0].connect(now, Some(local), end(1, 7)).unwrap();
    net.wait(SECOND * 5);
    let state = net.stacks[0].connection(id).unwrap().state();
    assert_eq!(state, State::Established);
}

fn icmp(kind: u8, code: u8, value: u32, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&value.to_be_bytes());
    message.extend_from_slice(&quoted[..28]);
    let mut sum = Checksum::new();
    sum.add(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());
    let router: IpAddr = "203.0.113.1".parse().unwrap();
    let header = PacketHeader {
        source: router,
        destination: address(0),
        protocol: 1,
        ecn: Ecn::NotCapable,
        hop_limit: 60,
    };
    let mut octets = vec![0; header.len()];
    octets.extend_from_slice(&message);
    header.write(&mut octets, Verify::Here).unwrap();
    octets
}

/// RFC 5461, RFC 5927: hard errors end a dial and no connection; what is not in flight means nothing; sizes have a floor.
#[test]
fn icmp_errors() {
    let mut net = Net::pair();
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    let syn = net.fetch(0).remove(0);
    let mut forged = syn.clone();
    forged[24..28].copy_from_slice(&[1, 2, 3, 4]);
    net.inject(0, &icmp(3, 3, 0, &forged));
    net.inject(0, &icmp(3, 1, 0, &syn));
    let connection = net.stacks[0].connection(id).unwrap();
    assert_eq!(connection.state(), State::SynSent);
    net.inject(0, &icmp(3, 3, 0, &syn));
    let connection = net.stacks[0].connection(id).unwrap();
    assert_eq!(connection.ended(), Some(CloseReason::Refused));

    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    net.wait(SECOND / 10);
    net.stacks[0].write(id, &[1; 20_000]).unwrap();
    let data = net.fetch(0);
    assert!(data.iter().any(|packet| packet.len() == 1500));
    net.inject(0, &icmp(3, 3, 0, &data[0]));
    assert_eq!(
        net.stacks[0].connection(id).unwrap().state(),
        State::Established
    );
    for (mtu, longest) in [(1400, 1400), (9000, 1400), (600, 600), (0, 576)] {
        net.wait(SECOND * 60);
        // What is quoted is in flight: it was fetched and is lost.
        net.stacks[0].write(id, &[2; 3000]).unwrap();
        let lost = net.fetch(0).pop().unwrap();
        net.inject(0, &icmp(3, 4, mtu, &lost));
        net.log.clear();
        net.wait(SECOND * 3);
        let sent = net.log.iter().filter(|(host, _)| *host == 0);
        let seen = sent.map(|(_, packet)| packet.len()).max().unwrap_or(0);
        assert!((100..=longest).contains(&seen), "{seen} after {mtu}");
    }
}

/// G17, RFC 6528, RFC 6056: numbers differ by both ends, advance with time, and ports have no order.
#[test]
fn isn_differs_per_tuple_and_advances() {
    let mut net = Net::pair();
    let mut numbers = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..20 {
        let now = net.now;
        net.stacks[0].connect(now, None, end(1, 7)).unwrap();
        let syn = net.fetch(0).remove(0);
        let (_, segment) = parse(&syn);
        numbers.push(segment.header.sequence.raw());
        ports.push(segment.header.source_port);
    }
    for list in [
        &numbers,
        &ports.iter().map(|port| u64::from(*port)).collect(),
    ] {
        let mut sorted: Vec<u64> = list.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 20);
    }
    // The same ends later: further on by 64 ns a step.
    let again = |after: u64| {
        let mut net = Net::pair();
        net.now += Duration::from_millis(after);
        let now = net.now;
        net.stacks[0]
            .connect(now, Some(end(0, 5)), end(1, 7))
            .unwrap();
        let syn = net.fetch(0).remove(0);
        parse(&syn).1.header.sequence.raw() as u32
    };
    let advanced = again(1000).wrapping_sub(again(0));
    assert_eq!(advanced, 15_625_000);
}

/// RFC 9293 3.4.1: an old copy of a SYN meets nobody who remembers it, and what it opens has numbers that the last connection did not use,
/// although that one sent 500,000 octets a second.
#[test]
fn an_old_syn_opens_a_connection_with_fresh_numbers() {
    let mut net = Net::pair();
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    let data = vec![5; 100_000];
    assert_eq!(net.echo(0, id, &data, SECOND / 5), data);
    assert_eq!(net.stacks[1].connections(), 0, "it is over there");
    let from = |host: usize| net.log.iter().filter(move |(sender, _)| *sender == host);
    let syn = from(0).next().unwrap().1.clone();
    let (_, last) = from(1).next_back().unwrap();
    let used = parse(last).1.header.sequence.raw() as u32;
    net.inject(1, &syn);
    let answers = net.fetch(1);
    let (_, answer) = parse(&answers[0]);
    assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
    let ahead = (answer.header.sequence.raw() as u32).wrapping_sub(used);
    assert!((1..1 << 31).contains(&ahead), "{ahead}");
}

/// RFC 1337: that answer meets TIME-WAIT, which says where it is; the half-open connection refuses that by a RST, and TIME-WAIT stays,
/// whether the application still holds the connection or not.
#[test]
fn an_old_syn_does_not_end_time_wait() {
    for releases in [false, true] {
        let mut net = Net::pair();
        net.stacks[1].listen(None, Some(7), 10, false).unwrap();
        let now = net.now;
        let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
        assert_eq!(net.echo(0, id, b"short", SECOND), b"short");
        let now = net.now;
        if releases {
            net.stacks[0].release(now, id);
        }
        let syn = net.log[0].1.clone();
        net.inject(1, &syn);
        let before = net.log.len();
        net.wait(SECOND / 2);
        let reset = net.log[before..]
            .iter()
            .any(|(host, packet)| *host == 1 && parse(packet).1.header.flags.has(Flags::RST));
        assert!(reset, "the half-open one is refused");
        assert_eq!(net.stacks[0].connections(), 1, "released: {releases}");
        assert_eq!(net.stacks[0].connection(id).is_none(), releases);
    }
}

#[test]
fn errors_name_their_cause() {
    let mut net = Net::pair();
    let now = net.now;
    let stack = &mut net.stacks[0];
    stack.listen(None, Some(7), 10, false).unwrap();
    assert_eq!(
        stack.listen(None, Some(7), 10, false),
        Err(ListenError::InUse)
    );
    let mut dial = |local: Option<SocketAddr>, remote: &str| {
        stack.connect(now, local, remote.parse().unwrap()).err()
    };
    assert_eq!(dial(None, "0.0.0.0:7"), Some(ConnectError::BadAddress));
    assert_eq!(dial(None, "192.0.2.9:0"), Some(ConnectError::BadAddress));
    assert_eq!(dial(None, "[2001:db8::1]:7"), Some(ConnectError::NoAddress));
    let local = Some(end(0, 4000));
    assert_eq!(dial(local, "192.0.2.9:7"), None);
    assert_eq!(dial(local, "192.0.2.9:7"), Some(ConnectError::InUse));
    let mut small = gapless_tcp::Stack::new(
        StackConfig {
            max_connections: 1,
            ..settings()
        },
        [1, 2],
    );
    small.add_address(address(0)).unwrap();
    assert!(small.connect(now, None, end(1, 7)).is_ok());
    assert_eq!(small.connect(now, None, end(1, 7)), Err(ConnectError::Full));
}

/// C29: an address that is no longer ours sends nothing.
#[test]
fn a_removed_address_falls_silent() {
    let mut net = Net::pair();
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    net.fetch(0);
    net.stacks[0].remove_address(now, address(0));
    assert!(net.fetch(0).is_empty());
    assert!(net.stacks[0].connection(id).unwrap().ended().is_some());
}
