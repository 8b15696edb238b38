//! Packets between two lines, one for each host: who said what, and when it arrived. Time goes down, but not evenly: each departure
//! and each arrival has a row of its own.

use super::escape::escape;
use super::setting::Setting;
use super::words::{HOSTS, bytes, time};
use crate::plan::Time;
use crate::trace::{Acked, Data, Datagram, Loss, Piece};
use std::fmt::Write;

/// A row: something that happens at one host, or a note on time that passes.
enum Row<'a> {
    Departs(&'a Datagram),
    Arrives(&'a Datagram),
    Passes(Time),
}

/// These datagrams, in the order of sending. `zoom`: what the charts show when asked to.
pub(super) fn ladder(setting: &Setting<'_>, datagrams: &[&Datagram]) -> String {
    if datagrams.is_empty() {
        return "<p class=\"none\">No datagrams were kept here.</p>\n".into();
    }
    let rows = rows(datagrams);
    let height = TOP + rows.len() as f64 * ROW + BOTTOM;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg class=\"ladder\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Packets between the two hosts\">"
    );
    for (host, x) in LINES.into_iter().enumerate() {
        let _ = writeln!(
            svg,
            "<path class=\"host\" d=\"M{x} {}V{}\"/><text class=\"name\" x=\"{x}\" y=\"14\">{}</text>",
            TOP - 8.0,
            height - BOTTOM,
            HOSTS[host]
        );
    }
    let row_of = |wanted: u64, arrives: bool| {
        let is = |row: &Row<'_>| match row {
            Row::Departs(it) => !arrives && it.id == wanted,
            Row::Arrives(it) => arrives && it.id == wanted,
            Row::Passes(_) => false,
        };
        rows.iter().position(is).map(y_of)
    };
    for (index, row) in rows.iter().enumerate() {
        let y = y_of(index);
        match row {
            Row::Departs(datagram) => {
                departs(setting, &mut svg, datagram, y, row_of(datagram.id, true));
            }
            Row::Arrives(datagram) => arrives(&mut svg, datagram, y),
            Row::Passes(length) => {
                let middle = f64::midpoint(LINES[0], LINES[1]);
                let _ = writeln!(
                    svg,
                    "<text class=\"passes\" x=\"{middle}\" y=\"{}\">{} later</text>",
                    y + 4.0,
                    time(*length)
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn y_of(row: usize) -> f64 {
    TOP + (row as f64 + 0.5) * ROW
}

fn rows<'a>(datagrams: &[&'a Datagram]) -> Vec<Row<'a>> {
    let mut events: Vec<(Time, bool, &Datagram)> = Vec::new();
    let last = datagrams.last().map_or(0, |it| it.sent);
    // What was underway for long beyond the last departure would only add empty rows.
    let round = datagrams
        .iter()
        .filter_map(|it| Some(it.arrived? - it.sent))
        .max()
        .unwrap_or(0);
    for datagram in datagrams {
        events.push((datagram.sent, false, datagram));
        if let Some(arrived) = datagram.arrived.filter(|&it| it <= last + round) {
            events.push((arrived, true, datagram));
        }
    }
    events.sort_by_key(|&(at, arrives, datagram)| (at, !arrives, datagram.id));
    let ends = events.first().zip(events.last());
    let whole = ends.map_or(0, |(first, last)| last.0 - first.0);
    let long = (whole / 8).max(LONG);
    let mut rows = Vec::new();
    let mut before = events.first().map_or(0, |it| it.0);
    for (at, arrives, datagram) in events {
        if at - before >= long {
            rows.push(Row::Passes(at - before));
        }
        before = at;
        rows.push(if arrives {
            Row::Arrives(datagram)
        } else {
            Row::Departs(datagram)
        });
    }
    rows
}

fn departs(
    setting: &Setting<'_>,
    svg: &mut String,
    datagram: &Datagram,
    y: f64,
    arrival: Option<f64>,
) {
    let host = datagram.sender;
    let (from, to) = (LINES[host], LINES[1 - host]);
    let kind = kind(datagram);
    // Towards the other line, and not quite there when it gets lost.
    let reach = |share: f64| from + (to - from) * share;
    let (end_x, end_y) = match (datagram.fate.lost, arrival) {
        (Some(_), _) => (reach(0.55), y + 10.0),
        (None, Some(arrival)) => (to, arrival),
        (None, None) => (reach(0.8), y + 14.0),
    };
    let _ = write!(
        svg,
        "<path class=\"way {kind}\" d=\"M{from} {y}L{end_x} {end_y}"
    );
    if datagram.fate.lost.is_some() {
        let _ = writeln!(svg, "m-4-4l8 8m0-8l-8 8\"/>");
    } else {
        let back = if host == 0 { -7.0 } else { 7.0 };
        let slope = (end_y - y) / (end_x - from);
        let (up, down) = (back * slope - 4.0, back * slope + 4.0);
        let _ = writeln!(svg, "m{back} {up:.1}L{end_x} {end_y}l{back} {down:.1}\"/>");
    }
    let words = describe(setting, datagram);
    let (x, anchor) = beside(host);
    let _ = writeln!(
        svg,
        "<text class=\"{kind} {anchor}\" x=\"{x}\" y=\"{}\"><tspan class=\"at\">{}</tspan>  {}</text>",
        y + 4.0,
        exact(datagram.sent),
        escape(&words)
    );
}

fn arrives(svg: &mut String, datagram: &Datagram, y: f64) {
    let host = 1 - datagram.sender;
    let (x, anchor) = beside(host);
    let number = datagram.content.as_ref().and_then(|it| it.number);
    let what = number.map_or_else(String::new, |number| format!(" #{number}"));
    let note = if datagram.unheard {
        " (nobody is there any more)"
    } else if datagram.fate.held {
        " (it was held back on the way)"
    } else if datagram.fate.damaged {
        " (damaged)"
    } else {
        ""
    };
    let _ = writeln!(
        svg,
        "<text class=\"arrival {anchor}\" x=\"{x}\" y=\"{}\"><tspan class=\"at\">{}</tspan>  receives{what}{note}</text>",
        y + 4.0,
        exact(datagram.arrived.unwrap_or_default())
    );
}

fn beside(host: usize) -> (f64, &'static str) {
    if host == 0 {
        (LINES[0] - 10.0, "left")
    } else {
        (LINES[1] + 10.0, "right")
    }
}

fn kind(datagram: &Datagram) -> &'static str {
    if datagram.fate.lost.is_some() {
        "lost"
    } else if datagram.is_again() {
        "again"
    } else if datagram.data().next().is_some() {
        "data"
    } else {
        "control"
    }
}

