use super::*;
use crate::plan::{MS, StreamPlan};
use crate::{Report, run_traced};
use gapless_link::Profile;

fn traced(path: &str, streams: Vec<StreamPlan>, trace: &mut Trace) -> Report {
    let path: Profile = path.parse().unwrap();
    let scenario = Scenario::plain(1, &path, streams);
    run_traced(&scenario, trace).unwrap()
}

const BAD: &str = "loss=3%,burst=2,delay=20ms,jitter=3ms,reorder=2%,duplicate=2%,corrupt=0.5%,rate=5mbit,queue=10ms,blackout=700ms+300ms";

#[test]
fn a_trace_agrees_with_the_links_and_the_engines() {
    let mut trace = Trace::new();
    let report = traced(BAD, vec![StreamPlan::bulk(3_000_000, 400_000)], &mut trace);
    assert_eq!(trace.datagrams_left_out(), 0);
    for (host, link) in report.links.iter().enumerate() {
        let of_host = || trace.datagrams().iter().filter(|it| it.sender == host);
        let totals = trace.hosts()[host].totals;
        assert_eq!(totals.datagrams, link.offered);
        assert_eq!(of_host().count() as u64, link.offered);
        assert_eq!(totals.bytes, link.offered_bytes);
        assert_eq!(totals.arrived, link.delivered);
        assert_eq!(totals.twice, link.duplicated);
        assert_eq!(totals.held, link.reordered);
        let damaged = link.corrupted + link.truncated;
        let lost = [
            link.lost,
            link.queue_dropped,
            link.blacked_out,
            link.too_large,
            damaged,
            link.aqm_dropped,
        ];
        assert_eq!(totals.lost, lost);
        assert!(link.lost > 0 && link.blacked_out > 0, "{link:?}");
        let lost = of_host().filter(|it| it.fate.lost.is_some());
        assert_eq!(lost.count() as u64, totals.all_lost());
        let arrivals = of_host().flat_map(|it| [it.arrived, it.copy]);
        assert_eq!(arrivals.flatten().count() as u64, link.delivered);
        let stats = trace.hosts()[host].stats.as_ref().unwrap();
        let resent = stats.recovery.packets_resent;
        assert_eq!(totals.again, resent, "host {host}");
        assert!(totals.needless <= totals.again && stats.recovery.packets_lost > 0);
    }
    assert!(report.links[0].queue_dropped > 0);
}

#[test]
fn what_was_sent_arrives_and_is_acknowledged_to_the_last_byte() {
    for version in [gapless_udx::Version::V3, gapless_udx::Version::V2] {
        let path: Profile = BAD.parse().unwrap();
        let streams = vec![
            StreamPlan::bulk(600_000, 30_000),
            StreamPlan::bulk(50_000, 70_000),
        ];
        let scenario = Scenario::plain(2, &path, streams)
            .speaking(gapless_udx::VersionChoice::Only(version))
            .beginning_at((1 << 32) - 50_000, (1 << 32) - 20);
        let mut trace = Trace::new();
        run_traced(&scenario, &mut trace).unwrap();
        for (host, bytes) in [650_000, 100_000].into_iter().enumerate() {
            let sent = &trace.hosts()[host].sent;
            assert_eq!(sent.bytes(), bytes, "{version:?}, host {host}");
            assert_eq!(sent.acked().last().map(|it| it.1), Some(bytes));
            assert_eq!(sent.arrived().last().map(|it| it.1), Some(bytes));
            for (id, stream) in sent.streams() {
                let end = stream.end();
                assert_eq!(stream.acked().last().map(|it| it.1), Some(end), "{id:x}");
                assert_eq!(stream.arrived().last().map(|it| it.1), Some(end));
                let mut limits = stream.limits().iter().map(|it| it.1);
                assert!(limits.all(|limit| limit > (1 << 32) - 50_000), "{id:x}");
            }
        }
        let data = trace.datagrams().iter().flat_map(Datagram::data);
        let mut new: Vec<_> = data.filter(|data| !data.again).collect();
        // First transmissions are all bytes, each once.
        new.sort_by_key(|data| (data.stream, data.range.start));
        let bytes = new.iter().map(|data| data.range.end - data.range.start);
        assert_eq!(bytes.sum::<u64>(), 750_000);
        let neighbours = new
            .windows(2)
            .filter(|pair| pair[0].stream == pair[1].stream);
        for pair in neighbours {
            assert!(pair[0].range.end <= pair[1].range.start, "{pair:?}");
        }
    }
}

#[test]
fn the_engines_tell_their_losses_and_timeouts() {
    let mut trace = Trace::new();
    traced(BAD, vec![StreamPlan::bulk(1_000_000, 10)], &mut trace);
    let dialer = &trace.hosts()[0];
    let stats = dialer.stats.as_ref().unwrap();
    let told = |wanted: fn(&gapless_udx::RecoveryEvent) -> u64| {
        let happenings = trace.happenings().iter().filter(|it| it.host == Some(0));
        let sum = happenings.map(|it| match &it.what {
            What::Engine(Event::Recovery(event)) => wanted(event),
            _ => 0,
        });
        sum.sum::<u64>()
    };
    let lost = told(|event| match event {
        gapless_udx::RecoveryEvent::Lost { packets, .. } => *packets,
        _ => 0,
    });
    let events = told(|event| {
        u64::from(matches!(
            event,
            gapless_udx::RecoveryEvent::CongestionEvent { .. }
        ))
    });
    assert_eq!(lost, stats.recovery.packets_lost);
    assert_eq!(events, stats.recovery.congestion_events);
    assert!(lost > 0 && events > 0);
    let last = dialer.samples.last().unwrap();
    assert_eq!((last.acked, last.in_flight), (1_000_000, 0));
    assert!(dialer.samples.iter().any(|it| it.ssthresh.is_some()));
    assert!(dialer.samples.iter().any(|it| it.in_recovery));
}

