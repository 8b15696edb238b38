//! Packets as lines of text, for people who look for the reason.

use crate::plan::Time;
use crate::report::Seconds;
use gapless_udx::wire::{Ack, Datagram, Frame, Header, Ordered, Stream};
use std::fmt::Write;

/// Where the lines go.
pub type Sink<'a> = &'a mut dyn FnMut(&str);

/// A log that may be switched off, at no cost then.
pub(crate) struct Log<'a> {
    sink: Option<Sink<'a>>,
}

impl<'a> Log<'a> {
    pub(crate) fn new(sink: Option<Sink<'a>>) -> Self {
        Self { sink }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.sink.is_some()
    }

    pub(crate) fn line(&mut self, now: Time, text: impl FnOnce() -> String) {
        if let Some(sink) = &mut self.sink {
            sink(&format!("{:>14}  {}", Seconds(now).to_string(), text()));
        }
    }
}

/// A datagram in one line.
pub fn describe(datagram: &[u8]) -> String {
    let packet = match crate::watch::decode(datagram) {
        Ok(Datagram::Packet(packet)) => packet,
        Ok(Datagram::VersionNegotiation(_)) => return "version negotiation".into(),
        Err(error) => return format!("{} bytes, not a packet: {error}", datagram.len()),
    };
    let Header {
        version,
        number,
        destination_stream,
        source_stream,
        ..
    } = packet.header();
    let mut line = format!(
        "{:>4} bytes  v{version} #{}  {source_stream:x}->{destination_stream:x} ",
        datagram.len(),
        number.raw()
    );
    for frame in packet.frames() {
        line.push_str("  ");
        describe_frame(&mut line, &frame);
    }
    line
}

fn describe_frame(line: &mut String, frame: &Frame<'_>) {
    match frame {
        Frame::Stream(Stream {
            fin,
            syn,
            offset,
            data,
        }) => {
            let end = offset.saturating_add(data.len() as u64);
            let _ = write!(line, "STREAM {offset}..{end}{}", flags(*syn, *fin));
        }
        Frame::Ordered(Ordered { fin, syn, data }) => {
            let _ = write!(line, "STREAM {} bytes{}", data.len(), flags(*syn, *fin));
        }
        Frame::Ack(ack) => describe_ack(line, ack),
        other => {
            let _ = write!(line, "{other:?}");
        }
    }
}

fn flags(syn: bool, fin: bool) -> &'static str {
    match (syn, fin) {
        (true, true) => " SYN FIN",
        (true, false) => " SYN",
        (false, true) => " FIN",
        (false, false) => "",
    }
}

/// As on the wire: the largest, and the ranges as counts of those acknowledged and those missing between.
fn describe_ack(line: &mut String, ack: &Ack<'_>) {
    let _ = write!(line, "ACK {} down {}", ack.largest.raw(), ack.first);
    for range in ack.extra.iter() {
        let _ = write!(line, " gap {} down {}", range.gap, range.length);
    }
    let _ = write!(line, " after {} ms", ack.delay_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_formatted_while_the_log_is_off() {
        let mut log = Log::new(None);
        log.line(0, || unreachable!("the log is off"));
        assert!(!log.is_on());
    }

    #[test]
    fn lines_carry_the_time() {
        let mut lines = Vec::new();
        let mut sink = |line: &str| lines.push(line.to_string());
        Log::new(Some(&mut sink)).line(1_234_567_890, || "something".into());
        assert_eq!(lines, ["    1.234567 s  something"]);
    }

    #[test]
    fn what_is_no_packet_is_said_to_be_none() {
        assert!(describe(b"noise").contains("not a packet"));
    }
}
