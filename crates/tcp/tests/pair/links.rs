//! Two engines against each other: whatever the link does, every octet arrives and both ends learn of the end.

use super::support::{Link, Pair, Side, pattern};
use gapless_recovery::{Ack, Congestion};
use gapless_tcp::{Bbr, CloseReason, Config, Controller, Instant, State};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Where numbers start: where something wraps, or shortly before.
const STARTS: [u32; 6] = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX, u32::MAX - 1460];

fn all_read(pair: &Pair) -> bool {
    pair.sides.iter().all(|side| side.ended)
}

fn is_over(pair: &Pair) -> bool {
    let states = [0, 1].map(|index| pair.state(index));
    states.iter().all(|state| *state == Some(State::Closed))
}

fn assert_whole(pair: &Pair) {
    for index in 0..2 {
        let (read, written) = (&pair.sides[index].read, &pair.sides[1 - index].to_write);
        assert_eq!(read.len(), written.len());
        assert!(read == written, "side {index} read other octets");
    }
}

#[test]
fn both_directions_from_every_start() {
    for (index, start) in STARTS.into_iter().enumerate() {
        for other in STARTS {
            let sides = [
                Side::new(Config::default(), start, pattern(1, 100_000)),
                Side::new(Config::default(), other, pattern(2, 30_000)),
            ];
            let mut pair = Pair::new(Link::CLEAN, index as u64, sides);
            pair.run_until(Duration::from_secs(20), all_read);
            assert_whole(&pair);
            pair.run_until(Duration::from_secs(200), is_over);
            for side in &pair.sides {
                let connection = side.connection.as_ref().unwrap();
                assert_eq!(connection.ended(), Some(CloseReason::Finished));
                assert_eq!(connection.memory(), 0);
            }
        }
    }
}

/// RFC 5681 section 2: acknowledgments that say the same tell of a loss; where nothing is lost there are none.
#[test]
fn nothing_is_sent_again_over_a_clean_link() {
    for sack in [true, false] {
        let config = Config {
            sack,
            ..Config::default()
        };
        let sides = [
            Side::new(config.clone(), 1, pattern(1, 2_000_000)),
            Side::new(config, 2, pattern(2, 300_000)),
        ];
        let mut pair = Pair::new(Link::CLEAN, 1, sides);
        pair.run_until(Duration::from_secs(20), all_read);
        assert_whole(&pair);
        for side in &pair.sides {
            let stats = side.connection.as_ref().unwrap().stats().recovery;
            let troubles = (stats.packets_resent, stats.congestion_events, stats.ptos);
            assert_eq!(troubles, (0, 0, 0), "sack {sack}");
        }
    }
}

fn with_bbr() -> Config {
    Config {
        controller: Some(|recovery| Box::new(Bbr::new(recovery))),
        ..Config::default()
    }
}

/// A controller of the caller's: BBR, which does not take losses by chance for congestion.
#[test]
fn bbr_fills_a_path_that_loses_by_chance() {
    let link = Link {
        delay: Duration::from_millis(25),
        loss: 1,
        ..Link::CLEAN
    };
    let [cubic, bbr] = [Config::default(), with_bbr()].map(|config| {
        let sides = [
            Side::new(config.clone(), 1, pattern(1, 6_000_000)),
            Side::new(config, 2, Vec::new()),
        ];
        let mut pair = Pair::new(link, 1, sides);
        let begin = pair.now;
        pair.run_until(Duration::from_secs(200), all_read);
        assert_whole(&pair);
        pair.now.saturating_duration_since(begin)
    });
    assert!(bbr * 5 < cubic, "{bbr:?}, CUBIC {cubic:?}");
}

/// A window that never changes, and how often it is told that an application paused.
struct Watched;

static PAUSES: AtomicU32 = AtomicU32::new(0);
static PAUSED_SAMPLES: AtomicU32 = AtomicU32::new(0);

