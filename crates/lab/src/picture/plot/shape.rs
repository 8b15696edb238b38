//! Series of values as paths, thinned out to what can be seen.

use super::{Axis, Frame, number};
use crate::picture::escape::escape;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Values that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// For the legend; empty for none.
    pub name: String,
    /// The colour.
    pub color: Color,
    /// How it is drawn.
    pub shape: Shape,
    /// Horizontal and vertical values.
    pub points: Vec<(f64, f64)>,
    /// Of bars: where each ends.
    pub ends: Vec<f64>,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A straight line from each value to the next.
    Line,
    /// A value holds until the next one.
    Steps,
    /// As [`Shape::Steps`], broken.
    Dashes,
    /// A small dot for each.
    Dots,
    /// A cross for each.
    Crosses,
    /// A ring for each.
    Rings,
    /// An upright line from each value to its end.
    Bars,
}

/// Colours by place: each is told from the others in light and in dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Blue.
    Blue,
    /// Orange.
    Orange,
    /// Green.
    Green,
    /// Red.
    Red,
    /// Violet.
    Violet,
    /// Between blue and green.
    Teal,
    /// Grey.
    Grey,
    /// Pink.
    Pink,
    /// Pale grey, for what is of no interest.
    Pale,
    /// Yellow.
    Yellow,
}

impl Color {
    /// The ten of them.
    pub const ALL: [Self; 10] = [
        Self::Blue,
        Self::Orange,
        Self::Green,
        Self::Red,
        Self::Violet,
        Self::Teal,
        Self::Grey,
        Self::Pink,
        Self::Pale,
        Self::Yellow,
    ];

    /// The class that gives an element this colour.
    pub fn class(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Orange => "orange",
            Self::Green => "green",
            Self::Red => "red",
            Self::Violet => "violet",
            Self::Teal => "teal",
            Self::Grey => "grey",
            Self::Pink => "pink",
            Self::Pale => "pale",
            Self::Yellow => "yellow",
        }
    }
}

impl Shape {
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Line | Self::Steps => "line",
            Self::Dashes => "dashes",
            Self::Dots => "dots",
            Self::Crosses => "crosses",
            Self::Rings => "rings",
            Self::Bars => "bars",
        }
    }
}

impl Series {
    /// Values in the order of the horizontal ones.
    pub fn new(
        name: impl Into<String>,
        color: Color,
        shape: Shape,
        points: Vec<(f64, f64)>,
    ) -> Self {
        Self {
            name: name.into(),
            color,
            shape,
            points,
            ends: Vec::new(),
        }
    }

    /// Upright lines: where, from and to.
    pub fn bars(name: impl Into<String>, color: Color, bars: &[(f64, f64, f64)]) -> Self {
        Self {
            name: name.into(),
            color,
            shape: Shape::Bars,
            points: bars.iter().map(|&(x, from, _)| (x, from)).collect(),
            ends: bars.iter().map(|&(_, _, to)| to).collect(),
        }
    }

    pub(super) fn draw(&self, svg: &mut String, x: &Axis, y: &Axis, frame: &Frame) {
        let place = |&(at, value): &(f64, f64)| {
            (
                x.place(at, frame.left, frame.right),
                y.place(value, frame.bottom, frame.top),
            )
        };
        let places = self.points.iter().map(place);
        let d = match self.shape {
            Shape::Line => line(&seen(places.collect())),
            Shape::Steps | Shape::Dashes => steps(&seen(places.collect())),
            Shape::Bars => {
                let ends = self
                    .ends
                    .iter()
                    .map(|&end| y.place(end, frame.bottom, frame.top));
                let bars = places.zip(ends).map(|((x, from), to)| (x, from, to));
                bars_of(bars.collect())
            }
            Shape::Dots => marks(places.collect(), "h0"),
            Shape::Crosses => marks(places.collect(), "m-3.5-3.5l7 7m0-7l-7 7"),
            Shape::Rings => marks(
                places.collect(),
                "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
            ),
        };
        if !d.is_empty() {
            let (key, color) = (self.shape.key(), self.color.class());
            let name = escape(&self.name);
            let _ = writeln!(
                svg,
                "<path class=\"series {key} {color}\" data-of=\"{name}\" d=\"{d}\"/>"
            );
        }
    }
}

fn line(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(d, "{command}{} {}", number(x), number(y));
    }
    d
}

fn steps(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        let (x, y) = (number(x), number(y));
        let _ = if index == 0 {
            write!(d, "M{x} {y}")
        } else {
            write!(d, "H{x}V{y}")
        };
    }
    d
}

fn marks(places: Vec<(f64, f64)>, mark: &str) -> String {
    let mut d = String::new();
    for (x, y) in distinct(places.into_iter().map(|(x, y)| (x, y, y)))
        .into_iter()
        .map(|it| (it.0, it.1))
    {
        let _ = write!(d, "M{} {}{mark}", number(x), number(y));
    }
    d
}

fn bars_of(bars: Vec<(f64, f64, f64)>) -> String {
    let mut d = String::new();
    for (x, from, to) in distinct(bars.into_iter()) {
        let _ = write!(d, "M{} {}V{}", number(x), number(from), number(to));
    }
    d
}

/// Of a line with very many points, for each part of a pixel the first, the last, the lowest and the highest.
fn seen(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= LINE_POINTS {
        return points;
    }
    let mut kept = Vec::new();
    let column = |x: f64| (x / LINE_COLUMN).floor();
    for group in points.chunk_by(|a, b| column(a.0) == column(b.0)) {
        let mut ends: Vec<usize> = vec![0, group.len() - 1];
        let by_height = |&a: &usize, &b: &usize| group[a].1.total_cmp(&group[b].1);
        ends.extend((0..group.len()).min_by(by_height));
        ends.extend((0..group.len()).max_by(by_height));
        ends.sort_unstable();
        ends.dedup();
        kept.extend(ends.into_iter().map(|index| group[index]));
    }
    kept
}

/// Marks that lie on each other are drawn once: closer together as there are fewer of them.
fn distinct(marks: impl Iterator<Item = (f64, f64, f64)> + Clone) -> Vec<(f64, f64, f64)> {
    let mut kept = Vec::new();
    for grid in GRIDS {
        let mut seen = BTreeSet::new();
        let cell = |value: f64| (value / grid).round() as i64;
        let marks = marks.clone();
        kept = marks
            .filter(|&(x, from, to)| seen.insert((cell(x), cell(from), cell(to))))
            .collect();
        if kept.len() <= MARKS {
            break;
        }
    }
    kept
}

/// Of ascending places, those that are at least so far apart.
pub(super) fn apart(places: impl Iterator<Item = f64>, least: f64) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::new();
    for place in places {
        if kept
            .last()
            .is_none_or(|&last| (place - last).abs() >= least)
        {
            kept.push(place);
        }
    }
    kept
}

/// A line with fewer points is drawn as it is.
const LINE_POINTS: usize = 6_000;
/// Pixels in which a line with more has four points at the most.
const LINE_COLUMN: f64 = 0.5;
/// Marks of one series before those that lie closer together are joined.
const MARKS: usize = 20_000;
/// Pixels within which two marks are one, by how many there are. The last leaves some ten thousand in a
/// chart that is full of them.
const GRIDS: [f64; 6] = [0.02, 0.1, 0.25, 0.5, 1.5, 3.0];
