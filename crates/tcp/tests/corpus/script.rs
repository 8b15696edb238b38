//! One engine and a peer made by hand: numbers relative to the connection's own start, time in the script.

use gapless_tcp::wire::{Ecn, Flags, Header, Options, Segment, Timestamps, Verify};
use gapless_tcp::{Addresses, Config, Connection, Instant, Opening, Ports};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::time::Duration;

pub(crate) const ACK: Flags = Flags::ACK;
pub(crate) const SYN: Flags = Flags::SYN;
pub(crate) const FIN: Flags = Flags::FIN;
pub(crate) const RST: Flags = Flags::RST;

const ADDRESSES: Addresses = Addresses {
    local: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    remote: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
};

/// Where numbers start: where something wraps, or shortly before.
pub(crate) const STARTS: [u32; 6] = [0, 1, 0x7fff_ffff, 1 << 31, u32::MAX, u32::MAX - 1460];

/// A segment that the engine sent; numbers are relative.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    pub(crate) flags: Flags,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    pub(crate) payload: Vec<u8>,
    pub(crate) options: Options,
}

impl Sent {
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }
}

pub(crate) struct Script {
    pub(crate) engine: Connection,
    pub(crate) now: Instant,
    iss: u32,
    irs: u32,
    path: u16,
    stamps: Option<u32>,
}

/// Plain habits: no options, no delay, no Nagle, no pacing, so that a script says all that happens.
pub(crate) fn plain() -> Config {
    Config {
        window_scale: false,
        timestamps: false,
        sack: false,
        nagle: false,
        pacing: false,
        quick_acks: u32::MAX,
        receive_buffer: 10_000,
        ..Config::default()
    }
}

impl Script {
    /// The engine dials; its SYN was not fetched yet.
    pub(crate) fn dialing(config: Config, iss: u32, irs: u32) -> Self {
        Self::dialing_on(config, iss, irs, 1480)
    }

    pub(crate) fn dialing_on(config: Config, iss: u32, irs: u32, path: u16) -> Self {
        let now = Instant::from_nanos(5_000_000_000);
        let engine = Connection::connect(&config, now, &opening(iss, path));
        Self {
            engine,
            now,
            iss,
            irs,
            path,
            stamps: None,
        }
    }

    /// The engine was dialed with this SYN; its answer was not fetched yet.
    pub(crate) fn dialed(
        config: Config,
        iss: u32,
        irs: u32,
        window: u16,
        options: Options,
    ) -> Self {
        let syn = Header {
            window,
            options,
            ..header(SYN, irs, 0)
        };
        Self::dialed_with(config, iss, irs, syn)
    }

    /// The same with any SYN.
    pub(crate) fn dialed_with(config: Config, iss: u32, irs: u32, syn: Header) -> Self {
        Self::dialed_on(config, iss, irs, 1480, syn)
    }

    /// The same on another path.
    pub(crate) fn dialed_on(config: Config, iss: u32, irs: u32, path: u16, syn: Header) -> Self {
        let now = Instant::from_nanos(5_000_000_000);
        let engine = Connection::accept(&config, now, &opening(iss, path), &syn);
        Self {
            engine,
            now,
            iss,
            irs,
            path,
            stamps: syn.options.timestamps.map(|stamps| stamps.value.into()),
        }
    }

    /// Dialed, answered and acknowledged; the peer's window is as said.
    pub(crate) fn established(config: Config, window: u16) -> Self {
        Self::established_at(config, window, 1000, 2000, Options::NONE)
    }

    pub(crate) fn established_at(
        config: Config,
        window: u16,
        iss: u32,
        irs: u32,
        options: Options,
    ) -> Self {
        let mut script = Self::dialing(config, iss, irs);
        assert_eq!(script.fetch().len(), 1, "a SYN");
        if options.timestamps.is_some() {
            script.stamps = Some(1);
        }
        script.send_with(SYN | ACK, 0, 1, window, b"", options);
        let sent = script.fetch();
        assert_eq!((sent.len(), sent[0].flags, sent[0].ack), (1, ACK, 1));
        script
    }

    pub(crate) fn send(&mut self, flags: Flags, seq: u32, ack: u32, window: u16, payload: &[u8]) {
        self.send_with(flags, seq, ack, window, payload, Options::NONE);
    }

    pub(crate) fn send_with(
        &mut self,
        flags: Flags,
        seq: u32,
        ack: u32,
        window: u16,
        payload: &[u8],
        mut options: Options,
    ) {
        if let Some(stamp) = &mut self.stamps {
            *stamp += 1;
            options.timestamps.get_or_insert(Timestamps {
                value: (*stamp).into(),
                echo: 0.into(),
            });
        }
        let header = Header {
            window,
            options,
            urgent: 0,
            ..header(
                flags,
                self.irs.wrapping_add(seq),
                self.iss.wrapping_add(ack),
            )
        };
        self.send_header(header, payload);
    }

