//! What happened, in words.

use super::escape::escape;
use super::setting::{GROUP, Setting, seconds};
use super::words::{HOSTS, bytes, count, percent, plural, rate, time, waiting};
use crate::plan::{SECOND, Time};
use crate::trace::{HostTrace, Loss, Stall, Totals};
use gapless_udx::{Algorithm, BlockedOn};
use std::fmt::Write;

/// The words at the top.
pub(super) fn summary(setting: &Setting<'_>) -> String {
    let mut html = String::new();
    if let Some(scenario) = setting.scenario() {
        let paths = scenario.faults.each_ref().map(ToString::to_string);
        let perfect = |path: &str| {
            if path.is_empty() {
                "perfect".to_string()
            } else {
                format!("<code>{}</code>", escape(path))
            }
        };
        let path = if paths[0] == paths[1] {
            format!("The path, both ways: {}.", perfect(&paths[0]))
        } else {
            format!(
                "The path from the dialer: {}; back: {}.",
                perfect(&paths[0]),
                perfect(&paths[1])
            )
        };
        let routes = match scenario.routes.len() as u64 {
            0 => String::new(),
            routes => format!(" It takes {} on the way.", plural(routes, "other route")),
        };
        let calm = if scenario.calm_from > 0 && scenario.calm_from < setting.until {
            format!(
                " From {} on it is calm: nothing is lost any more but what finds no room.",
                time(scenario.calm_from)
            )
        } else {
            String::new()
        };
        let _ = writeln!(html, "<p>{path}{routes}{calm}</p>");
    }
    for host in 0..setting.trace.hosts().len() {
        html.push_str(&direction(setting, host));
    }
    html
}

fn direction(setting: &Setting<'_>, host: usize) -> String {
    let this = setting.host(host);
    let totals = &this.totals;
    let moved = this.sent.bytes();
    let mut html = String::new();
    let streams = this
        .sent
        .streams()
        .filter(|(_, it)| it.end() > setting.first_position(host));
    let streams = plural(streams.count() as u64, "stream");
    let _ = writeln!(
        html,
        "<section class=\"direction\"><h3>From the {} to the {}</h3><ul>",
        HOSTS[host],
        HOSTS[1 - host]
    );
    let mut item = |text: String| {
        let _ = writeln!(html, "<li>{text}</li>");
    };
    if moved == 0 {
        item("No stream data.".into());
    } else {
        item(format!(
            "<b>{}</b> of stream data on {streams}{}",
            bytes(moved),
            speed(setting, host)
        ));
    }
    item(losses(totals));
    if totals.again > 0 {
        item(repetitions(this));
    }
    // Who only answers has a window and a rate that mean nothing.
    if super::curves::is_sender(setting, host) && this.stats.is_some() {
        item(control(setting, host));
        item(round_trip(setting, host));
        item(waited(setting, host));
    }
    html.push_str("</ul></section>\n");
    html
}

fn speed(setting: &Setting<'_>, host: usize) -> String {
    let this = setting.host(host);
    let sent = setting
        .trace
        .datagrams()
        .iter()
        .filter(|it| it.sender == host);
    let first = sent
        .filter(|it| it.data().next().is_some())
        .map(|it| it.sent)
        .next();
    let Some((begin, &(end, acked))) = first.zip(this.sent.acked().last()) else {
        return ", none of it acknowledged.".into();
    };
    let took = end.saturating_sub(begin).max(1);
    if !super::curves::is_sender(setting, host) {
        return format!(
            ", {} of it acknowledged within {}.",
            percent(acked, this.sent.bytes()),
            time(took)
        );
    }
    let bits = acked as f64 * 8.0 * SECOND as f64 / took as f64;
    let of_path = setting
        .link_rate(host)
        .filter(|_| took > SECOND / 10)
        .map_or(String::new(), |link| {
            format!(", {} of the path's rate", percent(bits as u64, link))
        });
    let rest = this.sent.bytes().saturating_sub(acked);
    let rest = if rest > 0 {
        format!(
            " <b>{} were never acknowledged without a gap.</b>",
            bytes(rest)
        )
    } else {
        String::new()
    };
    format!(
        ", acknowledged within {}: <b>{}</b>{of_path}.{rest}",
        time(took),
        rate(bits)
    )
}

