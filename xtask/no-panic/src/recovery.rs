//! The public functions of `gapless-recovery`, for a small copied payload as UDX has it and for one that
//! owns memory. The state behind `&mut` is unknown to the compiler, too.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;
use core::ops::RangeInclusive;
use core::time::Duration;
use gapless_recovery::{
    Ack, Bbr, Class, Config, Controller, Cubic, Echo, Instant, NewReno, Number, RateSample,
    RecordId, Recovery, Rtt, Run,
};

/// What a packet of UDX carried.
#[derive(Clone, Copy)]
struct Piece {
    _stream: u32,
    _offset: u64,
    _len: u16,
    _flags: u8,
}

#[unsafe(no_mangle)]
fn recovery_time(now: Instant, then: Instant, nanos: u64, duration: Duration) {
    black_box((Instant::from_nanos(nanos), now.as_nanos()));
    black_box((now.saturating_add(duration), now.saturating_sub(duration)));
    black_box((
        now.saturating_duration_since(then),
        now + duration,
        now - duration,
    ));
}

#[unsafe(no_mangle)]
fn recovery_values(rtt: &Rtt, rate: &RateSample) {
    black_box((
        rtt.latest(),
        rtt.smoothed(),
        rtt.variation(),
        rtt.min(),
        rtt.samples(),
    ));
    black_box(rate.bytes_per_second());
}

#[unsafe(no_mangle)]
fn recovery_delivery_rate(ack: &Ack<'_>) -> u64 {
    ack.delivery_rate()
}

#[unsafe(no_mangle)]
fn recovery_controllers(config: &Config) -> (Cubic, NewReno, Bbr) {
    (Cubic::new(config), NewReno::new(config), Bbr::new(config))
}

macro_rules! recovery {
    ($($name:ident: $piece:ty,)+) => {
        $(mod $name {
            use super::*;

            #[unsafe(export_name = concat!("recovery_", stringify!($name), "_new"))]
            fn new(config: &Config, now: Instant) -> Recovery<$piece> {
                Recovery::new(config, now)
            }

            #[unsafe(export_name = concat!("recovery_", stringify!($name), "_with_controller"))]
            fn with_controller(
                config: &Config,
                now: Instant,
                controller: Box<dyn Controller>,
            ) -> Recovery<$piece> {
                Recovery::with_controller(config, now, controller)
            }

            #[unsafe(export_name = concat!("recovery_", stringify!($name), "_questions"))]
            fn questions(recovery: &Recovery<$piece>, now: Instant, bytes: u32) {
                super::questions(recovery, now, bytes);
            }

            #[unsafe(export_name = concat!("recovery_", stringify!($name), "_send"))]
            fn send(
                recovery: &mut Recovery<$piece>,
                now: Instant,
                sent: super::Sent,
                pieces: [$piece; 4],
            ) {
                super::send(recovery, now, &sent, pieces);
            }

            #[unsafe(export_name = concat!("recovery_", stringify!($name), "_receive"))]
            fn receive(
                recovery: &mut Recovery<$piece>,
                now: Instant,
                delay: Duration,
                ranges: &[RangeInclusive<u64>],
                largest: u64,
            ) {
                super::receive(recovery, now, delay, ranges, largest);
            }

            #[unsafe(export_name = concat!("recovery_", stringify!($name), "_pass_time"))]
            fn pass_time(recovery: &mut Recovery<$piece>, now: Instant, sample: Duration) {
                super::pass_time(recovery, now, sample);
            }

            #[unsafe(export_name = concat!("recovery_", stringify!($name), "_drop"))]
            fn drop(recovery: Recovery<$piece>) {
                core::mem::drop(recovery);
            }
        })+
    };
}

recovery! {
    pieces: Piece,
    owned: Vec<u8>,
}

/// The arguments of the functions below.
struct Sent {
    class: Class,
    bytes: u32,
    span: u64,
    id: RecordId,
}

