//! Time-sequence diagrams: which bytes left when, what became of them, and how far they were acknowledged.

use super::plot::{Axis, Chart, Color, Series, Shape, Unit};
use super::setting::{GROUP, Setting, is_timeout, seconds};
use super::words::{HOSTS, bytes};
use crate::plan::Time;
use crate::trace::{Data, INITIAL_LIMIT, Loss, Thinned};
use std::fmt::Write;

/// The diagrams of what a host sent: its only stream, or all bytes together and then the largest streams.
pub(super) fn diagrams(setting: &Setting<'_>, host: usize) -> String {
    let sent = &setting.host(host).sent;
    let first = setting.first_position(host);
    let mut streams: Vec<(u32, u64)> = sent
        .streams()
        .map(|(id, stream)| (id, stream.end().saturating_sub(first)))
        .filter(|&(_, len)| len > 0)
        .collect();
    if let [(only, _)] = streams[..] {
        return diagram(setting, host, Some(only)) + &closer(setting, host, Some(only));
    }
    let mut html = diagram(setting, host, None) + &closer(setting, host, None);
    streams.sort_by_key(|&(id, len)| (std::cmp::Reverse(len), id));
    let shown = streams.len().min(MOST_STREAMS);
    if shown > 0 {
        let _ = writeln!(
            html,
            "<details><summary>Each stream by itself ({shown} of {}, the largest)</summary>",
            streams.len()
        );
        for (id, _) in &streams[..shown] {
            html.push_str(&diagram(setting, host, Some(*id)));
        }
        html.push_str("</details>\n");
    }
    html
}

/// Parts of the same, large enough to see each piece: the repair of a loss, and the longest stall; else the opening.
fn closer(setting: &Setting<'_>, host: usize, stream: Option<u32>) -> String {
    let this = setting.host(host);
    let Some(round_trip) = this.samples.iter().filter_map(|it| it.rtt).min() else {
        return String::new();
    };
    let least = round_trip.saturating_mul(2);
    let lost = setting.trace.datagrams().iter().find(|it| {
        let is_single = !matches!(it.fate.lost, None | Some(Loss::Blackout));
        it.sender == host && is_single && it.data().next().is_some()
    });
    let lost = lost.map(|lost| ("The first loss", lost.sent, lost.sent + least, least));
    let stalls = this.waits.stalls().iter();
    let stall = stalls.max_by_key(|stall| stall.to - stall.from);
    let stall = stall.map(|stall| {
        let margin = ((stall.to - stall.from) / 5).max(least);
        ("The longest stall", stall.from, stall.to, margin)
    });
    let opening = ("The opening", 0, least * 3, 0);
    let parts = match (lost, stall) {
        (None, None) => vec![opening],
        (lost, stall) => lost.into_iter().chain(stall).collect(),
    };
    let parts = parts.into_iter().map(|(what, from, to, margin)| {
        let to = to.saturating_add(margin).min(setting.until);
        part(
            setting,
            host,
            stream,
            what,
            (from.saturating_sub(margin), to),
        )
    });
    parts.collect()
}

fn part(
    setting: &Setting<'_>,
    host: usize,
    stream: Option<u32>,
    what: &str,
    (from, to): (Time, Time),
) -> String {
    if setting.until < to.saturating_sub(from) * 2 {
        return String::new();
    }
    let mut chart = chart(setting, host, stream);
    chart.title = format!("{what}, closer");
    chart.x = Axis::linear("time", Unit::Seconds, seconds(from), seconds(to));
    chart.group = None;
    let (begin, end) = (chart.x.from, chart.x.to);
    let drawn = chart
        .series
        .iter()
        .filter(|series| matches!(series.shape, Shape::Bars | Shape::Crosses));
    let drawn = drawn.flat_map(|series| &series.points);
    let within = drawn
        .filter(|it| (begin..=end).contains(&it.0))
        .map(|it| it.1);
    let (low, high) = within.fold((f64::MAX, 0.0_f64), |(low, high), it| {
        (low.min(it), high.max(it))
    });
    if low >= high {
        return String::new();
    }
    let room = (high - low) * 0.08;
    chart.y = Axis::linear(
        "position of the bytes",
        Unit::Bytes,
        (low - room).max(0.0),
        high + room,
    );
    for series in &mut chart.series {
        cut(series, begin, end);
    }
    chart
        .bands
        .retain(|band| band.to > begin && band.from < end);
    for mark in &mut chart.marks {
        mark.at.retain(|at| (begin..=end).contains(at));
    }
    chart.figure(&format!("{what}, closer."))
}

/// Leaves out what lies outside; of a line, the last point before is needed.
fn cut(series: &mut Series, from: f64, to: f64) {
    let is_line = matches!(series.shape, Shape::Steps | Shape::Dashes | Shape::Line);
    let first = series.points.partition_point(|it| it.0 < from);
    let first = if is_line {
        first.saturating_sub(1)
    } else {
        first
    };
    let last = series.points.partition_point(|it| it.0 <= to);
    let last = if is_line {
        (last + 1).min(series.points.len())
    } else {
        last
    };
    let range = first.min(last)..last;
    series.points = series.points[range.clone()].to_vec();
    if !series.ends.is_empty() {
        series.ends = series.ends[range].to_vec();
    }
}

fn diagram(setting: &Setting<'_>, host: usize, stream: Option<u32>) -> String {
    let (name, _) = subject(setting, host, stream);
    let heading = format!("<h3>{}</h3>\n", super::escape::escape(&name));
    heading + &chart(setting, host, stream).figure(CAPTION)
}