    /// A router marked its packet.
    pub(crate) fn send_marked(&mut self, flags: Flags, seq: u32, ack: u32, payload: &[u8]) {
        let header = Header {
            window: 60_000,
            ..header(
                flags,
                self.irs.wrapping_add(seq),
                self.iss.wrapping_add(ack),
            )
        };
        self.send_as(header, payload, Ecn::Congestion);
    }

    /// With all numbers as they stand on the wire.
    pub(crate) fn send_header(&mut self, header: Header, payload: &[u8]) {
        self.send_as(header, payload, Ecn::NotCapable);
    }

    fn send_as(&mut self, header: Header, payload: &[u8], ecn: Ecn) {
        let mut octets = vec![0; header.len()];
        octets.extend_from_slice(payload);
        header.write(ADDRESSES.remote, ADDRESSES.local, &mut octets, Verify::Here);
        let segment =
            Segment::parse(ADDRESSES.remote, ADDRESSES.local, &octets, Verify::Here).unwrap();
        self.engine.on_marked_segment(self.now, &segment, ecn);
        assert_eq!(self.engine.check(self.now), Ok(()));
    }

    /// Everything that the engine sends at this instant: R8, and after it its deadline lies in the future (R9).
    pub(crate) fn fetch(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut buffer = vec![0; usize::from(self.path).max(2000)];
        while let Some(length) =
            self.engine
                .poll_transmit(self.now, ADDRESSES, &mut buffer, Verify::Here)
        {
            assert!(
                length <= usize::from(self.path),
                "longer than the path takes"
            );
            let segment = Segment::parse(
                ADDRESSES.local,
                ADDRESSES.remote,
                &buffer[..length],
                Verify::Here,
            )
            .unwrap();
            let header = segment.header;
            let relative = |wire: u32, start: u32| wire.wrapping_sub(start);
            let has_ack = header.flags.has(ACK);
            sent.push(Sent {
                flags: header.flags.without(Flags::PSH),
                seq: relative(header.sequence.into(), self.iss),
                ack: if has_ack {
                    relative(header.acknowledgment.into(), self.irs)
                } else {
                    0
                },
                window: header.window,
                payload: segment.payload.to_vec(),
                options: header.options,
            });
            assert!(sent.len() < 10_000, "egress at one instant has no end");
        }
        assert_eq!(self.engine.check(self.now), Ok(()));
        let deadline = self.engine.next_deadline(self.now);
        assert!(deadline.is_none_or(|at| at > self.now), "R9");
        sent
    }

    /// The only thing that the engine sends at this instant.
    #[track_caller]
    pub(crate) fn fetch_one(&mut self) -> Sent {
        let mut sent = self.fetch();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    #[track_caller]
    pub(crate) fn fetch_nothing(&mut self) {
        assert_eq!(self.fetch(), []);
    }

    /// Lets time pass without serving timers.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Lets time pass, serves every timer in it, and collects what is sent: with the time of each since now.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<(Duration, Sent)> {
        let start = self.now;
        let end = start + time;
        let mut all = Vec::new();
        while let Some(at) = self.engine.next_deadline(self.now).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.engine.on_timeout(self.now);
            let after = self.now.saturating_duration_since(start);
            all.extend(self.fetch().into_iter().map(|sent| (after, sent)));
            assert!(all.len() < 100_000, "a storm");
        }
        self.now = end;
        all
    }

    pub(crate) fn write(&mut self, octets: &[u8]) {
        assert_eq!(self.engine.write(octets), Ok(octets.len()));
    }

    pub(crate) fn read(&mut self, most: usize) -> Vec<u8> {
        let mut room = vec![0; most];
        let read = self.engine.read(&mut room).unwrap_or(0);
        room.truncate(read);
        room
    }
}

fn opening(iss: u32, path: u16) -> Opening {
    Opening {
        ports: Ports {
            local: 49_152,
            remote: 80,
        },
        initial: iss,
        clock_offset: 77,
        path,
    }
}

pub(crate) fn header(flags: Flags, seq: u32, ack: u32) -> Header {
    Header {
        source_port: 80,
        destination_port: 49_152,
        sequence: seq.into(),
        acknowledgment: ack.into(),
        flags,
        window: 0,
        urgent: 0,
        options: Options::NONE,
    }
}

pub(crate) fn mss(mss: u16) -> Options {
    Options {
        mss: NonZeroU16::new(mss),
        ..Options::NONE
    }
}

pub(crate) const fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}