fn losses(totals: &Totals) -> String {
    let sent = format!(
        "{} left, {} in all",
        plural(totals.datagrams, "datagram"),
        bytes(totals.bytes)
    );
    let lost = totals.all_lost();
    let mut text = if lost == 0 {
        format!("{sent}; none was lost.")
    } else {
        let causes = Loss::ALL.iter().zip(totals.lost).filter(|it| it.1 > 0);
        let causes: Vec<String> = causes
            .map(|(why, lost)| format!("{} {}", count(lost), why.why()))
            .collect();
        format!(
            "{sent}; <b>{} lost</b> ({}): {}.",
            count(lost),
            percent(lost, totals.datagrams),
            causes.join(", ")
        )
    };
    let more = [
        (totals.held, "held back while others passed"),
        (totals.twice, "delivered twice"),
        (totals.damaged, "delivered damaged"),
    ];
    let more = more.iter().filter(|it| it.0 > 0);
    let more: Vec<String> = more
        .map(|(many, what)| format!("{} {what}", count(*many)))
        .collect();
    if !more.is_empty() {
        let _ = write!(text, " Of the others, {}.", more.join(", "));
    }
    text
}

fn repetitions(this: &HostTrace) -> String {
    let totals = &this.totals;
    let needless = if totals.needless > 0 {
        format!(
            "; <b>{} needlessly</b>, because what they carried had already arrived",
            count(totals.needless)
        )
    } else {
        ", each of them needed".into()
    };
    let declared = this.stats.as_ref().map_or(String::new(), |stats| {
        let recovery = &stats.recovery;
        let wrongly = match recovery.spurious_losses {
            0 => String::new(),
            wrongly => format!(", {} of them wrongly", count(wrongly)),
        };
        format!(
            " The engine took {} for lost{wrongly}.",
            plural(recovery.packets_lost, "packet")
        )
    });
    format!(
        "{} sent again ({} of those with data){needless}.{declared}",
        plural(totals.again, "datagram"),
        percent(totals.again, totals.with_data)
    )
}

fn control(setting: &Setting<'_>, host: usize) -> String {
    let algorithm = setting
        .scenario()
        .map(|it| it.hosts[host].config.connection.algorithm);
    let name = match algorithm {
        Some(Algorithm::Cubic) => "CUBIC",
        Some(Algorithm::NewReno) => "NewReno",
        Some(Algorithm::Bbr) => "BBR",
        None => "congestion control",
    };
    let Some(stats) = &setting.host(host).stats else {
        return name.into();
    };
    let recovery = &stats.recovery;
    let mut facts = Vec::new();
    let mut fact = |number: u64, one: &str, more: &str| match number {
        0 => {}
        1 => facts.push(format!("1 {one}")),
        _ => facts.push(format!("{} {more}", count(number))),
    };
    if algorithm == Some(Algorithm::Bbr) {
        fact(
            recovery.congestion_events,
            "episode of loss",
            "episodes of loss",
        );
    } else {
        fact(
            recovery.congestion_events,
            "reduction of the window",
            "reductions of the window",
        );
    }
    let undone = "taken back, because nothing had been lost";
    fact(recovery.congestion_undone, undone, undone);
    fact(recovery.ptos, "probe timeout", "probe timeouts");
    fact(
        recovery.persistent_congestion,
        "time of persistent congestion",
        "times of persistent congestion",
    );
    fact(
        recovery.black_holes,
        "fall to small datagrams, because large ones vanished",
        "falls to small datagrams, because large ones vanished",
    );
    let facts = if facts.is_empty() {
        "nothing made it reduce the window".into()
    } else {
        facts.join(", ")
    };
    format!(
        "{name}: {facts}. Datagrams of up to {} bytes at the end.",
        stats.mtu
    )
}

