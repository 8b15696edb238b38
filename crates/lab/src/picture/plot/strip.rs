//! Times in which something was the case, as coloured strips above each other.

use super::{Axis, Color, LEFT, RIGHT, WIDTH, legend, number};
use crate::picture::escape::escape;
use std::fmt::Write;

/// Strips over one axis.
#[derive(Clone, Debug)]
pub struct Strip {
    /// What it shows.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// Charts of one group are zoomed together.
    pub group: Option<String>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// One strip.
#[derive(Clone, Debug)]
pub struct Row {
    /// Beside it.
    pub label: String,
    /// Its parts, in the order of time.
    pub spans: Vec<Span>,
}

/// A part of a strip.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// From.
    pub from: f64,
    /// To.
    pub to: f64,
    /// The colour.
    pub color: Color,
    /// What was the case, for the legend.
    pub name: String,
}

const ROW: f64 = 20.0;
const GAP: f64 = 6.0;
const TOP: f64 = 4.0;
const BOTTOM: f64 = 24.0;

impl Strip {
    /// The strips with their legend and a caption, which is HTML.
    pub fn figure(&self, caption: &str) -> String {
        let (svg, legend) = (self.svg(), self.legend());
        format!("<figure>\n{svg}{legend}<figcaption>{caption}</figcaption>\n</figure>\n")
    }

    /// Names and colours.
    pub fn legend(&self) -> String {
        let spans = self.rows.iter().flat_map(|row| &row.spans);
        let entries: Vec<_> = spans
            .map(|span| (span.name.clone(), span.color, "block"))
            .collect();
        legend(&entries)
    }

    /// The strips alone.
    pub fn svg(&self) -> String {
        let height = TOP + self.rows.len() as f64 * (ROW + GAP) + BOTTOM;
        let frame = super::Frame {
            left: LEFT,
            top: TOP,
            right: WIDTH - RIGHT,
            bottom: height - BOTTOM,
        };
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg class=\"chart strip\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\" data-group=\"{}\" data-fits=\"0\" data-frame=\"{} {} {} {}\" data-x=\"{}\" data-y=\"0 1 linear Number\">",
            escape(&self.title),
            escape(self.group.as_deref().unwrap_or_default()),
            frame.left,
            frame.top,
            frame.right,
            frame.bottom,
            self.x.attributes()
        );
        let bare = Axis {
            label: String::new(),
            ..self.x.clone()
        };
        bare.draw_horizontal(&mut svg, &frame);
        for (index, row) in self.rows.iter().enumerate() {
            let y = TOP + index as f64 * (ROW + GAP);
            let _ = writeln!(
                svg,
                "<text class=\"row\" x=\"{}\" y=\"{}\">{}</text>",
                LEFT - 6.0,
                y + ROW - 5.0,
                escape(&row.label)
            );
        }
        let (width, area) = (frame.right - frame.left, frame.bottom - frame.top);
        let _ = writeln!(
            svg,
            "<svg class=\"area\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{area}\" viewBox=\"{LEFT} {TOP} {width} {area}\">"
        );
        for (index, row) in self.rows.iter().enumerate() {
            let y = TOP + index as f64 * (ROW + GAP);
            for (color, name, d) in self.paths(row, y, &frame) {
                let _ = writeln!(
                    svg,
                    "<path class=\"span {}\" data-of=\"{}\" d=\"{d}\"/>",
                    color.class(),
                    escape(&name)
                );
            }
        }
        svg.push_str("</svg>\n<g class=\"pointer\"></g>\n</svg>\n");
        svg
    }

    /// One path for each kind of span; what is narrower than a hair is widened to one.
    fn paths(&self, row: &Row, y: f64, frame: &super::Frame) -> Vec<(Color, String, String)> {
        let mut paths: Vec<(Color, String, String)> = Vec::new();
        for span in &row.spans {
            let x = |value| self.x.place(value, frame.left, frame.right);
            let (from, to) = (x(span.from), x(span.to));
            let to = to.max(from + HAIR);
            let known = paths.iter_mut().find(|path| path.1 == span.name);
            let piece = format!(
                "M{} {y}H{}v{ROW}H{}z",
                number(from),
                number(to),
                number(from)
            );
            match known {
                Some((.., d)) => d.push_str(&piece),
                None => paths.push((span.color, span.name.clone(), piece)),
            }
        }
        paths
    }
}

/// Pixels.
const HAIR: f64 = 0.3;
