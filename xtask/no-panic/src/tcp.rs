//! The public functions of `gapless_tcp::Connection`.

use core::hint::black_box;
use gapless_tcp::wire::{Header, Segment, Verify};
use gapless_tcp::{Addresses, Config, Connection, Instant, Opening, State};

#[unsafe(no_mangle)]
fn tcp_open(
    config: &Config,
    now: Instant,
    opening: &Opening,
    syn: Option<&Header>,
) -> Option<Connection> {
    match syn {
        Some(syn) => Some(Connection::accept(config.clone(), now, opening, syn)),
        None => Some(Connection::connect(config.clone(), now, opening)),
    }
}

#[unsafe(no_mangle)]
fn tcp_segment(connection: &mut Connection, now: Instant, segment: &Segment<'_>) {
    connection.on_segment(now, segment);
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
        _ => {}
    }
    let written = connection.write(octets).unwrap_or(0);
    let read = connection.read(octets).unwrap_or(0);
    black_box(connection.peek());
    black_box(connection.is_flushed());
    written.max(read)
}

#[unsafe(no_mangle)]
fn tcp_questions(connection: &Connection, state: State, now: Instant) -> u64 {
    black_box((state.is_synchronized(), state.takes_data()));
    black_box((state.awaits_fin(), state.may_write()));
    black_box((connection.state(), connection.ended(), connection.ports()));
    black_box(connection.memory());
    let _ = black_box(connection.check(now));
    black_box((
        connection.numbers_for_tests(),
        connection.stamps_for_tests(),
    ));
    black_box(connection.unacknowledged());
    connection.readable()
}