fn questions<R>(recovery: &Recovery<R>, now: Instant, bytes: u32) {
    black_box((
        recovery.may_send(now, bytes),
        recovery.owes_probe(),
        recovery.has_room(),
        recovery.next_number(),
        recovery.oldest_number(),
    ));
    black_box((
        recovery.next_lost(),
        recovery.probe_candidate(),
        recovery.probe_of_either_end(),
        recovery.probe_of(|_| black_box(true)),
        recovery.next_deadline(),
    ));
    black_box((
        recovery.bytes_in_flight(),
        recovery.congestion_window(),
        recovery.ssthresh(),
    ));
    black_box((
        recovery.phase(),
        recovery.bandwidth(),
        recovery.pacing_rate(),
    ));
    black_box((
        recovery.rtt(),
        recovery.mtu(),
        recovery.stats(),
        recovery.memory(),
    ));
    black_box((
        recovery.has_unacknowledged(),
        recovery.unacknowledged(),
        recovery.ack_work(),
    ));
    black_box((
        recovery.pto(),
        recovery.pto_base(),
        recovery.pto_count(),
        recovery.in_recovery(),
        recovery.check().is_ok(),
    ));
    for record in recovery.records() {
        black_box(record);
    }
}

fn send<R>(recovery: &mut Recovery<R>, now: Instant, sent: &Sent, pieces: [R; 4]) {
    let Sent {
        class,
        bytes,
        span,
        id,
    } = *sent;
    let [a, b, c, d] = pieces;
    if let Ok(Number { number, record }) = recovery.commit(now, class, bytes, a) {
        black_box((number, record));
    }
    let _ = black_box(recovery.commit_span(now, class, bytes, span, b));
    let _ = black_box(recovery.resend(now, id, bytes));
    let _ = black_box(recovery.split(id, c, d));
    recovery.on_app_limited();
    black_box(recovery.poll_mtu_probe(now));
}

#[unsafe(no_mangle)]
fn recovery_commit_run(
    recovery: &mut Recovery<Piece>,
    now: Instant,
    run: Run,
    what: fn(u64) -> Piece,
) -> u64 {
    recovery.commit_run(now, run, what)
}

#[unsafe(no_mangle)]
fn recovery_split_span(
    recovery: &mut Recovery<Piece>,
    id: RecordId,
    head_span: u64,
    head: Piece,
    tail: Piece,
) -> bool {
    recovery.split_span(id, head_span, head, tail).is_ok()
}

#[unsafe(no_mangle)]
fn recovery_restart(recovery: &mut Recovery<Piece>, config: &Config, now: Instant) {
    recovery.restart(config, now);
}

/// Only TCP has peers of these kinds.
#[unsafe(no_mangle)]
fn recovery_plain_peers(recovery: &mut Recovery<Piece>, now: Instant, number: u64) {
    recovery.set_cumulative();
    recovery.set_forward();
    black_box(recovery.prefers_new());
    recovery.on_duplicate(now);
    recovery.send_rest(|record| record._offset < number);
    recovery.rewind(now, number);
    recovery.on_congestion_told(now);
    recovery.on_size_limit(now, black_box(1300), black_box(true));
    recovery.set_initial_window(black_box(10));
    recovery.on_reported_twice(now, number..=number);
    let echo = Echo {
        number,
        before: now,
    };
    let ranges = core::iter::once(number..=number);
    let acked = |what: Piece| {
        black_box(what);
    };
    let taken = recovery.on_echoing_ack(now, number, Duration::ZERO, ranges, Some(echo), acked);
    let _ = black_box(taken);
}

fn receive<R>(
    recovery: &mut Recovery<R>,
    now: Instant,
    delay: Duration,
    ranges: &[RangeInclusive<u64>],
    largest: u64,
) {
    let acked = |what| drop(black_box(what));
    let _ = black_box(recovery.on_ack(now, largest, delay, ranges.iter().cloned(), acked));
}

fn pass_time<R>(recovery: &mut Recovery<R>, now: Instant, sample: Duration) {
    recovery.on_timeout(now);
    recovery.on_rtt_sample(now, sample);
    recovery.on_echo(now, sample);
    recovery.set_min_pto(sample);
    recovery.set_ack_delay_share(4);
    recovery.skip_number();
    recovery.on_path_change(now);
    recovery.abandon(|what| black_box(what as *const R as usize) == 0);
    while let Some(event) = recovery.poll_event() {
        black_box(event);
    }
}
