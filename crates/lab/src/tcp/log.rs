//! TCP packets as lines of text.

use super::packet::{ACK, FIN, PSH, RST, SYN, Seen, URG};
use std::fmt::Write;

/// An IP packet in one line.
pub fn describe(packet: &[u8]) -> String {
    let Some(seen) = Seen::read(packet) else {
        return format!("{} bytes, no whole TCP segment", packet.len());
    };
    let names = [
        (SYN, 'S'),
        (FIN, 'F'),
        (RST, 'R'),
        (PSH, 'P'),
        (URG, 'U'),
        (ACK, '.'),
    ];
    let flags: String = names
        .iter()
        .filter(|(flag, _)| seen.has(*flag))
        .map(|(_, name)| *name)
        .collect();
    let mut line = format!(
        "{:>4} bytes  {}->{}  [{flags}] seq {}",
        packet.len(),
        seen.from.port(),
        seen.to.port(),
        seen.sequence
    );
    if !seen.payload.is_empty() {
        let end = seen.sequence.wrapping_add(seen.payload.len() as u32);
        let _ = write!(line, "..{end} ({})", seen.payload.len());
    }
    if seen.has(ACK) {
        let _ = write!(line, " ack {}", seen.acknowledgment);
    }
    let _ = write!(line, " win {}", seen.window);
    if let Some((value, echo)) = seen.stamps {
        let _ = write!(line, " ts {value}/{echo}");
    }
    if let Some(mss) = seen.mss {
        let _ = write!(line, " mss {mss}");
    }
    if let Some(scale) = seen.scale {
        let _ = write!(line, " scale {scale}");
    }
    if seen.sack_permitted {
        line.push_str(" sack-ok");
    }
    for (left, right) in &seen.sack {
        let _ = write!(line, " sack {left}..{right}");
    }
    line
}
