//! Short transfers: how long they take.

use std::collections::BTreeSet;

use super::table::{Table, cell, details};
use crate::report;
use crate::rows::ShortRow;

/// A table for each size.
pub(super) fn tables(rows: &[ShortRow]) -> String {
    let mut html = String::from(
        "<p>Milliseconds from the dial until the last byte is read; in brackets the same without the opening, from when data might leave; behind the slash, from \
         the dial to a peer that was met before. Medians. quinn's opening is a handshake with TLS 1.3, smoltcp's is TCP's, ours asks an unknown peer for its \
         version: each takes one round trip. Of a known peer, ours remembers the version and quinn a session of TLS, and both send data at once; smoltcp \
         remembers nothing.</p>\n",
    );
    let kinds: BTreeSet<_> = rows.iter().map(|row| row.transport).collect();
    for cells in report::sized(rows).chunk_by(|one, other| one.bytes == other.bytes) {
        let mut table = Table::default();
        let names = ["Mbit/s", "rtt ms", "loss %"].map(|name| (name.to_string(), 1));
        let over = kinds.iter().map(|kind| (kind.name().to_string(), 1));
        table.head(&names.into_iter().chain(over).collect::<Vec<_>>());
        for one in cells {
            let names = [
                one.path.rate_mbit.to_string(),
                one.path.rtt_ms.to_string(),
                one.path.loss_percent().to_string(),
            ];
            let figures: Vec<_> = kinds.iter().map(|kind| cell(&one.figures(*kind))).collect();
            table.line(&names, &figures);
        }
        let title = format!("{} KB", cells[0].bytes / 1000);
        html.push_str(&details(&title, true, &table.html()));
    }
    html
}
