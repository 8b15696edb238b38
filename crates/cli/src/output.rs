//! What the programs print, for people and for scripts.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;
use crate::node::LinkStats;

/// Standard output, in one of its two forms.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// `json`: one JSON object per line instead of text.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a script is listening.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the text for people, or the object for scripts. Who has closed the pipe wants to hear no more.
    pub fn say(&self, text: impl FnOnce() -> String, object: impl FnOnce() -> Value) {
        let line = if self.json {
            object().to_string()
        } else {
            text()
        };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}")
            .and_then(|()| stdout.flush())
            .ok();
    }
}

/// Prints a failure: to standard error for people, to standard output for scripts.
pub fn report_failure(failure: &Failure, json: bool) {
    if json {
        Output::new(true).say(String::new, || failure.to_json());
    } else {
        writeln!(std::io::stderr(), "{failure}").ok();
    }
}

/// Lets `RUST_LOG` show what the engines and libp2p report. Silent without it.
pub fn start_tracing() {
    if std::env::var_os("RUST_LOG").is_none() {
        return;
    }
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if subscriber.try_init().is_err() {
        tracing::debug!("tracing was set up already");
    }
}

/// `1.2 kB`, `34.5 MB`, `6.7 GB`: powers of 1000.
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        None => format!("{count} B"),
    }
}

/// Bytes per second.
pub fn rate(count: u64, time: Duration) -> u64 {
    let micros = time.as_micros().max(1);
    u64::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// `12.3 ms`, `1.23 s`.
pub fn time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!(
            "{}.{:02} s",
            micros / 1_000_000,
            micros % 1_000_000 / 10_000
        ),
    }
}

/// What a connection went through, for the end of a line.
pub fn path(stats: &LinkStats) -> String {
    let LinkStats {
        version: _,
        packets_sent,
        packets_lost,
        packets_resent,
        rtt,
    } = stats;
    let rtt = rtt.map_or_else(String::new, |rtt| format!("; RTT {}", time(rtt)));
    format!("{packets_sent} packets sent, {packets_lost} lost, {packets_resent} sent again{rtt}")
}

/// The same for scripts.
pub fn path_json(stats: &LinkStats) -> Value {
    serde_json::json!({
        "udx_version": stats.version,
        "packets_sent": stats.packets_sent,
        "packets_lost": stats.packets_lost,
        "packets_resent": stats.packets_resent,
        "rtt_us": stats.rtt.map(micros),
    })
}

/// Microseconds, for scripts.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(1_999_999), "1.9 MB");
        assert_eq!(bytes(u64::MAX), "18446744073.7 GB");
        assert_eq!(rate(5_000_000, Duration::from_millis(500)), 10_000_000);
        assert_eq!(rate(u64::MAX, Duration::ZERO), u64::MAX);
        assert_eq!(time(Duration::from_micros(999)), "999 µs");
        assert_eq!(time(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(time(Duration::from_millis(61_239)), "61.23 s");
    }
}
