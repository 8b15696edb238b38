use core::time::Duration;

use crate::config::Config;
use crate::congestion::testing::ack;
use crate::congestion::{CongestionPhase, Controller, LostPacket};
use crate::rate::{RateSample, SentState};
use crate::rtt::Rtt;
use crate::time::Instant;

use super::cycle::Phase;
use super::{Bbr, UNBOUNDED};

const MTU: u64 = 1200;
const RTT: Duration = Duration::from_millis(50);

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn estimate() -> Rtt {
    let mut rtt = Rtt::new(RTT);
    rtt.sample(at(0), RTT, Duration::ZERO);
    rtt
}

/// One acknowledgement a round, each of a flight that was delivered at `rate` bytes per second.
fn round(bbr: &mut Bbr, number: u64, rate: u64, in_flight: u64) {
    let rtt = estimate();
    let bytes = rate / 20;
    let before = bbr.rounds.next_delivered();
    let mut ack = ack(at(50 * number), bytes, number, number + 1, &rtt);
    ack.delivered = before + bytes;
    ack.sent = SentState {
        delivered: before,
        in_flight: bytes,
        ..SentState::default()
    };
    ack.in_flight = in_flight;
    ack.rtt_sample = Some(RTT);
    ack.rate = Some(RateSample {
        delivered: bytes,
        interval: RTT,
    });
    bbr.on_ack(&ack);
}

/// Past `Startup` and `Drain` on a path of 1.2 MB/s: 60 kB of rate times round trip time.
fn cruising() -> Bbr {
    let mut bbr = Bbr::new(&Config::default());
    for number in 1..8 {
        round(&mut bbr, number, 1_200_000, 60_000);
    }
    assert!(bbr.full_pipe.reached);
    bbr
}

#[test]
fn section_5_3_1_three_rounds_without_growth_end_startup() {
    let mut bbr = Bbr::new(&Config::default());
    for (number, rate) in [(1, 200_000), (2, 400_000), (3, 800_000), (4, 1_200_000)] {
        round(&mut bbr, number, rate, 80_000);
        assert_eq!(bbr.phase, Phase::Startup);
        assert!(bbr.pacing_rate().unwrap() >= rate * 2, "{number}");
    }
    round(&mut bbr, 5, 1_200_000, 80_000);
    round(&mut bbr, 6, 1_210_000, 80_000);
    assert!(bbr.in_slow_start());
    round(&mut bbr, 7, 1_190_000, 80_000);
    assert!(!bbr.in_slow_start());
    assert!(matches!(bbr.phase, Phase::Drain { .. }));
    assert!(bbr.pacing_rate().unwrap() < 1_210_000 * 51 / 100);
    round(&mut bbr, 8, 1_200_000, 50_000);
    assert!(bbr.phase.is_probe_bw(), "{:?}", bbr.phase);
}

#[test]
fn who_watches_is_told_phase_and_bandwidth() {
    let fresh = Bbr::new(&Config::default());
    assert_eq!(fresh.phase(), CongestionPhase::Startup);
    assert_eq!(fresh.bandwidth(), None, "nothing was measured");
    let bbr = cruising();
    assert_eq!(bbr.bandwidth(), Some(1_200_000));
    assert!(
        matches!(
            bbr.phase(),
            CongestionPhase::ProbeBwDown | CongestionPhase::ProbeBwCruise
        ),
        "{:?}",
        bbr.phase()
    );
}

#[test]
fn section_5_6_window_and_rate_follow_the_model() {
    let mut bbr = cruising();
    for number in 8..12 {
        round(&mut bbr, number, 1_200_000, 20_000);
    }
    assert_eq!(bbr.phase, Phase::Cruise);
    assert_eq!(bbr.pacing_rate(), Some(1_200_000 * 99 / 100));
    // Twice the path, and what came at once beyond the rate.
    let window = bbr.window();
    assert!((120_000..=180_000).contains(&window), "{window}");
}

