//! Packets by hand: what breaks a rule is noticed, and what does not is let pass.

use super::*;
use gapless_tcp::wire::{Ecn, Flags, Header, Options, PacketHeader, Timestamps, Verify};

const SYN_ACK: Flags = Flags::SYN.with_if(true, Flags::ACK);
const FIN_ACK: Flags = Flags::FIN.with_if(true, Flags::ACK);

/// Both hosts, and nothing is lost between them.
struct Talk {
    scenario: TcpScenario,
    watch: Watch,
}

impl Talk {
    fn new() -> Self {
        let scenario = TcpScenario::from_bytes(&[]);
        let watch = Watch::new(&scenario);
        Self { scenario, watch }
    }

    /// The handshake: numbers begin at 100 and 500.
    fn opened() -> Self {
        let mut talk = Self::new();
        talk.says(0, Flags::SYN, 100, 0, b"");
        talk.says(1, SYN_ACK, 500, 101, b"");
        talk.says(0, Flags::ACK, 101, 501, b"");
        talk
    }

    /// Host 1 answers five octets by as many and closes; so host 0 is left in TIME-WAIT.
    fn closed() -> Self {
        let mut talk = Self::opened();
        talk.says(0, FIN_ACK, 101, 501, b"hello");
        talk.says(1, FIN_ACK, 501, 107, b"world");
        talk.says(0, Flags::ACK, 107, 507, b"");
        talk
    }

    fn packet(&self, host: usize, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
        self.packet_with(host, (flags, seq, ack), Options::NONE, payload)
    }

    /// One with timestamps.
    fn stamped(&self, host: usize, flags: Flags, seq: u32, ack: u32) -> Vec<u8> {
        let timestamps = Timestamps {
            value: 1.into(),
            echo: u32::from(flags.has(Flags::ACK)).into(),
        };
        let options = Options {
            timestamps: Some(timestamps),
            ..Options::NONE
        };
        self.packet_with(host, (flags, seq, ack), options, b"")
    }

    #[track_caller]
    fn offers(&mut self, host: usize, flags: Flags, seq: u32, ack: u32) {
        let packet = self.stamped(host, flags, seq, ack);
        assert_eq!(self.watch.sent(host, &packet), Ok(()));
        self.watch.delivered(1 - host, &packet);
    }

    fn packet_with(
        &self,
        host: usize,
        (flags, seq, ack): (Flags, u32, u32),
        options: Options,
        payload: &[u8],
    ) -> Vec<u8> {
        let ports = [40_000, 7];
        let header = Header {
            source_port: ports[host],
            destination_port: ports[1 - host],
            sequence: seq.into(),
            acknowledgment: ack.into(),
            flags,
            window: 1000,
            urgent: 0,
            options,
        };
        let (source, destination) = (self.scenario.address(host), self.scenario.address(1 - host));
        let ip = PacketHeader {
            source,
            destination,
            protocol: 6,
            ecn: Ecn::NotCapable,
            hop_limit: 64,
        };
        let mut packet = vec![0; ip.len() + header.len()];
        packet.extend_from_slice(payload);
        let segment = &mut packet[ip.len()..];
        header
            .write(source, destination, segment, Verify::Here)
            .expect("there is room");
        ip.write(&mut packet, Verify::Here).expect("there is room");
        packet
    }

    fn tries(
        &mut self,
        host: usize,
        flags: Flags,
        seq: u32,
        ack: u32,
        payload: &[u8],
    ) -> Result<(), Rule> {
        let packet = self.packet(host, flags, seq, ack, payload);
        self.watch.sent(host, &packet).map_err(|(rule, _)| rule)?;
        self.watch.delivered(1 - host, &packet);
        Ok(())
    }

    #[track_caller]
    fn says(&mut self, host: usize, flags: Flags, seq: u32, ack: u32, payload: &[u8]) {
        assert_eq!(self.tries(host, flags, seq, ack, payload), Ok(()));
    }
}

/// RFC 9293 3.4.1: what is forgotten here is remembered there, and an old copy of the SYN opens another connection. The answer of TIME-WAIT
/// to that belongs to the first one.
#[test]
fn an_old_syn_begins_anew_when_the_connection_is_over() {
    let mut talk = Talk::closed();
    talk.says(1, SYN_ACK, 503, 101, b"");
    talk.says(0, Flags::ACK, 107, 507, b"");
    talk.says(1, Flags::RST, 507, 0, b"");
}

#[test]
fn nobody_begins_anew_in_the_middle() {
    let mut talk = Talk::opened();
    assert_eq!(talk.tries(1, SYN_ACK, 503, 101, b""), Err(Rule::Wire));
    let mut talk = Talk::closed();
    // Nor does who dialed, and an answer has to be one.
    assert_eq!(talk.tries(0, Flags::SYN, 900, 0, b""), Err(Rule::Wire));
    assert_eq!(talk.tries(1, SYN_ACK, 503, 102, b""), Err(Rule::Wire));
}

