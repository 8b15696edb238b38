//! The public functions of `gapless_tcp::Connection`.

use core::hint::black_box;
use core::net::SocketAddr;
use core::num::NonZeroU16;
use core::time::Duration;
use gapless_tcp::wire::{Ecn, Header, Segment, Verify};
use gapless_tcp::{
    Addresses, Arrival, Config, Connection, Id, Instant, Opening, Stack, StackConfig, State, Train,
    Trains, Transmit,
};

#[unsafe(no_mangle)]
fn tcp_open(
    config: &Config,
    now: Instant,
    opening: &Opening,
    syn: Option<&Header>,
) -> Option<Connection> {
    match syn {
        Some(syn) => Some(Connection::accept(config, now, opening, syn)),
        None => Some(Connection::connect(config, now, opening)),
    }
}

#[unsafe(no_mangle)]
fn tcp_segment(connection: &mut Connection, now: Instant, segment: &Segment<'_>) {
    connection.on_segment(now, segment);
    connection.on_marked_segment(now, segment, black_box(Ecn::Congestion));
    black_box(connection.ecn());
}

#[unsafe(no_mangle)]
fn tcp_transmit(
    connection: &mut Connection,
    now: Instant,
    addresses: Addresses,
    buffer: &mut [u8],
    verify: Verify,
) -> Option<usize> {
    connection.on_timeout(now);
    black_box(connection.next_deadline(now));
    connection.poll_transmit(now, addresses, buffer, verify)
}

#[unsafe(no_mangle)]
fn tcp_calls(connection: &mut Connection, now: Instant, octets: &mut [u8], call: u8) -> usize {
    match call {
        0 => connection.shutdown(now),
        1 => connection.close(now),
        2 => connection.abort(now),
        3 => {
            connection.set_user_timeout(now, Some(black_box(Duration::from_secs(7))));
            connection.advertise_user_timeout(black_box(Duration::from_secs(8)));
        }
        _ => {}
    }
    let written = connection.write(octets).unwrap_or(0);
    let read = connection.read(octets).unwrap_or(0);
    black_box(connection.peek());
    black_box(connection.is_flushed());
    black_box((connection.blocked_on(now), connection.stats()));
    written.max(read)
}

#[unsafe(no_mangle)]
fn tcp_questions(connection: &Connection, state: State, now: Instant) -> u64 {
    black_box((state.is_synchronized(), state.takes_data()));
    black_box(state.may_write());
    black_box((connection.state(), connection.ended(), connection.ports()));
    black_box((connection.memory(), connection.path_mtu()));
    let _ = black_box(connection.check(now));
    black_box((
        connection.numbers_for_tests(),
        connection.delivered_for_tests(),
        connection.stamps_for_tests(),
    ));
    black_box((connection.may_read(), connection.may_write()));
    black_box((connection.has_nagle(), connection.unacknowledged()));
    connection.readable()
}

#[unsafe(no_mangle)]
fn tcp_stack_packets(stack: &mut Stack, now: Instant, packet: &[u8], room: &mut [u8]) -> usize {
    stack.handle(now, packet);
    stack.on_timeout(now);
    black_box((stack.next_deadline(), stack.stats()));
    black_box((stack.connections(), stack.memory()));
    let peer = core::net::IpAddr::V6(core::net::Ipv6Addr::LOCALHOST);
    black_box((stack.held(), stack.held_by(black_box(peer))));
    stack.poll_transmit(now, room).unwrap_or(0)
}

#[unsafe(no_mangle)]
fn tcp_stack_device(
    stack: &mut Stack,
    now: Instant,
    packets: &[(&[u8], Verify)],
    room: &mut [u8],
    local: SocketAddr,
) -> Option<Transmit> {
    black_box(stack.is_ours(local.ip()));
    let arrivals = packets.iter().map(|(packet, checksum)| Arrival {
        checksum: *checksum,
        ..Arrival::from(*packet)
    });
    stack.handle_batch(now, arrivals);
    black_box(Trains::default());
    stack.poll_train(now, room)
}

#[unsafe(no_mangle)]
fn tcp_train(
    connection: &mut Connection,
    now: Instant,
    addresses: Addresses,
    buffer: &mut [u8],
    most: NonZeroU16,
) -> Option<Train> {
    connection.poll_train(now, addresses, buffer, black_box(Verify::Here), most)
}

#[unsafe(no_mangle)]
fn tcp_stack_open(
    config: &StackConfig,
    seed: [u64; 2],
    now: Instant,
    local: SocketAddr,
    remote: SocketAddr,
) -> Stack {
    let mut stack = Stack::new(config.clone(), seed);
    let _ = black_box(stack.add_address(local.ip()));
    let listener = stack.listen(Some(local.ip()), Some(local.port()), 5, true);
    let _ = black_box(stack.connect(now, Some(local), remote));
    if let Ok(listener) = listener {
        stack.unlisten(now, listener);
    }
    stack.remove_address(now, local.ip());
    stack
}

#[unsafe(no_mangle)]
fn tcp_stack_calls(stack: &mut Stack, now: Instant, id: Id, octets: &mut [u8], call: u8) -> usize {
    match call {
        0 => stack.shutdown(now, id),
        1 => stack.release(now, id),
        2 => stack.abort(now, id),
        3 => stack.answer(now, id),
        4 => {
            stack.set_user_timeout(now, id, Some(black_box(Duration::from_secs(7))));
            stack.advertise_user_timeout(id, black_box(Duration::from_secs(8)));
        }
        5 => stack.set_nagle(id, false),
        _ => {}
    }
    black_box((stack.accept(), stack.poll_changed()));
    if let Some(listener) = stack.poll_offered() {
        black_box(stack.accept_from(listener));
    }
    black_box((stack.connection(id).is_some(), stack.may_transmit()));
    black_box((stack.tuple(id), id.index()));
    let written = stack.write(id, octets).unwrap_or(0);
    written.max(stack.read(id, octets).unwrap_or(0))
}
