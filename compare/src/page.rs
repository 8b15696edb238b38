//! The table as one HTML file that needs nothing else: plots, ratios in colours, and what they mean.

mod bulk;
mod fairness;
mod short;
mod table;

use std::fmt::Write as _;

use gapless_lab::picture::plot::{Color, SCRIPT, STYLE};

use crate::engine::Kind;
use crate::rows::{BulkRow, FairRow, ShortRow};

/// What the page is made of.
pub(crate) struct Measured {
    pub(crate) commit: String,
    pub(crate) bulk: Vec<BulkRow>,
    pub(crate) short: Vec<ShortRow>,
    pub(crate) fairness: Vec<FairRow>,
}

/// The page.
pub(crate) fn html(measured: &Measured) -> String {
    let Measured {
        commit,
        bulk,
        short,
        fairness,
    } = measured;
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Gapless beside quinn and smoltcp</title>\n<style>\n{STYLE}\n{OWN_STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>Gapless beside quinn and smoltcp</h1>\n<p>{INTRODUCTION}</p>\n<p>Measured at commit <code>{commit}</code> by <code>cargo xtask compare all</code>; \
         <code>docs/comparison.md</code> says how, and what the figures mean.</p>\n"
    );
    page.push_str("<h2>Ratios</h2>\n");
    page.push_str(&bulk::ratios(bulk));
    page.push_str("<h2>Goodput over loss</h2>\n");
    page.push_str(&bulk::over_loss(bulk));
    page.push_str("<h2>Waiting in the queue</h2>\n");
    page.push_str(&bulk::waits(bulk));
    page.push_str("<h2>Short transfers</h2>\n");
    page.push_str(&short::tables(short));
    page.push_str("<h2>Sharing a link</h2>\n");
    page.push_str(&fairness::courses(fairness));
    let _ = write!(
        page,
        "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    page
}

/// Each transport has its place among the colours.
fn color(kind: Kind) -> Color {
    match kind {
        Kind::Cubic => Color::Blue,
        Kind::NewReno => Color::Teal,
        Kind::Bbr => Color::Green,
        Kind::QuinnCubic => Color::Orange,
        Kind::QuinnNewReno => Color::Yellow,
        Kind::QuinnBbr => Color::Red,
        Kind::SmoltcpCubic => Color::Violet,
        Kind::SmoltcpReno => Color::Pink,
        Kind::Tcp => Color::Blue,
        Kind::TcpBbr => Color::Green,
    }
}

const INTRODUCTION: &str = "One transfer at a time, or some at once, over a modelled path: a bottleneck with a drop-tail queue, a fixed delay, \
losses by chance in both directions. Everything runs in virtual time on real protocol engines, so each figure comes again. \
Goodput is the bytes that the receiving application read, in percent of what the link carries with headers: 95 to 97 % is a full link, by the size of the headers.";

const OWN_STYLE: &str = "\
main { max-width: 1140px; margin: 0 auto; padding: 0 12px; }
table { border-collapse: collapse; margin: 8px 0 20px; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 6px; white-space: nowrap; text-align: right; border: 1px solid #8884; }
th { font-weight: 600; }
th.left, td.left { text-align: left; }
td.heat { color: #111; }
summary { cursor: pointer; font-weight: 600; margin: 8px 0; }
.wide { overflow-x: auto; }
";
