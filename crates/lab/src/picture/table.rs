//! What the engines and the path told, one below the other.

use super::escape::escape;
use super::setting::Setting;
use super::words::{HOSTS, bytes, phase, plural};
use crate::trace::{Happening, What};
use gapless_udx::{Event, RecoveryEvent};
use std::fmt::Write;

/// The table, and what was left out of it.
pub(super) fn table(setting: &Setting<'_>) -> String {
    let happenings = setting.trace.happenings();
    let told: Vec<(&Happening, String)> = happenings
        .iter()
        .filter_map(|it| Some((it, describe(setting, it)?)))
        .collect();
    let mut html = format!(
        "<details><summary>{}</summary>\n<table class=\"events\"><thead><tr><th>time</th><th>who</th><th>what</th></tr></thead><tbody>\n",
        plural(told.len() as u64, "event")
    );
    // Who reads the beginning and the end of a long table has read what he wanted to.
    let (head, tail) = if told.len() > ROWS {
        (&told[..ROWS / 2], &told[told.len() - ROWS / 2..])
    } else {
        (&told[..], &told[..0])
    };
    rows(&mut html, head);
    if !tail.is_empty() {
        let _ = writeln!(
            html,
            "<tr><td colspan=\"3\">… {} left out here …</td></tr>",
            plural((told.len() - head.len() - tail.len()) as u64, "event")
        );
        rows(&mut html, tail);
    }
    html.push_str("</tbody></table>\n");
    let more = setting.trace.happenings_left_out();
    if more > 0 {
        let _ = writeln!(
            html,
            "<p>{} after these were not kept.</p>",
            plural(more, "event")
        );
    }
    html.push_str("</details>\n");
    html
}

fn rows(html: &mut String, told: &[(&Happening, String)]) {
    for (happening, text) in told {
        let who = happening.host.map_or("path", |host| HOSTS[host]);
        let _ = writeln!(
            html,
            "<tr><td>{}.{:06} s</td><td>{who}</td><td>{}</td></tr>",
            happening.at / 1_000_000_000,
            happening.at / 1_000 % 1_000_000,
            escape(text)
        );
    }
}

fn describe(setting: &Setting<'_>, happening: &Happening) -> Option<String> {
    let host = happening.host.unwrap_or_default();
    Some(match &happening.what {
        What::Calm => "the calm begins: the path delivers from now on".into(),
        What::Route => "packets take another route from now on".into(),
        What::Moved(address) => format!("has the address {address} from now on"),
        What::Closes => "its application closes the connection".into(),
        What::Vanishes => "vanishes without a word".into(),
        What::Restarts => "is started anew and knows nothing of before".into(),
        What::Phase(now) => format!("congestion control: {}", phase(*now).0),
        What::Engine(event) => match event {
            Event::Recovery(event) => recovery(event),
            Event::Incoming => "a connection comes in".into(),
            Event::Connected => "the peer answered: connected".into(),
            Event::Version(version) => format!("the peer speaks {version:?}"),
            Event::StreamOpened => "the peer opened a stream".into(),
            Event::StreamsAvailable => "streams can be opened again".into(),
            Event::Acknowledged(_) => "a stream was acknowledged to its end".into(),
            Event::Reset { code, .. } => format!("the peer ended a stream with code {code}"),
            Event::Pong { rtt } => format!("the peer is there, after {rtt:?}"),
            Event::Moved { from, to } => {
                format!("the peer moved from {from} to {to}, which is proven")
            }
            Event::Closed => {
                let outcome = setting.host(host).stats.is_some();
                if outcome {
                    "the connection is over".into()
                } else {
                    "over".into()
                }
            }
            Event::Refused(why) => format!("refused what the peer did: {why}"),
            _ => return None,
        },
    })
}

fn recovery(event: &RecoveryEvent) -> String {
    match event {
        RecoveryEvent::Lost {
            packets,
            bytes: size,
            by_timer,
        } => {
            let by = if *by_timer {
                "by a timer"
            } else {
                "by an acknowledgement"
            };
            format!(
                "takes {} ({}) for lost, told {by}",
                plural(*packets, "packet"),
                bytes(*size)
            )
        }
        RecoveryEvent::PtoFired { count } => format!("probe timeout, {count} in a row"),
        RecoveryEvent::CongestionEvent { window } => {
            format!("congestion: window {}", bytes(*window))
        }
        RecoveryEvent::SpuriousLossUndone { window } => {
            format!("nothing had been lost: window back to {}", bytes(*window))
        }
        RecoveryEvent::PersistentCongestion => {
            "persistent congestion: the window is minimal".into()
        }
        RecoveryEvent::SlowStartExit { window } => format!("slow start ends at {}", bytes(*window)),
        RecoveryEvent::MtuChanged { from, to } => {
            format!("datagrams of {to} bytes pass (before: {from})")
        }
        RecoveryEvent::BlackHole { from, to } => {
            format!("datagrams of {from} bytes vanish: {to} from now on")
        }
        _ => format!("{event:?}"),
    }
}

/// Rows that a page shows at the most.
const ROWS: usize = 2_000;
