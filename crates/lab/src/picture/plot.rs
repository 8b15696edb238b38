//! Charts as SVG: axes with round numbers, lines, steps, marks, bars, shaded times, legends. They know nothing of what they show.
//!
//! A chart is drawn whole here and needs no script. With [`SCRIPT`] in the page, charts of one group follow the pointer together,
//! and dragging over one of them shows a part of the time in all. So that this is little work, a path names places by absolute
//! commands (`M`, `L`, `H`, `V`), which the script moves, and shapes that keep their size by relative ones.

mod axis;
mod shape;
mod strip;

pub use axis::{Axis, Scale, Unit};
pub use shape::{Color, Series, Shape};
pub use strip::{Row, Span, Strip};

use super::escape::escape;
use std::fmt::Write;

/// The rules by which charts look; they take their colours from variables that follow the reader's light or dark setting.
pub const STYLE: &str = include_str!("plot/chart.css");
/// Pointer and zoom. Charts are complete without it.
pub const SCRIPT: &str = include_str!("plot/chart.js");

/// One chart: series over two axes.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows, for those who cannot see it.
    pub title: String,
    /// Height in pixels, at [`WIDTH`].
    pub height: f64,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// Charts of one group are zoomed together.
    pub group: Option<String>,
    /// When zoomed, the vertical axis shrinks to what can be seen.
    pub fits: bool,
    /// Shaded parts of the horizontal axis.
    pub bands: Vec<Band>,
    /// Lines from bottom to top.
    pub marks: Vec<Mark>,
    /// What is drawn, the last on top.
    pub series: Vec<Series>,
}

/// A shaded part of the horizontal axis.
#[derive(Clone, Debug)]
pub struct Band {
    /// From.
    pub from: f64,
    /// To.
    pub to: f64,
    /// The colour.
    pub color: Color,
    /// What it is, for the legend.
    pub name: String,
}

/// Vertical lines of one kind.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where.
    pub at: Vec<f64>,
    /// The colour.
    pub color: Color,
    /// What they are, for the legend.
    pub name: String,
}

/// Width of a chart in pixels; it is scaled to its place in the page.
pub const WIDTH: f64 = 1100.0;
/// Room for the labels.
pub(super) const LEFT: f64 = 104.0;
pub(super) const RIGHT: f64 = 14.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 38.0;

impl Chart {
    /// An empty chart.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            height: 260.0,
            x,
            y,
            group: None,
            fits: false,
            bands: Vec::new(),
            marks: Vec::new(),
            series: Vec::new(),
        }
    }

    /// The chart with its legend and a caption, which is HTML.
    pub fn figure(&self, caption: &str) -> String {
        let (svg, legend) = (self.svg(), self.legend());
        format!("<figure>\n{svg}{legend}<figcaption>{caption}</figcaption>\n</figure>\n")
    }

    /// The chart alone.
    pub fn svg(&self) -> String {
        let frame = self.frame();
        let mut svg = self.head(&frame);
        self.x.draw_horizontal(&mut svg, &frame);
        self.y.draw_vertical(&mut svg, &frame);
        let Frame {
            left,
            top,
            right,
            bottom,
        } = frame;
        let (width, height) = (right - left, bottom - top);
        // A nested image cuts off what lies outside, without a name that would have to be unique in the page.
        let _ = writeln!(
            svg,
            "<svg class=\"area\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" viewBox=\"{left} {top} {width} {height}\">"
        );
        for band in &self.bands {
            let (from, to) = (
                self.x.place(band.from, left, right),
                self.x.place(band.to, left, right),
            );
            let _ = writeln!(
                svg,
                "<path class=\"band {}\" data-of=\"{}\" d=\"M{} {top}H{}v{height}H{}z\"/>",
                band.color.class(),
                escape(&band.name),
                number(from),
                number(to),
                number(from)
            );
        }
        for mark in &self.marks {
            let places = mark.at.iter().map(|&at| self.x.place(at, left, right));
            let mut d = String::new();
            for x in shape::apart(places, SAME_MARK) {
                let _ = write!(d, "M{} {top}v{height}", number(x));
            }
            let _ = writeln!(
                svg,
                "<path class=\"mark {}\" data-of=\"{}\" d=\"{d}\"/>",
                mark.color.class(),
                escape(&mark.name)
            );
        }
        for series in &self.series {
            series.draw(&mut svg, &self.x, &self.y, &frame);
        }
        svg.push_str("</svg>\n<g class=\"pointer\"></g>\n</svg>\n");
        svg
    }

    /// Names and colours.
    pub fn legend(&self) -> String {
        let mut entries: Vec<(String, Color, &str)> = Vec::new();
        for series in &self.series {
            entries.push((series.name.clone(), series.color, series.shape.key()));
        }
        for mark in self.marks.iter().filter(|mark| !mark.at.is_empty()) {
            entries.push((mark.name.clone(), mark.color, "tick"));
        }
        for band in &self.bands {
            entries.push((band.name.clone(), band.color, "block"));
        }
        legend(&entries)
    }

    fn frame(&self) -> Frame {
        Frame {
            left: LEFT,
            top: TOP,
            right: WIDTH - RIGHT,
            bottom: self.height - BOTTOM,
        }
    }

    fn head(&self, frame: &Frame) -> String {
        let group = self.group.as_deref().unwrap_or_default();
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\" data-group=\"{}\" data-fits=\"{}\" data-frame=\"{} {} {} {}\" data-x=\"{}\" data-y=\"{}\">",
            self.height,
            escape(&self.title),
            escape(group),
            u8::from(self.fits),
            frame.left,
            frame.top,
            frame.right,
            frame.bottom,
            self.x.attributes(),
            self.y.attributes(),
        );
        svg
    }
}

/// Where the data are drawn, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

/// A list of names, each once, with a key in its colour.
pub(super) fn legend(entries: &[(String, Color, &str)]) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    let mut seen: Vec<&str> = Vec::new();
    for (name, color, key) in entries {
        if seen.contains(&name.as_str()) {
            continue;
        }
        seen.push(name);
        let name = escape(name);
        let _ = write!(
            html,
            "<li data-of=\"{name}\"><span class=\"key {key} {}\"></span>{name}</li>",
            color.class()
        );
    }
    html.push_str("</ul>\n");
    html
}

/// A coordinate: hundredths of a pixel are enough to be magnified a hundred times.
pub(super) fn number(value: f64) -> String {
    let hundredths = (value * 100.0).round();
    // Also turns what is not a number into a place that can be seen to be wrong.
    let hundredths = if hundredths.is_finite() {
        hundredths
    } else {
        0.0
    } + 0.0;
    let text = format!("{}", hundredths / 100.0);
    if text == "-0" { "0".into() } else { text }
}

/// Vertical lines closer than this, in pixels, are one.
const SAME_MARK: f64 = 0.05;

#[cfg(test)]
mod tests;
