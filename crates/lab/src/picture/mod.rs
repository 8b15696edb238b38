//! A run as a page to look at: what happened in words, time-sequence diagrams, curves, packet ladders, events. One file without
//! anything outside of it; scripts only add pointer and zoom.

mod curves;
mod escape;
mod ladder;
pub mod plot;
mod sequence;
mod setting;
mod summary;
mod table;
mod words;

pub use escape::escape;

use crate::plan::Scenario;
use crate::report::Violation;
use crate::trace::{Datagram, Stall, Trace};
use setting::Setting;
use std::fmt::Write;
use words::{count, plural};

/// What stands above a picture.
#[derive(Clone, Debug, Default)]
pub struct Title {
    /// The heading.
    pub heading: String,
    /// The command that runs the same again, if there is one.
    pub replay: Option<String>,
    /// What is to be said instead of the trace's own outcome, which knows nothing of a panic.
    pub failure: Option<String>,
}

/// The page.
///
/// The same trace gives the same page, byte for byte. Its size has a bound whatever the length of the run, and it says where
/// something was left out.
pub fn html(trace: &Trace, title: &Title) -> String {
    let heading = escape(&title.heading);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{heading}</title>\n\
        <style>\n{}{PAGE_STYLE}</style>\n</head>\n<body>\n<header><h1>{heading}</h1>\n",
        plot::STYLE
    );
    page.push_str(&verdict(trace, title));
    if let Some(replay) = &title.replay {
        let _ = writeln!(
            page,
            "<p>The same again: <code>{}</code></p>",
            escape(replay)
        );
    }
    page.push_str("</header>\n<main>\n");
    if trace.hosts().is_empty() {
        page.push_str("<p>Nothing was recorded.</p>\n");
    } else {
        body(&mut page, &Setting::new(trace));
    }
    // For the eyes of XML as of HTML.
    let _ = write!(
        page,
        "</main>\n<script>/*<![CDATA[*/\n{}/*]]>*/</script>\n</body>\n</html>\n",
        plot::SCRIPT
    );
    page
}

/// What stands at the top of the page, for a terminal: what happened, and where it stood still.
pub fn text(trace: &Trace) -> String {
    if trace.hosts().is_empty() {
        return String::new();
    }
    let setting = Setting::new(trace);
    let mut page = summary::summary(&setting);
    stall_list(&mut page, &setting);
    escape::plain(&page)
}

fn verdict(trace: &Trace, title: &Title) -> String {
    let broken = |text: &str| {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let rest = if rest.is_empty() {
            String::new()
        } else {
            format!("<pre>{}</pre>", escape(rest))
        };
        format!(
            "<div class=\"verdict bad\"><b>A rule was broken</b> {}{rest}</div>\n",
            escape(first)
        )
    };
    if let Some(failure) = &title.failure {
        return broken(failure);
    }
    match trace.outcome() {
        Some(Ok(report)) => format!(
            "<div class=\"verdict good\"><b>No rule was broken.</b> {} of virtual time, {} of the simulation.</div>\n",
            words::time(report.streams_over.unwrap_or(report.lasted)),
            plural(report.steps, "step")
        ),
        Some(Err(violation)) => {
            let text = Violation::to_string(violation);
            broken(text.strip_prefix("broken").map_or(&*text, str::trim_start))
        }
        None => broken("and the run did not come to an end: something panicked."),
    }
}

fn body(page: &mut String, setting: &Setting<'_>) {
    page.push_str("<h2>What happened</h2>\n");
    page.push_str(&summary::summary(setting));
    stall_list(page, setting);
    page.push_str("<p class=\"script-only\">Drag over a chart to see a part of the time in all of them; a double click shows everything again. A click on a legend's entry hides it.</p>\n");
    page.push_str("<h2>What was waited for</h2>\n");
    page.push_str(&curves::strips(setting));
    let senders: Vec<usize> = (0..2)
        .filter(|&host| curves::is_sender(setting, host))
        .collect();
    let shown = match senders.as_slice() {
        // Nobody sent much: then little is all there is to see.
        [] => (0..2)
            .filter(|&host| setting.host(host).sent.bytes() > 0)
            .collect(),
        _ => senders,
    };
    if !shown.is_empty() {
        page.push_str("<h2>Data over time</h2>\n");
    }
    for &host in &shown {
        page.push_str(&sequence::diagrams(setting, host));
    }
    for &host in &shown {
        let _ = writeln!(
            page,
            "<h2>The {}'s window, round trip and rate</h2>",
            words::HOSTS[host]
        );
        page.push_str(&curves::charts(setting, host));
    }
    stall_ladders(page, setting);
    page.push_str("<h2>The first packets</h2>\n");
    let opening: Vec<&Datagram> = setting.trace.datagrams().iter().take(OPENING).collect();
    page.push_str(&ladder::ladder(setting, &opening));
    last_packets(page, setting);
    page.push_str("<h2>Events</h2>\n");
    page.push_str(&table::table(setting));
    footer(page, setting);
}

