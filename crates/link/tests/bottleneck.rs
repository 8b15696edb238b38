//! What waits before a bottleneck: how long, behind whom, and what is dropped.

use gapless_link::{Link, Profile};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// Sends a packet of `size` bytes, headers included, every `gap` for `lasting`; when each was sent and how long it took, and the
/// share of them that came.
fn times(profile: &str, size: usize, gap: u64, lasting: u64) -> (Vec<(u64, u64)>, f64) {
    let profile: Profile = profile.parse().unwrap();
    let mut link = Link::new(&profile, 0);
    let mut times = Vec::new();
    let mut sent = 0;
    for now in (0..lasting).step_by(gap as usize) {
        while let Some(at) = link.next_delivery().filter(|&at| at <= now) {
            let delivery = link.poll(at);
            times.extend(delivery.map(|delivery| (delivery.tag, delivery.at - delivery.tag)));
        }
        link.send(now, &vec![0; size - 28], now);
        sent += 1;
    }
    while let Some(at) = link.next_delivery() {
        let delivery = link.poll(at);
        times.extend(delivery.map(|delivery| (delivery.tag, delivery.at - delivery.tag)));
    }
    let counters = *link.counters();
    assert_eq!(
        counters.delivered + counters.queue_dropped + counters.aqm_dropped,
        sent
    );
    let share = times.len() as f64 / sent as f64;
    (times, share)
}

/// Of those sent in the second half.
fn mean(times: &[(u64, u64)]) -> f64 {
    let late = &times[times.len() / 2..];
    late.iter().map(|(_, took)| *took as f64).sum::<f64>() / late.len() as f64 / MS as f64
}

/// A little more than the line can carry: 1500 bytes take 1.2 ms at 10 Mbit/s.
const TOO_FAST: u64 = 1_180_000;

#[test]
fn a_tail_keeps_packets_waiting_and_codel_does_not() {
    let (tail, tail_share) = times("rate=10mbit,queue=300ms", 1500, TOO_FAST, 60 * SECOND);
    let (codel, codel_share) = times(
        "rate=10mbit,queue=300ms,aqm=codel",
        1500,
        TOO_FAST,
        60 * SECOND,
    );
    assert!((290.0..301.0).contains(&mean(&tail)), "{}", mean(&tail));
    assert!((3.0..20.0).contains(&mean(&codel)), "{}", mean(&codel));
    // Both carry what the line can: 1.18 / 1.2 = 0.983.
    for share in [tail_share, codel_share] {
        assert!((0.978..0.992).contains(&share), "{share}");
    }
}

#[test]
fn codel_leaves_alone_what_fits() {
    let (fits, share) = times("rate=10mbit,aqm=codel", 1500, 1_300_000, 10 * SECOND);
    assert_eq!(share, 1.0);
    assert!(fits.iter().all(|(_, took)| *took == 1_200_000));
    // A burst that is gone within the interval is no standing queue.
    let mut link = Link::new(&"rate=10mbit,aqm=codel".parse().unwrap(), 0);
    (0..40).for_each(|_| link.send(0, &[0; 1472], ()));
    while let Some(at) = link.next_delivery() {
        let _ = link.poll(at);
    }
    assert_eq!(link.counters().delivered, 40);
}

#[test]
fn codel_does_not_care_how_often_it_is_asked() {
    let course = |step: u64| {
        let mut link = Link::new(
            &"rate=10mbit,aqm=codel,cross=6mbit:50ms+20ms,loss=2%,seed=5"
                .parse()
                .unwrap(),
            0,
        );
        let mut course = Vec::new();
        for now in 0..4_000_u64 {
            link.send(now * MS, &[0; 1000], now);
            if now % step == 0 {
                course.extend(std::iter::from_fn(|| link.poll(now * MS)).map(|it| (it.at, it.tag)));
            }
        }
        course.extend(std::iter::from_fn(|| link.poll(100 * SECOND)).map(|it| (it.at, it.tag)));
        (course, *link.counters())
    };
    let (often, seldom) = (course(1), course(1_500));
    assert!(often.1.aqm_dropped > 20, "{:?}", often.1);
    assert_eq!(often, seldom);
}

#[test]
fn a_new_profile_lets_go_what_waits() {
    let mut link = Link::new(&"rate=1mbit,aqm=codel".parse().unwrap(), 0);
    (0..5).for_each(|index| link.send(0, &[0; 972], index));
    link.set_profile(&"delay=1s".parse().unwrap());
    let came: Vec<(u64, i32)> = std::iter::from_fn(|| link.poll(SECOND))
        .map(|it| (it.at / MS, it.tag))
        .collect();
    assert_eq!(came, [(8, 0), (16, 1), (24, 2), (32, 3), (40, 4)]);
}

#[test]
fn others_are_in_the_way() {
    let wait = |cross: &str| {
        let (times, share) = times(
            &format!("rate=10mbit,queue=100ms{cross},seed=2"),
            100,
            10 * MS,
            20 * SECOND,
        );
        (mean(&times), share)
    };
    // 100 bytes take 0.08 ms.
    assert_eq!(wait(""), (0.08, 1.0));
    let (half, share) = wait(",cross=5mbit");
    assert!(
        (0.2..1.4).contains(&half) && share == 1.0,
        "{half}, {share}"
    );
    // More than the line can carry: the queue is always full, or short of a packet's room.
    let (full, share) = wait(",cross=12mbit");
    assert!((98.0..101.0).contains(&full), "{full}");
    assert!(share > 0.5, "{share}");
    let (codel, _) = wait(",cross=10100kbit,aqm=codel");
    assert!((1.0..30.0).contains(&codel), "{codel}");
}

#[test]
fn others_may_come_and_go() {
    let profile = "rate=10mbit,queue=50ms,cross=20mbit:200ms+300ms,seed=3";
    let (times, _) = times(profile, 100, MS, 60 * SECOND);
    let waited = times.iter().filter(|(_, took)| *took > MS).count() as f64 / times.len() as f64;
    // Two fifths of the time they send, and as long as the queue is deep it empties.
    assert!((0.40..0.60).contains(&waited), "{waited}");
    let turns = times
        .windows(2)
        .filter(|pair| pair[0].1 <= MS && pair[1].1 > MS)
        .count();
    assert!((80..160).contains(&turns), "{turns}");
}

#[test]
fn a_long_rest_costs_nothing() {
    let mut link = Link::new(&"rate=10gbit,cross=9gbit".parse().unwrap(), 0);
    for now in [0, 1_000_000 * SECOND, u64::MAX - 1, u64::MAX, 5] {
        link.send(now, &[0; 100], ());
    }
    let mut link = Link::new(&"rate=10gbit,cross=9gbit,aqm=codel".parse().unwrap(), 0);
    for now in [0, 1_000_000 * SECOND, u64::MAX - 1, u64::MAX, 5] {
        link.send(now, &[0; 100], ());
        let _ = link.poll(now);
    }
}