fn round_trip(setting: &Setting<'_>, host: usize) -> String {
    let samples = setting.host(host).samples.iter();
    let measured: Vec<Time> = samples.clone().filter_map(|it| it.latest_rtt).collect();
    let least = samples.filter_map(|it| it.min_rtt).min();
    let (Some(least), Some(most)) = (least, measured.iter().max()) else {
        return "No round trip time was measured.".into();
    };
    format!(
        "Round trip: {} at least, {} at most.",
        time(least),
        time(*most)
    )
}

fn waited(setting: &Setting<'_>, host: usize) -> String {
    let totals = setting.host(host).waits.totals();
    let of_interest =
        |reason: &BlockedOn| !matches!(reason, BlockedOn::NothingToSend | BlockedOn::Closed);
    let busy: Time = totals
        .iter()
        .filter(|it| of_interest(&it.0))
        .map(|it| it.1)
        .sum();
    if busy == 0 {
        return "It never had to wait.".into();
    }
    let parts = totals
        .iter()
        .filter(|it| of_interest(&it.0) && it.1 * 200 > busy);
    let parts: Vec<String> = parts
        .map(|(reason, length)| format!("{} for {}", percent(*length, busy), waiting(*reason).0))
        .collect();
    format!(
        "In the {} in which it had something underway, it waited {}.",
        time(busy),
        parts.join(", ")
    )
}

/// One stall in words.
pub(super) fn stall(setting: &Setting<'_>, stall: &Stall) -> String {
    let Stall {
        host,
        from,
        to,
        went_on,
        reasons,
        timeouts,
        datagrams: [(sent, lost), (came, came_not)],
        rtt,
        ..
    } = stall;
    let length = to - from;
    let parts = reasons.iter().filter(|it| it.1 * 50 > length);
    let parts: Vec<String> = parts
        .map(
            |(reason, time_of)| match percent(*time_of, length).as_str() {
                "100 %" => waiting(*reason).0.to_string(),
                share => format!("{} ({share})", waiting(*reason).0),
            },
        )
        .collect();
    let round_trips = rtt.filter(|&rtt| rtt > 0).map_or(String::new(), |rtt| {
        format!(", {:.1} round trips", length as f64 / rtt as f64)
    });
    let of_them = |all: u64, lost: u64| match (all, lost) {
        (0, _) => String::new(),
        (_, 0) => ", none of them lost".into(),
        (all, lost) if all == lost => ", all of them lost".into(),
        (_, lost) => format!(", {} of them lost", count(lost)),
    };
    let down = match setting.down_within(*host, *from, *to) {
        0 => String::new(),
        down => format!(" The path was down for {} of it.", time(down)),
    };
    let timeouts = match timeouts {
        0 => String::new(),
        _ => format!("; {}", plural(*timeouts, "probe timeout")),
    };
    let ending = if *went_on {
        ""
    } else {
        " It did not go on before the run ended."
    };
    format!(
        "<b>{}</b> from {} on{round_trips}: the {} waited for {}.{down} In this time it sent {}{}; {} came its way{}{timeouts}.{ending}",
        time(length),
        time(*from),
        HOSTS[*host],
        parts.join(", "),
        plural(*sent, "datagram"),
        of_them(*sent, *lost),
        plural(*came, "datagram"),
        of_them(*came, *came_not),
    )
}

/// A button that shows this time in all charts; without scripts there is none.
pub(super) fn zoom(setting: &Setting<'_>, from: Time, to: Time) -> String {
    let margin = (to - from) / 3;
    let (from, to) = (
        from.saturating_sub(margin),
        to.saturating_add(margin).min(setting.until),
    );
    format!(
        "<button type=\"button\" data-zoom=\"{GROUP}\" data-from=\"{}\" data-to=\"{}\">show in all charts</button>",
        seconds(from),
        seconds(to)
    )
}
