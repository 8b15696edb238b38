//! Axes: from values to pixels, and round numbers for labels.

use super::{Frame, number};
use crate::picture::escape::escape;
use std::fmt::Write;

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it counts.
    pub label: String,
    /// The least value that is shown.
    pub from: f64,
    /// The greatest.
    pub to: f64,
    /// How values are spread.
    pub scale: Scale,
    /// How values are written.
    pub unit: Unit,
}

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// Each factor takes the same room. Both ends have to be more than 0.
    Log,
}

/// What a number is, and so how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Just a number.
    Number,
    /// Seconds, also as ms or µs.
    Seconds,
    /// Bytes, in powers of 1000.
    Bytes,
    /// Bits per second, in powers of 1000.
    BitsPerSecond,
    /// Hundredths.
    Percent,
}

impl Axis {
    /// Even spread over a range; one without extent is widened.
    pub fn linear(label: impl Into<String>, unit: Unit, from: f64, to: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        Self {
            label: label.into(),
            from,
            to,
            scale: Scale::Linear,
            unit,
        }
    }

    /// Each factor takes the same room.
    pub fn log(label: impl Into<String>, unit: Unit, from: f64, to: f64) -> Self {
        let from = if from > 0.0 { from } else { 1.0 };
        let to = if to > from { to } else { from * 10.0 };
        Self {
            label: label.into(),
            from,
            to,
            scale: Scale::Log,
            unit,
        }
    }

    /// Where a value lies between the pixels `start` and `end`.
    pub fn place(&self, value: f64, start: f64, end: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => {
                let value = value.max(self.from / 1e3).max(f64::MIN_POSITIVE);
                (value / self.from).ln() / (self.to / self.from).ln()
            }
        };
        // Far outside is as good as just outside, and can be written down.
        start + (end - start) * share.clamp(-4.0, 5.0)
    }

    /// Round numbers inside, about `count` of them.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = self.step(count);
                let first = (self.from / step).ceil();
                let last = (self.to / step + 1e-9).floor();
                let steps = (last - first).clamp(0.0, 100.0) as u32;
                (0..=steps).map(|n| (first + f64::from(n)) * step).collect()
            }
            Scale::Log => {
                let decades = (self.to / self.from).log10();
                let of_decade: &[f64] = match decades {
                    d if d < 1.5 => &[1.0, 2.0, 3.0, 5.0, 7.0],
                    d if d < 4.0 => &[1.0, 2.0, 5.0],
                    _ => &[1.0],
                };
                let first = self.from.log10().floor() as i32;
                let last = self.to.log10().ceil() as i32;
                let values = (first..=last.min(first + 40)).flat_map(|power| {
                    let decade = 10_f64.powi(power);
                    of_decade.iter().map(move |factor| factor * decade)
                });
                let (low, high) = (self.from * 0.999, self.to * 1.001);
                values.filter(|&it| (low..=high).contains(&it)).collect()
            }
        }
    }

    /// A value as a label.
    pub fn text(&self, value: f64, step: f64) -> String {
        let (factor, unit) = self.prefix(value);
        let (value, step) = (value / factor, step / factor);
        let decimals = match self.scale {
            Scale::Linear => decimals(step),
            Scale::Log => decimals(value.abs().max(1e-9)),
        };
        // What is nothing has no sign.
        let text = format!("{:.decimals$}", value + 0.0);
        format!("{text}{unit}")
    }

    fn prefix(&self, value: f64) -> (f64, &'static str) {
        // All labels of an even axis have one unit, so that they can be compared at a glance.
        let most = match self.scale {
            Scale::Linear => self.to.abs().max(self.from.abs()),
            Scale::Log => value.abs(),
        };
        let fit = |prefixes: &[(f64, &'static str)]| {
            let fits = prefixes.iter().find(|(factor, _)| most >= factor * 0.9999);
            *fits.or(prefixes.last()).unwrap_or(&(1.0, ""))
        };
        match self.unit {
            Unit::Number => (1.0, ""),
            Unit::Percent => (0.01, " %"),
            Unit::Seconds => fit(&[(1.0, " s"), (1e-3, " ms"), (1e-6, " µs")]),
            Unit::Bytes => fit(&[(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")]),
            Unit::BitsPerSecond => fit(&[
                (1e9, " Gbit/s"),
                (1e6, " Mbit/s"),
                (1e3, " kbit/s"),
                (1.0, " bit/s"),
            ]),
        }
    }

    /// The round number nearest above the range's `count`th part: 1, 2 or 5 times a power of ten.
    pub(super) fn step(&self, count: usize) -> f64 {
        let rough = (self.to - self.from) / count.max(1) as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let factor = match rough / power {
            f if f <= 1.0 + 1e-6 => 1.0,
            f if f <= 2.0 + 1e-6 => 2.0,
            f if f <= 5.0 + 1e-6 => 5.0,
            _ => 10.0,
        };
        factor * power
    }

    /// For the script.
    pub(super) fn attributes(&self) -> String {
        let scale = match self.scale {
            Scale::Linear => "linear",
            Scale::Log => "log",
        };
        format!("{} {} {scale} {:?}", self.from, self.to, self.unit)
    }

    pub(super) fn draw_horizontal(&self, svg: &mut String, frame: &Frame) {
        let Frame {
            left,
            top,
            right,
            bottom,
        } = *frame;
        svg.push_str("<g class=\"axis ax\">");
        for value in self.ticks(TICKS_ACROSS) {
            let x = number(self.place(value, left, right));
            let text = self.text(value, self.step(TICKS_ACROSS));
            let _ = write!(
                svg,
                "<path d=\"M{x} {top}V{bottom}\"/><text x=\"{x}\" y=\"{}\">{text}</text>",
                bottom + 15.0
            );
        }
        let _ = writeln!(
            svg,
            "</g>\n<text class=\"label\" x=\"{}\" y=\"{}\">{}</text>",
            f64::midpoint(left, right),
            bottom + 32.0,
            escape(&self.label)
        );
    }

    pub(super) fn draw_vertical(&self, svg: &mut String, frame: &Frame) {
        let Frame {
            left,
            top,
            right,
            bottom,
        } = *frame;
        let count = ((bottom - top) / ROOM_FOR_TICK).max(2.0) as usize;
        svg.push_str("<g class=\"axis ay\">");
        for value in self.ticks(count) {
            let y = self.place(value, bottom, top);
            let text = self.text(value, self.step(count));
            let _ = write!(
                svg,
                "<path d=\"M{left} {}H{right}\"/><text x=\"{}\" y=\"{}\">{text}</text>",
                number(y),
                left - 6.0,
                number(y + 4.0)
            );
        }
        let middle = f64::midpoint(top, bottom);
        let _ = writeln!(
            svg,
            "</g>\n<text class=\"label\" transform=\"translate(12 {middle}) rotate(-90)\">{}</text>",
            escape(&self.label)
        );
    }
}

/// Digits behind the point that a step of this size needs.
fn decimals(step: f64) -> usize {
    let digits = (-(step * 1.0001).log10().floor()).clamp(0.0, 9.0);
    digits as usize
}

const TICKS_ACROSS: usize = 10;
/// Pixels between two labels above each other.
const ROOM_FOR_TICK: f64 = 42.0;
