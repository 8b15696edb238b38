//! Time-sequence diagrams: which bytes left when, what became of them, and how far they were acknowledged.

use super::plot::{Axis, Chart, Color, Series, Shape, Unit};
use super::setting::{GROUP, Setting, is_timeout, seconds};
use super::words::{HOSTS, bytes};
use crate::plan::Time;
use crate::trace::{Data, INITIAL_LIMIT, Thinned};
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
        return diagram(setting, host, Some(only));
    }
    let mut html = diagram(setting, host, None);
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

fn diagram(setting: &Setting<'_>, host: usize, stream: Option<u32>) -> String {
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
    let heading = format!("<h3>{}</h3>\n", super::escape::escape(&name));
    heading + &chart.figure(CAPTION)
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