impl Controller for Watched {
    fn on_sent(&mut self, _: Instant, _: u64, _: u64) {}
    fn on_ack(&mut self, ack: &Ack<'_>) {
        PAUSED_SAMPLES.fetch_add(u32::from(ack.sent.app_limited), Relaxed);
    }
    fn on_congestion(&mut self, _: &Congestion) {}
    fn on_restart(&mut self, _: Instant) {
        PAUSES.fetch_add(1, Relaxed);
    }
    fn on_persistent_congestion(&mut self, _: Instant) {}
    fn on_spurious_congestion(&mut self, _: Instant) {}
    fn on_mtu(&mut self, _: u16) {}
    fn on_path_change(&mut self, _: Instant) {}
    fn window(&self) -> u64 {
        30_000
    }
    fn ssthresh(&self) -> u64 {
        u64::MAX
    }
}

/// The draft of BBR, 4.1.2.4: what an application writes now and then shows its rate and not the path's, and a sender of a model has to know.
#[test]
fn a_pause_of_the_application_is_told_to_the_controller() {
    let config = Config {
        controller: Some(|_| Box::new(Watched)),
        ..Config::default()
    };
    let sides = [
        Side::new(config, 1, pattern(1, 200)),
        Side::new(Config::default(), 2, Vec::new()),
    ];
    let mut pair = Pair::new(Link::CLEAN, 1, sides);
    pair.sides[0].shuts = false;
    let (mut length, end) = (200, 200_200);
    while length <= 1000 {
        pair.run_until(Duration::from_secs(1), |pair| {
            let sender = pair.sides[0].connection.as_ref().unwrap();
            pair.sides[1].read.len() == length && sender.is_flushed()
        });
        pair.now = pair.now.saturating_add(Duration::from_millis(100));
        pair.sides[0].to_write.extend(pattern(2, 200));
        length += 200;
    }
    let paused = PAUSED_SAMPLES.load(Relaxed);
    assert!(PAUSES.load(Relaxed) >= 4 && paused >= 4, "{paused}");
    // Who has enough to send is not paused, from the second of many windows on.
    let more = end - pair.sides[0].to_write.len();
    pair.sides[0].to_write.extend(pattern(3, more));
    pair.run_until(Duration::from_secs(9), |pair| {
        pair.sides[1].read.len() == end
    });
    let paused = PAUSED_SAMPLES.load(Relaxed) - paused;
    assert!(paused < 25, "{paused}");
}

#[test]
fn bbr_over_bad_links() {
    for seed in 0..100 {
        let mut random = super::support::Random(seed);
        let link = Link {
            delay: Duration::from_micros(random.below(50_000)),
            jitter: Duration::from_micros(random.below(20_000)),
            loss: random.below(20),
            duplicate: random.below(20),
            ..Link::CLEAN
        };
        let sides = [
            Side::new(with_bbr(), 1, pattern(seed, 40_000)),
            Side::new(with_bbr(), 2, pattern(seed + 1, 10_000)),
        ];
        let mut pair = Pair::new(link, seed, sides);
        pair.run_until(Duration::from_secs(600), all_read);
        assert_whole(&pair);
    }
}

#[test]
fn loss_duplication_and_reordering() {
    for seed in 0..300 {
        let mut random = super::support::Random(seed);
        let link = Link {
            delay: Duration::from_micros(random.below(50_000)),
            jitter: Duration::from_micros(random.below(20_000)),
            loss: random.below(30),
            duplicate: random.below(20),
            ..Link::CLEAN
        };
        let mut config = || Config {
            timestamps: random.percent(70),
            sack: random.percent(70),
            window_scale: random.percent(70),
            nagle: random.percent(50),
            pacing: random.percent(50),
            receive_buffer: 1 << (10 + random.below(11)),
            send_buffer: 1 << (10 + random.below(11)),
            user_timeout: None,
            ..Config::default()
        };
        let configs = [config(), config()];
        let sides = configs.map(|config| {
            let start = STARTS[random.below(6) as usize].wrapping_sub(random.below(3000) as u32);
            let length = random.below(60_000) as usize;
            let mut side = Side::new(config, start, pattern(seed, length));
            side.read_size = 1 + random.below(5000) as usize;
            side
        });
        let mut pair = Pair::new(link, seed, sides);
        pair.run_until(Duration::from_secs(4000), all_read);
        assert_whole(&pair);
        pair.run_until(Duration::from_secs(4000), is_over);
    }
}