/// Who closed first waits, and answers old copies from what he remembers.
#[test]
fn nobody_begins_anew_in_time_wait() {
    let mut talk = Talk::opened();
    talk.says(1, FIN_ACK, 501, 101, b"world");
    talk.says(0, FIN_ACK, 101, 507, b"");
    talk.says(1, Flags::ACK, 507, 102, b"");
    assert_eq!(talk.tries(1, SYN_ACK, 9503, 101, b""), Err(Rule::Wire));
    let wait = talk.scenario.hosts[1].config.connection.time_wait;
    talk.watch.at(wait.as_nanos() as Time);
    talk.says(1, SYN_ACK, 9503, 101, b"");
}

/// RFC 4987: the answer that the dialer takes is the one that counts, and a cookie offers little.
#[test]
fn what_was_offered_with_another_number_does_not_count() {
    let mut talk = Talk::new();
    talk.offers(0, Flags::SYN, 100, 0);
    talk.says(1, SYN_ACK, 500, 101, b"");
    let late = talk.stamped(1, SYN_ACK, 900, 101);
    assert_eq!(talk.watch.sent(1, &late), Ok(()));
    talk.says(0, Flags::ACK, 101, 501, b"hello");
    let mut talk = Talk::new();
    talk.offers(0, Flags::SYN, 100, 0);
    talk.offers(1, SYN_ACK, 500, 101);
    assert_eq!(
        talk.tries(0, Flags::ACK, 101, 501, b"hello"),
        Err(Rule::Wire)
    );
}

/// Who was reset has forgotten the connection, and so has who reset it.
#[test]
fn who_was_reset_may_begin_anew() {
    for host in [0, 1] {
        let mut talk = Talk::opened();
        let (seq, ack) = if host == 0 { (101, 501) } else { (501, 101) };
        talk.says(host, Flags::RST, seq, ack, b"");
        talk.says(1, SYN_ACK, 503, 101, b"");
        let packet = talk.packet(0, Flags::ACK, 101, 501, b"");
        assert!(
            !talk.watch.has_connection(1, &packet),
            "nobody forges for it"
        );
    }
}

#[test]
fn only_what_arrived_is_acknowledged() {
    let mut talk = Talk::opened();
    let acknowledgment = Err(Rule::Acknowledgement);
    assert_eq!(talk.tries(1, Flags::ACK, 501, 102, b""), acknowledgment);
    talk.says(0, Flags::ACK, 101, 501, b"hello");
    talk.says(1, Flags::ACK, 501, 106, b"");
    assert_eq!(talk.tries(1, Flags::ACK, 501, 103, b""), acknowledgment);
}

#[test]
fn octets_stay_what_they_were_and_end_where_they_did() {
    let mut talk = Talk::opened();
    talk.says(0, FIN_ACK, 101, 501, b"hello");
    for (flags, seq, payload) in [
        (Flags::ACK, 101, &b"hallo"[..]),
        (Flags::ACK, 104, b"lo!"),
        (FIN_ACK, 101, b"hell"),
    ] {
        assert_eq!(talk.tries(0, flags, seq, 501, payload), Err(Rule::Wire));
    }
    talk.says(0, Flags::ACK, 103, 501, b"ll");
}

/// Rule 2.
#[test]
fn nothing_is_delivered_that_did_not_arrive() {
    let mut talk = Talk::opened();
    let lost = talk.packet(0, Flags::ACK, 101, 501, b"hello");
    assert_eq!(talk.watch.sent(0, &lost), Ok(()));
    talk.says(0, Flags::ACK, 106, 501, b"world");
    let ports = Ports {
        local: 40_000,
        remote: 7,
    };
    let believes = |delivered| talk.watch.believes(0, ports, delivered).map_err(|it| it.0);
    assert_eq!(believes(101), Ok(()));
    assert_eq!(believes(106), Err(Rule::Books));
}

/// What a forger brings was there before, and what he adds lies beyond the window.
#[test]
fn a_forger_knows_what_arrived() {
    let mut talk = Talk::opened();
    talk.says(0, Flags::ACK, 101, 501, b"hello");
    let known = |talk: &mut Talk, seq, payload: &[u8]| {
        let packet = talk.packet(0, Flags::ACK, seq, 501, payload);
        let seen = Seen::read(&packet).expect("a segment");
        talk.watch.known(1, &seen)
    };
    let next = known(&mut talk, 106, b"more");
    assert_eq!(
        (next.expected, &next.before[..], next.fills),
        (106, &b"hello"[..], false)
    );
    // A hole is before it.
    assert!(known(&mut talk, 107, b"more").before.is_empty());
    // Behind the SYN there are a thousand octets of room.
    assert!(known(&mut talk, 106, &[0; 995]).fills);
    assert!(!known(&mut talk, 106, &[0; 996]).fills);
}