fn exact(at: Time) -> String {
    format!("{}.{:06}", at / 1_000_000_000, at / 1_000 % 1_000_000)
}

/// What a datagram carries, in few words.
pub(super) fn describe(setting: &Setting<'_>, datagram: &Datagram) -> String {
    let mut words = Vec::new();
    match &datagram.content {
        None => words.push(format!("{} bytes, not a packet", datagram.bytes)),
        Some(content) => {
            words.extend(content.number.map(|number| format!("#{number}")));
            let pieces = content.pieces.iter().take(PIECES_TOLD);
            words.extend(pieces.map(|piece| tell(setting, datagram.sender, piece)));
            if content.pieces.len() > PIECES_TOLD {
                words.push(format!("and {} more", content.pieces.len() - PIECES_TOLD));
            }
            if content.pieces.is_empty() {
                words.push("(empty)".into());
            }
        }
    }
    words.extend(datagram.fate.lost.map(|why| {
        let why = match why {
            Loss::Chance => "lost",
            Loss::Blackout => "lost: path down",
            Loss::Queue => "lost: queue full",
            Loss::TooLarge => "lost: too large",
            Loss::Damaged => "lost: damaged",
            Loss::Managed => "lost: managed queue",
        };
        format!("✗ {why}")
    }));
    if datagram.fate.twice {
        words.push("(arrives twice)".into());
    }
    words.join(" ")
}

