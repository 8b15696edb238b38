//! Tables, with cells in colours.

use std::fmt::Write as _;

/// A table whose first lines are heads.
#[derive(Default)]
pub(super) struct Table(String);

impl Table {
    /// A line of heads: text, and over how many columns.
    pub(super) fn head(&mut self, cells: &[(String, usize)]) {
        self.0.push_str("<tr>");
        for (text, columns) in cells {
            let _ = write!(self.0, "<th colspan=\"{columns}\">{text}</th>");
        }
        self.0.push_str("</tr>\n");
    }

    /// A line: its names, then its cells, which are elements already.
    pub(super) fn line(&mut self, names: &[String], cells: &[String]) {
        self.0.push_str("<tr>");
        for name in names {
            let _ = write!(self.0, "<th>{name}</th>");
        }
        self.0.push_str(&cells.concat());
        self.0.push_str("</tr>\n");
    }

    pub(super) fn html(&self) -> String {
        format!("<div class=\"wide\"><table>\n{}</table></div>\n", self.0)
    }
}

pub(super) fn cell(text: &str) -> String {
    format!("<td>{text}</td>")
}

pub(super) fn left(text: &str) -> String {
    format!("<td class=\"left\">{text}</td>")
}

/// Green above 1, red below, the stronger the further; `note` is shown to who points at it.
pub(super) fn ratio(ratio: f64, note: &str) -> String {
    let strength = (ratio.max(0.01).ln().abs() / 2_f64.ln()).min(1.0);
    let (hue, light) = (if ratio >= 1.0 { 130 } else { 8 }, 97.0 - 42.0 * strength);
    format!(
        "<td class=\"heat\" style=\"background:hsl({hue} 65% {light:.0}%)\" title=\"{note}\">{ratio:.2}</td>"
    )
}

/// The greener, the nearer to a full link.
pub(super) fn share(percent: f64, note: &str) -> String {
    let light = 97.0 - 42.0 * (percent / 100.0).clamp(0.0, 1.0);
    format!(
        "<td class=\"heat\" style=\"background:hsl(210 65% {light:.0}%)\" title=\"{note}\">{percent:.0}</td>"
    )
}

pub(super) fn details(summary: &str, open: bool, content: &str) -> String {
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>{summary}</summary>\n{content}</details>\n")
}
