//! The text form of a profile: what is printed reads back, and what is wrong is named.

use gapless_link::{Aqm, Blackout, Cross, ParseError, Profile, Queue, Share, Spike};
use proptest::prelude::*;
use std::time::Duration;

fn parse(text: &str) -> Result<Profile, ParseError> {
    text.parse()
}

#[test]
fn every_key_is_read() {
    let text = "loss=2%,burst=4,delay=20ms,jitter=5ms,reorder=1%,duplicate=1.5%,corrupt=0.1%,truncate=0.0001%,\
                rate=50mbit,queue=64kib,mtu=1500,blackout=5s+2s/60s+1500us,checksum=off,seed=7";
    let profile = parse(text).unwrap();
    let expected = Profile {
        loss: Share::from_percent(2),
        burst: Some(4),
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(5),
        reorder: Share::from_percent(1),
        duplicate: Share::from_millionths(15_000),
        corrupt: Share::from_millionths(1_000),
        truncate: Share::from_millionths(1),
        rate: Some(50_000_000),
        queue: Some(Queue::Bytes(65_536)),
        mtu: Some(1500),
        blackouts: vec![
            Blackout {
                from: Duration::from_secs(5),
                length: Duration::from_secs(2),
            },
            Blackout {
                from: Duration::from_secs(60),
                length: Duration::from_micros(1500),
            },
        ],
        checksum: false,
        seed: 7,
        ..Profile::default()
    };
    assert_eq!(profile, expected);
    assert_eq!(profile.to_string(), text);
}

#[test]
fn what_a_bottleneck_and_a_burst_may_have_is_read() {
    let text = "loss=2%,burst=4,within=60%,stray=0.1%,jitter=5ms,order=free,spike=5s+500ms:2s/9s+1s:1ms,rate=50mbit,\
                aqm=codel,cross=5mbit:200ms+300ms";
    let profile = parse(text).unwrap();
    let spike = |from, length, adds| Spike {
        time: Blackout {
            from: Duration::from_secs(from),
            length: Duration::from_millis(length),
        },
        adds: Duration::from_millis(adds),
    };
    let expected = Profile {
        loss: Share::from_percent(2),
        burst: Some(4),
        within: Share::from_percent(60),
        stray: Share::from_millionths(1_000),
        jitter: Duration::from_millis(5),
        keeps_order: false,
        spikes: vec![spike(5, 500, 2_000), spike(9, 1_000, 1)],
        rate: Some(50_000_000),
        aqm: Aqm::Codel,
        cross: Some(Cross {
            rate: 5_000_000,
            bursts: Some((Duration::from_millis(200), Duration::from_millis(300))),
        }),
        ..Profile::default()
    };
    assert_eq!(profile, expected);
    assert_eq!(profile.to_string(), text);
    assert_eq!(
        parse("rate=1mbit,aqm=tail,cross=1kbit")
            .unwrap()
            .to_string(),
        "rate=1mbit,cross=1kbit"
    );
}

#[test]
fn other_ways_to_write_the_same() {
    assert_eq!(parse("").unwrap(), Profile::default());
    assert_eq!(parse("  ").unwrap(), Profile::default());
    assert_eq!(parse("loss=0").unwrap(), Profile::default());
    assert_eq!(parse("loss=0%,delay=0,seed=0,checksum=on").err(), None);
    assert_eq!(
        parse(" loss = 2 % , delay = 1.5ms ").unwrap(),
        parse("loss=2.0%,delay=1500us").unwrap()
    );
    assert_eq!(
        parse("rate=0.05gbit,queue=1.5kb").unwrap(),
        parse("queue=1500b,rate=50000kbit").unwrap()
    );
    assert_eq!(
        parse("rate=1mbit,queue=0.1s").unwrap().to_string(),
        "rate=1mbit,queue=100ms"
    );
}

#[test]
fn errors_name_the_key_the_value_and_the_cure() {
    let message = |text: &str| parse(text).unwrap_err().to_string();
    let unknown = message("los=2%");
    assert!(
        unknown.contains("`los`") && unknown.contains("loss, burst, within"),
        "{unknown}"
    );
    assert_eq!(message("loss"), "`loss` needs a value: loss=2%");
    assert_eq!(
        message("delay=1s,rate="),
        "`rate` needs a value: rate=50mbit"
    );
    assert_eq!(message("seed=1,seed=1"), "`seed` is given twice");
    assert_eq!(
        message("loss=2"),
        "`2` does not do for `loss`, which takes a share from 0% to 100% in steps of 0.0001%, such as 2%"
    );
    assert!(message("burst=3").contains("needs `loss`"));
    assert!(message("queue=1ms").contains("needs `rate`"));
    assert!(message("checksum=off").contains("needs `corrupt`"));
    assert!(message("aqm=codel").contains("needs `rate`"));
    assert!(message("cross=1mbit").contains("needs `rate`"));
    assert!(message("order=free").contains("needs `jitter`"));
    assert!(message("loss=1%,within=50%").contains("`within` needs `burst`"));
    assert!(message("loss=1%,stray=5%").contains("`stray` needs `burst`"));
    assert_eq!(
        parse("loss=60%,burst=9,within=50%"),
        Err(ParseError::LossAboveWithin)
    );
    assert_eq!(parse("loss=1%,,delay=1s"), Err(ParseError::Empty));
    assert_eq!(parse("loss=1%,"), Err(ParseError::Empty));
    assert_eq!(
        parse("loss=90%,burst=8"),
        Err(ParseError::BurstTooShort {
            burst: 8,
            needed: 9
        })
    );
    assert!(parse("loss=90%,burst=9").is_ok());
    assert!(parse("loss=100%,burst=1").is_ok());
}