fn tell(setting: &Setting<'_>, host: usize, piece: &Piece) -> String {
    let own = |id: &u32| setting.stream(host, *id);
    let other = |id: &u32| setting.stream(1 - host, *id);
    let position = |host: usize, at: u64| at.saturating_sub(setting.first_position(host));
    match piece {
        Piece::Data(data) => tell_data(setting, host, data),
        Piece::Ack(acked) => tell_ack(acked),
        Piece::Window { stream, limit } => {
            format!(
                "lets {} go to {}",
                other(stream),
                bytes(position(1 - host, *limit))
            )
        }
        Piece::MaxData(limit) => format!("MAX_DATA {}", bytes(*limit)),
        Piece::MaxStreams(count) => format!("MAX_STREAMS {count}"),
        Piece::Reset { stream, code } => format!("RESET of {} code {code}", own(stream)),
        Piece::Stop { stream, code } => format!("STOP_SENDING of {} code {code}", other(stream)),
        Piece::Ping => "PING".into(),
        Piece::MtuProbe(size) => format!("probe: do {size} bytes pass?"),
        Piece::Challenge(_) => "PATH_CHALLENGE".into(),
        Piece::Response(_) => "PATH_RESPONSE".into(),
        Piece::Close(code) => format!("CLOSE code {code}"),
        Piece::DataBlocked(limit) => format!("blocked by MAX_DATA {}", bytes(*limit)),
        Piece::StreamBlocked { stream, limit } => {
            format!(
                "{} blocked at {}",
                own(stream),
                bytes(position(host, *limit))
            )
        }
        Piece::NewId => "NEW_CONNECTION_ID".into(),
        Piece::RetireId => "RETIRE_CONNECTION_ID".into(),
    }
}

fn tell_data(setting: &Setting<'_>, host: usize, data: &Data) -> String {
    let first = setting.first_position(host);
    let (from, to) = (
        data.range.start.saturating_sub(first),
        data.range.end.saturating_sub(first),
    );
    let mut words = setting.stream(host, data.stream);
    if data.range.is_empty() {
        let _ = write!(words, " at {from}");
    } else {
        let _ = write!(words, " {from}–{to}");
    }
    words.push_str(if data.syn { " SYN" } else { "" });
    words.push_str(if data.fin { " FIN" } else { "" });
    words.push_str(match (data.again, data.needless) {
        (true, true) => " again, needlessly",
        (true, false) => " again",
        _ => "",
    });
    words
}

fn tell_ack(acked: &Acked) -> String {
    let range = |range: &std::ops::RangeInclusive<u64>| match (range.start(), range.end()) {
        (first, last) if first == last => format!("#{first}"),
        (first, last) => format!("#{first}–{last}"),
    };
    let shown: Vec<String> = acked.ranges.iter().take(RANGES_TOLD).map(range).collect();
    let left = acked.ranges.len().saturating_sub(RANGES_TOLD) + acked.more;
    let more = if left > 0 {
        format!(" and {left} more")
    } else {
        String::new()
    };
    format!("ACK {}{more}", shown.join(", "))
}

const WIDTH: f64 = 1100.0;
/// Where the two lines stand.
const LINES: [f64; 2] = [430.0, 635.0];
const TOP: f64 = 30.0;
const BOTTOM: f64 = 10.0;
/// Height of a row.
const ROW: f64 = 15.0;
/// A pause that is told although the rows do not show it.
const LONG: Time = 5_000_000;
const PIECES_TOLD: usize = 3;
const RANGES_TOLD: usize = 2;
