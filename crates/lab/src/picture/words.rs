//! Numbers and states as people read them.

use super::plot::Color;
use crate::plan::{MS, SECOND, Time};
use gapless_udx::{BlockedOn, CongestionPhase};

/// The two hosts.
pub(super) const HOSTS: [&str; 2] = ["dialer", "acceptor"];

/// `1.23 MB`, in powers of 1000.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// `1.234 s`, `12.3 ms`, `45 µs`.
pub(super) fn time(time: Time) -> String {
    match time {
        0..MS => format!("{} µs", time / 1_000),
        MS..SECOND => format!("{:.1} ms", time as f64 / 1e6),
        _ => format!("{:.3} s", time as f64 / 1e9),
    }
}

/// `9.4 Mbit/s`.
pub(super) fn rate(bits_per_second: f64) -> String {
    match bits_per_second {
        rate if rate >= 1e9 => format!("{:.2} Gbit/s", rate / 1e9),
        rate if rate >= 1e6 => format!("{:.2} Mbit/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1} kbit/s", rate / 1e3),
        rate => format!("{rate:.0} bit/s"),
    }
}

/// `12,345`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 packet`, `2 packets`.
pub(super) fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// `2.0 %`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".into();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if share > 0.0 && share < 0.1 {
        "less than 0.1 %".into()
    } else if share >= 99.95 || share == 0.0 {
        format!("{share:.0} %")
    } else {
        format!("{share:.1} %")
    }
}

/// What is waited for.
pub(super) fn waiting(reason: BlockedOn) -> (&'static str, Color) {
    match reason {
        BlockedOn::NothingToSend => ("the application: nothing to send", Color::Pale),
        BlockedOn::Acknowledgement => ("acknowledgements: all was sent", Color::Teal),
        BlockedOn::CongestionWindow => ("room in the congestion window", Color::Blue),
        BlockedOn::PeerStreamWindow => ("the reader: the stream's limit", Color::Orange),
        BlockedOn::PeerConnectionWindow => ("the peer's cap on what is in flight", Color::Pink),
        BlockedOn::Pacer => ("the pacer", Color::Green),
        BlockedOn::StreamOpening => ("leave to open more streams", Color::Yellow),
        BlockedOn::FirstAnswer => ("the peer's first answer", Color::Violet),
        BlockedOn::NumberSpan => ("the oldest packet's acknowledgement", Color::Red),
        BlockedOn::OtherStream => ("another stream's turn", Color::Yellow),
        BlockedOn::PathValidation => ("proof of the peer's address", Color::Red),
        BlockedOn::SentLog => ("room in the sent log", Color::Red),
        BlockedOn::Nothing => ("its own next poll", Color::Grey),
        BlockedOn::Closed => ("nothing: the connection is over", Color::Grey),
        _ => ("something else", Color::Grey),
    }
}

/// What the congestion controller does.
pub(super) fn phase(phase: CongestionPhase) -> (&'static str, Color) {
    match phase {
        CongestionPhase::SlowStart => ("slow start", Color::Green),
        CongestionPhase::ConservativeSlowStart => ("slow start in doubt", Color::Yellow),
        CongestionPhase::Avoidance => ("congestion avoidance", Color::Blue),
        CongestionPhase::Startup => ("Startup", Color::Green),
        CongestionPhase::Drain => ("Drain", Color::Orange),
        CongestionPhase::ProbeBwDown => ("ProbeBW: down", Color::Yellow),
        CongestionPhase::ProbeBwCruise => ("ProbeBW: cruise", Color::Blue),
        CongestionPhase::ProbeBwRefill => ("ProbeBW: refill", Color::Teal),
        CongestionPhase::ProbeBwUp => ("ProbeBW: up", Color::Violet),
        CongestionPhase::ProbeRtt => ("ProbeRTT", Color::Pink),
        _ => ("another state", Color::Grey),
    }
}

/// While a loss is repaired, the window is governed by that.
pub(super) const REPAIRING: (&str, Color) = ("repairing a loss", Color::Red);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_234_567), "1.23 MB");
        assert_eq!(time(1_500), "1 µs");
        assert_eq!(time(12_340_000), "12.3 ms");
        assert_eq!(time(1_234_567_890), "1.235 s");
        assert_eq!(rate(9_400_000.0), "9.40 Mbit/s");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(plural(1, "packet"), "1 packet");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(1, 10_000), "less than 0.1 %");
        assert_eq!(percent(5, 0), "0 %");
    }
}
