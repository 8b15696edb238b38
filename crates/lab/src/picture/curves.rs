//! The numbers of one engine over time: window, round trip time, rate; and what it waited for and did.

use super::plot::{Axis, Chart, Color, Row, Series, Shape, Span, Strip, Unit};
use super::setting::{GROUP, Setting, is_timeout, seconds};
use super::words::{HOSTS, REPAIRING, phase, waiting};
use crate::plan::{SECOND, Time};
use crate::trace::{Sample, What};

/// What both engines waited for and did, and when the path was down.
pub(super) fn strips(setting: &Setting<'_>) -> String {
    let mut rows = Vec::new();
    for (host, name) in HOSTS.iter().enumerate() {
        let waits = setting.host(host).waits.spans();
        if waits.is_empty() {
            continue;
        }
        let span = |wait: &crate::trace::Wait| {
            let (reason, color) = waiting(wait.reason);
            span(wait.from, wait.to, reason, color)
        };
        rows.push(Row {
            label: format!("{name} waits"),
            spans: joined(waits.iter().map(span)),
        });
        if is_sender(setting, host) {
            rows.push(Row {
                label: format!("{name} does"),
                spans: states(setting, host),
            });
        }
    }
    let downs: Vec<Span> = (0..2)
        .flat_map(|host| setting.downs(host))
        .map(|(from, to)| span(from, to, "the path is down", Color::Red))
        .collect();
    if !downs.is_empty() {
        rows.push(Row {
            label: "path".into(),
            spans: downs,
        });
    }
    let strip = Strip {
        title: "What each engine waited for and what its congestion control did".into(),
        x: setting.time_axis(),
        group: Some(GROUP.into()),
        rows,
    };
    strip.figure("Upper strip: what the engine waited for before it sent more. Lower strip: what its congestion control did.")
}

/// The charts of one engine that sent data.
pub(super) fn charts(setting: &Setting<'_>, host: usize) -> String {
    if setting.host(host).samples.is_empty() {
        return String::new();
    }
    [
        windows(setting, host),
        round_trips(setting, host),
        rates(setting, host),
    ]
    .concat()
}

/// Whether an engine sent enough for its curves to tell something.
pub(super) fn is_sender(setting: &Setting<'_>, host: usize) -> bool {
    setting.host(host).sent.bytes() >= LEAST_BYTES
}

fn windows(setting: &Setting<'_>, host: usize) -> String {
    let samples: Vec<&Sample> = setting.host(host).samples.iter().collect();
    let most = |of: fn(&Sample) -> u64| samples.iter().map(|it| of(it)).max().unwrap_or(0);
    let used = most(|it| it.in_flight).max(1);
    // A window that is never used up would press what is used into a line at the bottom.
    let top = most(|it| it.window).min(used.saturating_mul(4)).max(used) as f64;
    // How far the window is from what the path holds says more than its fine structure, if both can be seen.
    let held = path_holds(setting, host).filter(|&held| held < top * 6.0);
    let top = held.unwrap_or(0.0).max(top);
    let y = Axis::linear("bytes", Unit::Bytes, 0.0, top * 1.08);
    let mut chart = chart(setting, host, "Congestion window and what is in flight", y);
    chart.marks = setting.marks(host);
    let series = |of: fn(&Sample) -> Option<u64>| -> Vec<(f64, f64)> {
        let points = samples
            .iter()
            .filter_map(|it| Some((seconds(it.at), of(it)? as f64)));
        points.collect()
    };
    if let Some(held) = held {
        let ends = vec![(0.0, held), (seconds(setting.until), held)];
        let name = "what the path holds (rate times round trip)";
        chart
            .series
            .push(Series::new(name, Color::Grey, Shape::Dashes, ends));
    }
    let ssthresh = series(|it| it.ssthresh);
    // BBR has none: what it tells instead is its window.
    if !ssthresh.is_empty() && !setting.is_bbr(host) {
        chart.series.push(Series::new(
            "ssthresh",
            Color::Teal,
            Shape::Dashes,
            ssthresh,
        ));
    }
    let in_flight = series(|it| Some(it.in_flight));
    chart.series.push(Series::new(
        "in flight",
        Color::Green,
        Shape::Steps,
        in_flight,
    ));
    let window = series(|it| Some(it.window));
    chart.series.push(Series::new(
        "congestion window",
        Color::Blue,
        Shape::Steps,
        window,
    ));
    chart.figure("Sending goes on while the green line is below the blue one. Where green stays far below blue, something else held it back: see the strip of what was waited for.")
}

fn round_trips(setting: &Setting<'_>, host: usize) -> String {
    let samples: Vec<&Sample> = setting.host(host).samples.iter().collect();
    let points = |of: fn(&Sample) -> Option<Time>| -> Vec<(f64, f64)> {
        let points = samples
            .iter()
            .filter_map(|it| Some((seconds(it.at), seconds(of(it)?))));
        points.collect()
    };
    let latest = points(|it| it.latest_rtt);
    let top = latest.iter().map(|it| it.1).fold(0.0, f64::max);
    if top <= 0.0 {
        return String::new();
    }
    let y = Axis::linear("round trip time", Unit::Seconds, 0.0, top * 1.08);
    let mut chart = chart(setting, host, "Round trip time", y);
    chart.marks = vec![
        setting.mark(Some(host), "probe timeout", Color::Orange, is_timeout),
        setting.mark(Some(host), "address changed", Color::Teal, |what| {
            matches!(what, What::Moved(_))
        }),
    ];
    // A sample repeats the latest round trip time until there is a new one.
    let changed = |pair: &[(f64, f64)]| (pair[0].1 != pair[1].1).then_some(pair[1]);
    let dots: Vec<_> = latest
        .first()
        .copied()
        .into_iter()
        .chain(latest.windows(2).filter_map(changed))
        .collect();
    chart
        .series
        .push(Series::new("measured", Color::Teal, Shape::Dots, dots));
    let smoothed = points(|it| it.rtt);
    chart.series.push(Series::new(
        "smoothed",
        Color::Orange,
        Shape::Line,
        smoothed,
    ));
    let least = points(|it| it.min_rtt);
    chart
        .series
        .push(Series::new("least", Color::Grey, Shape::Dashes, least));
    chart.figure("What lies above the least round trip is time spent in queues, and time for which the other side held its acknowledgements back.")
}