fn chart(setting: &Setting<'_>, host: usize, stream: Option<u32>) -> Chart {
    let (name, end) = subject(setting, host, stream);
    let mut chart = Chart::new(
        format!("Time-sequence diagram of {name}"),
        setting.time_axis(),
        Axis::linear("position of the bytes", Unit::Bytes, 0.0, end as f64 * 1.03),
    );
    chart.height = 420.0;
    chart.group = Some(GROUP.into());
    chart.fits = true;
    chart.bands = setting.bands(host);
    let calm = |what: &crate::trace::What| matches!(what, crate::trace::What::Calm);
    chart.marks = vec![
        setting.mark(Some(host), "probe timeout", Color::Orange, is_timeout),
        setting.mark(Some(host), "the calm begins", Color::Violet, calm),
    ];
    lines(setting, host, stream, &mut chart);
    pieces(setting, host, stream, &mut chart);
    chart
}

/// What is drawn, and how many bytes there are of it.
fn subject(setting: &Setting<'_>, host: usize, stream: Option<u32>) -> (String, u64) {
    let sent = &setting.host(host).sent;
    let to = HOSTS[1 - host];
    match stream {
        None => (
            format!(
                "all bytes from the {} to the {to}, in the order of first sending ({})",
                HOSTS[host],
                bytes(sent.bytes())
            ),
            sent.bytes(),
        ),
        Some(id) => {
            let found = sent.streams().find(|&(known, _)| known == id);
            let end = found.map_or(0, |(_, stream)| stream.end());
            let len = end.saturating_sub(setting.first_position(host));
            let name = setting.stream(host, id);
            (
                format!(
                    "{name} from the {} to the {to} ({})",
                    HOSTS[host],
                    bytes(len)
                ),
                len,
            )
        }
    }
}

/// The edges: arrived, acknowledged, allowed.
fn lines(setting: &Setting<'_>, host: usize, stream: Option<u32>, chart: &mut Chart) {
    let sent = &setting.host(host).sent;
    let first = stream.map_or(0, |_| setting.first_position(host));
    let line = |line: &Thinned<(Time, u64)>, from: (Time, u64)| {
        let points = std::iter::once(from).chain(line.iter().copied());
        let last = line.last().map(|&(_, at)| (setting.until, at));
        let points = points.chain(last);
        let place =
            |(at, position): (Time, u64)| (seconds(at), position.saturating_sub(first) as f64);
        points.map(place).collect::<Vec<_>>()
    };
    let (arrived, acked) = match stream.and_then(|id| sent.streams().find(|it| it.0 == id)) {
        Some((_, stream)) => {
            let points = line(stream.limits(), (0, first.saturating_add(INITIAL_LIMIT)));
            chart.series.push(Series::new(
                "how far the reader allows",
                Color::Pink,
                Shape::Dashes,
                points,
            ));
            (stream.arrived(), stream.acked())
        }
        None => (sent.arrived(), sent.acked()),
    };
    let points = line(arrived, (0, first));
    chart.series.push(Series::new(
        "arrived without a gap",
        Color::Grey,
        Shape::Steps,
        points,
    ));
    let points = line(acked, (0, first));
    chart.series.push(Series::new(
        "acknowledged without a gap",
        Color::Green,
        Shape::Steps,
        points,
    ));
}

/// When it left, where its bytes begin, where they end.
type Bar = (f64, f64, f64);

fn pieces(setting: &Setting<'_>, host: usize, stream: Option<u32>, chart: &mut Chart) {
    let first = setting.first_position(host);
    let mut kinds: [(&str, Color, Vec<Bar>); 3] = [
        ("sent", Color::Blue, Vec::new()),
        ("sent again", Color::Orange, Vec::new()),
        (
            "sent again though it had arrived",
            Color::Violet,
            Vec::new(),
        ),
    ];
    let mut lost = Vec::new();
    let place = |data: &Data| {
        let len = data.range.end - data.range.start;
        match stream {
            Some(id) => (data.stream == id).then(|| (data.range.start.saturating_sub(first), len)),
            None => data.order.map(|order| (order, len)),
        }
    };
    for datagram in setting
        .trace
        .datagrams()
        .iter()
        .filter(|it| it.sender == host)
    {
        for data in datagram.data() {
            let Some((from, len)) = place(data) else {
                continue;
            };
            let at = seconds(datagram.sent);
            let (from, to) = (from as f64, from.saturating_add(len) as f64);
            let kind = usize::from(data.again) + usize::from(data.needless);
            kinds[kind].2.push((at, from, to));
            if datagram.fate.lost.is_some() {
                lost.push((at, f64::midpoint(from, to)));
            }
        }
    }
    for (name, color, bars) in kinds.iter().filter(|kind| !kind.2.is_empty()) {
        chart.series.push(Series::bars(*name, *color, bars));
    }
    if !lost.is_empty() {
        chart.series.push(Series::new(
            "lost on the path",
            Color::Red,
            Shape::Crosses,
            lost,
        ));
    }
}

const CAPTION: &str = "Each upright stroke is a piece of data where its bytes stand, at the time it left. The slope is the rate. \
The distance from the strokes to the green line is what is in flight; sideways it is the round trip. A cross was lost by the path; \
an orange stroke is its repetition. Where the grey line stands still while strokes go on above, the reader waits for a gap to be \
filled. Strokes that meet the pink line are held up by the reader.";

/// Streams that are drawn by themselves.
const MOST_STREAMS: usize = 6;