#[test]
fn a_blackout_is_a_stall_with_its_reason_and_its_packets() {
    let mut trace = Trace::new();
    let path = "delay=20ms,rate=20mbit,blackout=300ms+900ms";
    traced(path, vec![StreamPlan::bulk(2_000_000, 10)], &mut trace);
    let stalls = trace.hosts()[0].waits.stalls();
    let longest = stalls
        .iter()
        .max_by_key(|stall| stall.to - stall.from)
        .unwrap();
    assert!((250 * MS..=360 * MS).contains(&longest.from), "{longest:?}");
    assert!(longest.to > 1200 * MS && longest.went_on);
    assert!(
        longest.timeouts > 0 && longest.datagrams[0].1 > 0,
        "{longest:?}"
    );
    let around = longest.around.iter().map(|&id| trace.datagram(id).unwrap());
    let lost = around.filter(|it| it.fate.lost == Some(Loss::Blackout));
    assert!(lost.count() > 3);
    let waited: Time = longest.reasons.iter().map(|(_, time)| time).sum();
    assert_eq!(waited, longest.to - longest.from);
}

#[test]
fn a_slow_reader_is_what_the_writer_waits_for() {
    let mut plan = StreamPlan::bulk(3_000_000, 10);
    plan.there.read.pause = Some(crate::Pause {
        every: 100_000,
        time: 200 * MS,
    });
    let mut trace = Trace::new();
    let report = traced("delay=5ms", vec![plan], &mut trace);
    let totals = trace.hosts()[0].waits.totals();
    let (reason, time) = totals[0];
    assert_eq!(
        reason,
        gapless_udx::BlockedOn::PeerStreamWindow,
        "{totals:?}"
    );
    assert!(time > report.lasted / 2);
    let all: Time = totals.iter().map(|(_, time)| time).sum();
    assert!(all <= report.lasted);
}

#[test]
fn a_long_run_stays_under_the_bound_and_keeps_what_matters() {
    let mut small = Trace::keeping(2_000);
    let path = "loss=1%,delay=10ms,rate=50mbit";
    let plan = StreamPlan::bulk(12_000_000, 10);
    let report = traced(path, vec![plan], &mut small);
    let mut whole = Trace::new();
    traced(path, vec![plan], &mut whole);
    let sent = report.links[0].offered + report.links[1].offered;
    assert!(sent > 10_000, "{sent}");
    assert!(
        small.datagrams().len() <= 2_500,
        "{}",
        small.datagrams().len()
    );
    assert_eq!(
        small.datagrams_left_out(),
        sent - small.datagrams().len() as u64
    );
    assert!(!small.left_out_notable());
    for (small, whole) in small.hosts().iter().zip(whole.hosts()) {
        assert_eq!(small.totals, whole.totals);
        assert_eq!(small.sent.acked().last(), whole.sent.acked().last());
        assert_eq!(small.sent.arrived().last(), whole.sent.arrived().last());
    }
    let notable = |trace: &Trace| -> Vec<u64> {
        let notable = trace.datagrams().iter().filter(|it| it.is_notable());
        notable.map(|it| it.id).collect()
    };
    assert_eq!(notable(&small), notable(&whole));
    assert!(notable(&whole).len() > 100);
}

#[test]
fn what_a_managed_queue_takes_is_lost_by_the_end() {
    let mut trace = Trace::new();
    let path = "delay=20ms,rate=10mbit,queue=300ms,aqm=codel";
    let report = traced(path, vec![StreamPlan::bulk(3_000_000, 10)], &mut trace);
    let link = report.links[0];
    assert!(link.aqm_dropped > 0);
    let totals = trace.hosts()[0].totals;
    assert_eq!(totals.all_lost(), link.aqm_dropped + link.queue_dropped);
    let lost = trace
        .datagrams()
        .iter()
        .filter(|it| it.fate.lost == Some(Loss::Managed));
    assert_eq!(lost.count() as u64, totals.all_lost());
}

#[test]
fn looking_on_changes_nothing() {
    for seed in 0..20 {
        let scenario = Scenario::from_seed(seed);
        let mut trace = Trace::new();
        let traced = run_traced(&scenario, &mut trace).unwrap();
        let plain = crate::run(&scenario).unwrap();
        assert_eq!((traced.lasted, traced.steps), (plain.lasted, plain.steps));
        assert_eq!(traced.links, plain.links);
        assert!(trace.outcome().is_some_and(Result::is_ok));
        assert!(trace.lasted() >= traced.lasted);
    }
}