#[test]
fn section_5_5_10_too_much_loss_while_probing_bounds_what_is_in_flight() {
    let mut bbr = cruising();
    bbr.phase = Phase::Up;
    bbr.long_term.is_probe_sample = true;
    let lost = |lost| LostPacket {
        now: at(1000),
        bytes: MTU,
        order: lost / MTU,
        sent: SentState {
            in_flight: 100 * MTU,
            ..SentState::default()
        },
        delivered: 500_000,
        lost,
    };
    bbr.on_lost(&lost(2 * MTU));
    assert_eq!(bbr.long_term.in_flight, UNBOUNDED, "2 % is allowed");
    bbr.on_lost(&lost(3 * MTU));
    assert!(bbr.long_term.in_flight <= 100 * MTU);
    assert_eq!(bbr.phase, Phase::Down);
    // 5.5.11: it was an error.
    bbr.on_spurious_congestion(at(1001));
    assert_eq!(bbr.long_term.in_flight, UNBOUNDED);
    assert_eq!(bbr.phase, Phase::Refill);
}

/// Rounds without a queue, of each of which so many of fifty packets are lost.
fn lossy_rounds(bbr: &mut Bbr, packets: u64) {
    let rtt = estimate();
    let mut lost = 0;
    for number in 8..200_u64 {
        let bytes = 60_000;
        let before = bbr.rounds.next_delivered();
        lost += packets * MTU;
        let mut ack = ack(at(50 * number), bytes, number, number + 1, &rtt);
        ack.delivered = before + bytes;
        ack.lost = lost;
        ack.sent = SentState {
            delivered: before,
            lost: lost - packets * MTU,
            in_flight: bytes,
            app_limited: false,
        };
        ack.in_flight = 40_000;
        ack.rtt_sample = Some(RTT);
        ack.rate = Some(RateSample {
            delivered: bytes,
            interval: RTT,
        });
        bbr.on_lost(&LostPacket {
            now: ack.now,
            bytes: MTU,
            order: number * 10,
            sent: ack.sent,
            delivered: ack.delivered,
            lost,
        });
        bbr.on_ack(&ack);
    }
}

#[test]
fn what_is_lost_without_a_queue_is_chance_and_bounds_nothing() {
    let mut bbr = cruising();
    lossy_rounds(&mut bbr, 3);
    assert!(bbr.bw() > 1_100_000, "{}", bbr.bw());
    // And where a fifth is lost more than by chance, that is congestion.
    assert!(bbr.is_too_much(30_000, 60_000));
}

#[test]
fn what_chance_takes_is_sent_in_addition() {
    // Of 53 packets three, and of 65 fifteen, of which ten percent are made up for.
    for (packets, kept) in [(0, 1.0), (3, 50.0 / 53.0), (15, 0.9)] {
        let mut bbr = cruising();
        lossy_rounds(&mut bbr, packets);
        bbr.pace_with_gain(100);
        let rate = bbr.pacing_rate().unwrap() as f64;
        let expected = bbr.bw() as f64 * 0.99 / kept;
        let error = (rate / expected - 1.0).abs();
        assert!(error < 0.001, "{packets}: {rate} instead of {expected}");
    }
}

#[test]
fn windows_stay_within_their_bounds_whatever_comes() {
    let mut bbr = Bbr::new(&Config {
        max_window: 100 * MTU,
        ..Config::default()
    });
    for number in 1..20 {
        round(&mut bbr, number, u64::MAX / 1_000_000, u64::MAX);
        assert!(bbr.window() <= 100 * MTU && bbr.window() >= 4 * MTU);
    }
    bbr.on_persistent_congestion(at(5000));
    assert_eq!(bbr.window(), 4 * MTU);
    bbr.on_mtu(9000);
    assert!(bbr.window() >= 4 * 9000);
    bbr.on_path_change(at(6000));
    assert!(bbr.in_slow_start());
}