#[test]
fn values_out_of_range_or_of_another_kind_are_refused() {
    for text in [
        "loss=100.0001%",
        "loss=-1%",
        "loss=2%%",
        "loss=%",
        "burst=0",
        "burst=1.5",
        "delay=20",
        "delay=1001s",
        "delay=1min",
        "jitter=-5ms",
        "jitter=0.1ns",
        "rate=50",
        "rate=999bit",
        "rate=1001gbit",
        "rate=1mbit,queue=5",
        "rate=1mbit,queue=2000mb",
        "mtu=67",
        "mtu=65536",
        "blackout=5s",
        "blackout=5s+2s/",
        "blackout=5s+2",
        "checksum=maybe",
        "corrupt=1%,checksum=",
        "seed=18446744073709551616",
        "seed=-1",
        "LOSS=2%",
        "jitter=1ms,order=none",
        "spike=5s+1s",
        "spike=5s:1s",
        "rate=1mbit,aqm=red",
        "rate=1mbit,cross=1mbit:1s",
        "rate=1mbit,cross=1mbit:1us+1s",
    ] {
        let refused = parse(text);
        assert!(refused.is_err(), "{text} was read as {refused:?}");
    }
}

fn share() -> impl Strategy<Value = Share> {
    prop_oneof![
        Just(Share::NONE),
        Just(Share::ALL),
        (0..=1_000_000_u32).prop_map(Share::from_millionths)
    ]
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..=1_000_u64).prop_map(Duration::from_secs),
        (0..=1_000_000_u64).prop_map(Duration::from_micros),
        (0..=1_000_000_000_000_u64).prop_map(Duration::from_nanos),
    ]
}

prop_compose! {
    fn profile()(
        (loss, reorder, duplicate, corrupt, truncate) in (share(), share(), share(), share(), share()),
        (delay, jitter) in (time(), time()),
        (within, stray) in (500_000..=1_000_000_u32, share()),
        (keeps_order, codel, spikes) in (any::<bool>(), any::<bool>(), proptest::collection::vec((time(), time(), time()), 0..3)),
        cross in proptest::option::of((1_000..=1_000_000_000_u64, proptest::option::of((1..1_000_u64, 1..1_000_u64)))),
        burst in proptest::option::of(500_000..=1_000_000_u32),
        rate in proptest::option::of(1_000..=1_000_000_000_000_u64),
        queue in proptest::option::of(prop_oneof![
            time().prop_map(Queue::Time),
            (0..=1_000_000_000_u64).prop_map(Queue::Bytes),
        ]),
        mtu in proptest::option::of(68..=65_535_u16),
        blackouts in proptest::collection::vec((time(), time()), 0..4),
        checksum: bool,
        seed: u64,
    ) -> Profile {
        let is_bursty = loss != Share::NONE && loss.millionths() < 900_000;
        Profile {
            burst: burst.filter(|_| is_bursty),
            within: if is_bursty && burst.is_some() { Share::from_millionths(within.max(loss.millionths() + 10_000)) } else { Share::ALL },
            stray: if is_bursty && burst.is_some() { stray } else { Share::NONE },
            keeps_order: keeps_order || jitter.is_zero(),
            spikes: spikes.into_iter().map(|(from, length, adds)| Spike { time: Blackout { from, length }, adds }).collect(),
            aqm: if codel && rate.is_some() { Aqm::Codel } else { Aqm::DropTail },
            cross: cross.filter(|_| rate.is_some()).map(|(rate, bursts)| Cross {
                rate,
                bursts: bursts.map(|(on, off)| (Duration::from_millis(on), Duration::from_millis(off))),
            }),
            queue: queue.filter(|_| rate.is_some()),
            blackouts: blackouts.into_iter().map(|(from, length)| Blackout { from, length }).collect(),
            checksum: checksum || (corrupt == Share::NONE && truncate == Share::NONE),
            loss, reorder, duplicate, corrupt, truncate, delay, jitter, rate, mtu, seed,
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(profile in profile()) {
        let text = profile.to_string();
        prop_assert_eq!(parse(&text), Ok(profile), "{}", text);
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "[a-z0-9=,.%+/ é-]{0,40}") {
        if let Ok(profile) = parse(&text) {
            prop_assert_eq!(parse(&profile.to_string()), Ok(profile));
        }
    }
}