fn rates(setting: &Setting<'_>, host: usize) -> String {
    let samples: Vec<&Sample> = setting.host(host).samples.iter().collect();
    let delivered = delivery(setting, &samples);
    let bits = |rate: u64| rate as f64 * 8.0;
    let link = setting.link_rate(host).map(|rate| rate as f64);
    let of_model = samples
        .iter()
        .filter_map(|it| it.bandwidth)
        .max()
        .map_or(0.0, bits);
    let seen = delivered.iter().map(|it| it.1).fold(0.0, f64::max);
    // The first pacing rate is a guess from the initial window, and may be far above anything that follows.
    let top = link
        .unwrap_or(0.0)
        .min(seen * 4.0)
        .max(seen)
        .max(of_model.min(seen * 4.0))
        * 1.35;
    if top <= 0.0 {
        return String::new();
    }
    let y = Axis::linear("rate", Unit::BitsPerSecond, 0.0, top);
    let mut chart = chart(setting, host, "Rate", y);
    let links = setting.link_rates(host);
    if !links.is_empty() {
        let name = "the path's rate";
        chart
            .series
            .push(Series::new(name, Color::Grey, Shape::Dashes, links));
    }
    let points = |of: fn(&Sample) -> Option<u64>| -> Vec<(f64, f64)> {
        let points = samples
            .iter()
            .filter_map(|it| Some((seconds(it.at), of(it)? as f64 * 8.0)));
        points.collect()
    };
    let pacing = points(|it| it.pacing_rate);
    chart.series.push(Series::new(
        "pacing rate",
        Color::Violet,
        Shape::Steps,
        pacing,
    ));
    let model = points(|it| it.bandwidth);
    if !model.is_empty() {
        chart.series.push(Series::new(
            "bandwidth in BBR's model",
            Color::Orange,
            Shape::Steps,
            model,
        ));
    }
    chart.series.push(Series::new(
        "newly acknowledged",
        Color::Green,
        Shape::Line,
        delivered,
    ));
    chart.figure("The green line is stream data as it was acknowledged: what the application got of the path. The path's rate counts headers, too, so green stays a little below it at best.")
}

/// Stream data acknowledged per second, in bits, over intervals that a picture can show.
fn delivery(setting: &Setting<'_>, samples: &[&Sample]) -> Vec<(f64, f64)> {
    let round_trip = samples
        .iter()
        .filter_map(|it| it.min_rtt)
        .min()
        .unwrap_or(0);
    let interval = (setting.until / RATE_POINTS).max(round_trip).max(1);
    let bins = setting.until / interval + 1;
    let mut acked = vec![0_u64; usize::try_from(bins).unwrap_or(1)];
    let mut before = 0;
    for sample in samples {
        let bin = usize::try_from(sample.at / interval).unwrap_or(0);
        if let Some(bin) = acked.get_mut(bin) {
            *bin += sample.acked.saturating_sub(before);
        }
        before = sample.acked;
    }
    let rate = |bytes: u64| bytes as f64 * 8.0 * SECOND as f64 / interval as f64;
    let ends = (1..=bins).map(|bin| seconds((bin * interval).min(setting.until)));
    let points = ends.zip(acked).map(|(end, bytes)| (end, rate(bytes)));
    std::iter::once((0.0, 0.0)).chain(points).collect()
}

fn chart(setting: &Setting<'_>, host: usize, title: &str, y: Axis) -> Chart {
    let mut chart = Chart::new(format!("{title}, {}", HOSTS[host]), setting.time_axis(), y);
    chart.group = Some(GROUP.into());
    chart.bands = setting.bands(host);
    chart
}

/// The phases of the congestion controller, and the times of repair in between.
fn states(setting: &Setting<'_>, host: usize) -> Vec<Span> {
    let state = |sample: &Sample| {
        if sample.in_recovery {
            REPAIRING
        } else {
            phase(sample.phase)
        }
    };
    let samples: Vec<&Sample> = setting.host(host).samples.iter().collect();
    let ends = samples
        .iter()
        .skip(1)
        .map(|it| it.at)
        .chain([setting.until]);
    let spans = samples.iter().zip(ends).map(|(sample, to)| {
        let (name, color) = state(sample);
        span(sample.at, to, name, color)
    });
    joined(spans)
}

fn span(from: Time, to: Time, name: &str, color: Color) -> Span {
    Span {
        from: seconds(from),
        to: seconds(to),
        color,
        name: name.into(),
    }
}

/// Neighbours of one kind as one.
fn joined(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if last.name == span.name => last.to = span.to,
            _ => joined.push(span),
        }
    }
    joined
}

/// Rate times the round trip of an empty path, in bytes.
fn path_holds(setting: &Setting<'_>, host: usize) -> Option<f64> {
    let rate = setting.link_rate(host)?;
    let samples = setting.host(host).samples.iter();
    let least = samples.filter_map(|it| it.min_rtt).min()?;
    Some(rate as f64 / 8.0 * seconds(least))
}

/// Who sent less answered only.
const LEAST_BYTES: u64 = 20_000;
/// Points of the curve of the rate.
const RATE_POINTS: u64 = 240;
