//! Transfers that share a link: who got what, over time.

use gapless_lab::picture::plot::{Axis, Chart, Color, Series, Shape, Unit};

use super::table::{Table, cell, details, left};
use crate::rows::FairRow;

/// A chart for each group on the most ordinary path, and a table of all.
pub(super) fn courses(rows: &[FairRow]) -> String {
    let mut html = String::from(
        "<p>Transfers begin one after the other, a tenth of the time apart. Shares are those of the second half; Jain's index is 1 when all have the same and \
         1/n when one has all.</p>\n",
    );
    let mut table = Table::default();
    let names = [
        "Mbit/s",
        "rtt ms",
        "queue BDP",
        "Jain",
        "together %",
        "shares %",
        "transfers",
    ];
    table.head(&names.map(|name| (name.to_string(), 1)));
    for row in rows {
        let names = [
            row.rate_mbit.to_string(),
            row.rtt_ms.to_string(),
            (f64::from(row.queue_percent) / 100.0).to_string(),
        ];
        let cells = [
            cell(&format!("{:.3}", row.jain)),
            cell(&format!("{:.0}", row.together_percent)),
            left(&row.shares),
            left(&row.transports),
        ];
        table.line(&names, &cells);
    }
    html.push_str(&details("All shares", false, &table.html()));
    let ordinary = |row: &&FairRow| {
        (row.rate_mbit, row.rtt_ms, row.queue_percent) == (10, 20, 100) && row.loss_percent == 0.0
    };
    for row in rows.iter().filter(ordinary) {
        let caption = format!(
            "{}: {} % of 10 Mbit/s, 20 ms, a queue of one BDP; Jain's index {}",
            row.transports, row.shares, row.jain
        );
        html.push_str(&chart(row).figure(&caption));
    }
    html
}

fn chart(row: &FairRow) -> Chart {
    let x = Axis::linear("time", Unit::Seconds, 0.0, row.seconds);
    let y = Axis::linear("share of the link", Unit::Percent, 0.0, 1.0);
    let mut chart = Chart::new(row.transports.clone(), x, y);
    chart.height = 180.0;
    let names = row.transports.split(" + ");
    for (index, (name, course)) in names.zip(row.course.split('/')).enumerate() {
        let shares: Vec<f64> = course
            .split(' ')
            .filter_map(|share| share.parse().ok())
            .collect();
        let part = row.seconds / shares.len().max(1) as f64;
        let points = shares
            .iter()
            .enumerate()
            .map(|(at, share)| (at as f64 * part, share / 100.0))
            .collect();
        let name = format!("{}: {name}", index + 1);
        chart.series.push(Series::new(
            name,
            COLORS[index % COLORS.len()],
            Shape::Steps,
            points,
        ));
    }
    chart
}

const COLORS: [Color; 4] = [Color::Blue, Color::Orange, Color::Green, Color::Red];