/// The longest stalls of both hosts, the longest first.
fn longest<'a>(setting: &Setting<'a>) -> Vec<&'a Stall> {
    let hosts = setting.trace.hosts().iter();
    let mut stalls: Vec<&Stall> = hosts.flat_map(|host| host.waits.stalls()).collect();
    stalls.sort_by_key(|stall| {
        (
            std::cmp::Reverse(stall.to - stall.from),
            stall.from,
            stall.host,
        )
    });
    stalls.truncate(STALLS);
    stalls
}

fn stall_list(page: &mut String, setting: &Setting<'_>) {
    let stalls = longest(setting);
    if stalls.is_empty() {
        page.push_str("<p>It never stood still for long: data were acknowledged at least every two round trips and 40 ms.</p>\n");
        return;
    }
    page.push_str("<h3>Where it stood still the longest</h3>\n<ol class=\"stalls\">\n");
    for (index, stall) in stalls.iter().enumerate() {
        let _ = writeln!(
            page,
            "<li>{} <a href=\"#stall-{}\">packets</a> {}</li>",
            summary::stall(setting, stall),
            index + 1,
            summary::zoom(setting, stall.from, stall.to)
        );
    }
    page.push_str("</ol>\n");
}

fn stall_ladders(page: &mut String, setting: &Setting<'_>) {
    let stalls = longest(setting);
    if !stalls.is_empty() {
        page.push_str("<h2>The packets around the stalls</h2>\n");
    }
    for (index, stall) in stalls.iter().enumerate() {
        let around: Vec<&Datagram> = stall
            .around
            .iter()
            .filter_map(|&id| setting.trace.datagram(id))
            .collect();
        let left_out = around
            .windows(2)
            .map(|pair| pair[1].id - pair[0].id - 1)
            .sum::<u64>();
        let note = if left_out > 0 {
            format!(
                " {} in the middle are left out.",
                plural(left_out, "datagram")
            )
        } else {
            String::new()
        };
        let _ = writeln!(
            page,
            "<details{} id=\"stall-{}\"><summary>{}.</summary>\n<p>{}{note}</p>\n",
            if index == 0 { " open=\"open\"" } else { "" },
            index + 1,
            format_args!(
                "{} at {}",
                words::time(stall.to - stall.from),
                words::time(stall.from)
            ),
            summary::stall(setting, stall),
        );
        page.push_str(&ladder::ladder(setting, &around));
        page.push_str("</details>\n");
    }
}

/// The end matters where something went wrong.
fn last_packets(page: &mut String, setting: &Setting<'_>) {
    let datagrams = setting.trace.datagrams();
    if matches!(setting.trace.outcome(), Some(Ok(_))) || datagrams.len() <= OPENING {
        return;
    }
    let last: Vec<&Datagram> = datagrams.iter().skip(datagrams.len() - OPENING).collect();
    page.push_str("<h2>The last packets</h2>\n");
    page.push_str(&ladder::ladder(setting, &last));
}

fn footer(page: &mut String, setting: &Setting<'_>) {
    let trace = setting.trace;
    page.push_str("<footer>\n");
    let left_out = trace.datagrams_left_out();
    if left_out > 0 {
        let what = if trace.left_out_notable() {
            "also lost and repeated ones"
        } else {
            "none of them lost or sent again"
        };
        let _ = writeln!(
            page,
            "<p class=\"thinned\">The run was long: {} of {} datagrams are not drawn ({what}). All counts are of all datagrams.</p>",
            count(left_out),
            count(left_out + trace.datagrams().len() as u64)
        );
    }
    if let Some(scenario) = setting.scenario() {
        let _ = writeln!(
            page,
            "<details><summary>The scenario</summary><pre>{}</pre></details>",
            escape(&text_of(scenario))
        );
    }
    page.push_str("</footer>\n");
}

fn text_of(scenario: &Scenario) -> String {
    let mut text = format!("{scenario:#?}");
    if text.len() > SCENARIO_TEXT {
        let end = (0..=SCENARIO_TEXT)
            .rev()
            .find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.push_str("\n…");
    }
    text
}

const PAGE_STYLE: &str = include_str!("page.css");
/// Datagrams of the opening.
const OPENING: usize = 44;
/// Stalls that are told of.
const STALLS: usize = 6;
/// Bytes.
const SCENARIO_TEXT: usize = 60_000;

#[cfg(test)]
mod tests;
