//! TCP: packets that are read and written again, and a whole stack between calls, time and packets that are nearly right.

use super::script::Script;
use gapless_tcp::wire::{
    Ecn, Flags, Header, IcmpError, Options, Packet, PacketHeader, SackBlock, Segment, Timestamps,
    Verify,
};
use gapless_tcp::{Checksums, Config, Id, Instant, KeepAlive, ListenerId, Stack, StackConfig};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Gives the bytes to every parser of TCP. What is understood has to be written again as it was read, and can be printed.
///
/// # Panics
/// If it is not.
pub(super) fn wire(data: &[u8]) {
    for verify in [Verify::Here, Verify::Device] {
        match Packet::parse(data, verify) {
            Ok(packet) => {
                assert!(packet.payload.len() <= data.len());
                write_packet_again(&packet);
                segment(packet.source, packet.destination, packet.payload);
                if let Some(error) = IcmpError::parse(&packet, verify) {
                    assert!(!format!("{error:?}").is_empty());
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    segment(OURS[0], THEIRS[0], data);
    let options = Options::parse(data);
    assert!(options.encoded_len() <= 40, "options fit a header");
}

fn write_packet_again(packet: &Packet<'_>) {
    let header = PacketHeader {
        source: packet.source,
        destination: packet.destination,
        protocol: packet.protocol,
        ecn: packet.ecn,
        hop_limit: packet.hop_limit,
    };
    let mut written = vec![0; header.len()];
    written.extend_from_slice(packet.payload);
    // A payload behind extension headers may be longer than one without can say; then nothing is written.
    if header.write(&mut written, Verify::Here).is_some() {
        assert_eq!(Packet::parse(&written, Verify::Here).as_ref(), Ok(packet));
    }
}

fn segment(source: IpAddr, destination: IpAddr, octets: &[u8]) {
    let Ok(segment) = Segment::parse(source, destination, octets, Verify::Device) else {
        return;
    };
    assert!(!format!("{segment:?}").is_empty());
    let mut written = vec![0; segment.header.len()];
    written.extend_from_slice(segment.payload);
    let length = segment
        .header
        .write(source, destination, &mut written, Verify::Here);
    assert_eq!(length, Some(segment.header.len()), "a header is written");
    // Between families there is no checksum that fits.
    let verify = if source.is_ipv4() == destination.is_ipv4() {
        Verify::Here
    } else {
        Verify::Device
    };
    let again = Segment::parse(source, destination, &written, verify);
    assert_eq!(again, Ok(segment), "what was written is read");
}

/// Drives a stack with packets, times and calls as the bytes say, and looks at its rules after each.
///
/// # Panics
/// If one does not hold.
pub(super) fn stack(data: &[u8]) {
    let mut script = Script(data);
    let mut run = Run::new(script.byte().unwrap_or(0));
    while let Some(step) = script.byte() {
        run.step(step, &mut script);
        run.settle();
    }
    run.end();
}

const OURS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
const THEIRS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
];

/// What is known of a connection from its own packets: its ends, and the numbers that an honest answer would have.
#[derive(Clone, Copy)]
struct Known {
    local: SocketAddr,
    remote: SocketAddr,
    /// What it would take next.
    sequence: u32,
    /// Behind the last that it sent.
    acknowledgment: u32,
    stamps: Option<Timestamps>,
}

struct Run {
    stack: Stack,
    listeners: Vec<ListenerId>,
    now: u64,
    held: Vec<Id>,
    known: Vec<Known>,
    sent: Vec<Vec<u8>>,
}

impl Run {
    /// Eight habits, of which the first byte chooses one.
    fn new(habits: u8) -> Self {
        let has = |bit: u8| habits >> bit & 1 == 1;
        let connection = Config {
            receive_buffer: if has(0) { 700 } else { 70_000 },
            send_buffer: 20_000,
            timestamps: has(1),
            sack: !has(2),
            window_scale: !has(3),
            nagle: has(4),
            pacing: has(5),
            keep_alive: has(6).then_some(KeepAlive {
                idle: Duration::from_secs(3),
                interval: Duration::from_secs(1),
                probes: 2,
            }),
            user_timeout: Some(Duration::from_secs(60)),
            connect_timeout: Duration::from_secs(30),
            fin_wait_timeout: Duration::from_secs(10),
            time_wait: Duration::from_secs(5),
            ..Config::default()
        };
        let config = StackConfig {
            connection,
            max_connections: MOST_CONNECTIONS,
            max_half_open: 2,
            checksums: Checksums {
                receive: Verify::Device,
                ..Checksums::default()
            },
            any_address: has(7),
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, [3, 4]);
        for address in OURS {
            stack
                .add_address(address)
                .expect("memory for two addresses");
        }
        let listeners = [(7, false), (8, true)].map(|(port, holds)| {
            let listener = stack.listen(None, Some(port), 3, holds);
            listener.expect("a free port")
        });
        Self {
            stack,
            listeners: listeners.into(),
            now: 1_000_000_000,
            held: Vec::new(),
            known: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 10 {
            0 => self.now += 1 << (script.byte().unwrap_or(0) % 36),
            1 => {
                let packet = script.bytes().to_vec();
                self.give(&packet);
            }
            2 => self.replay(script),
            3 => self.knock(script),
            4 => self.dial(script),
            5 => self.report(script),
            6 | 7 => self.call(script),
            _ => self.answer(script),
        }
    }

    fn give(&mut self, packet: &[u8]) {
        let now = self.now();
        self.stack.handle(now, packet);
    }

    /// A packet of ours comes back, or one of before comes again, with an octet changed.
    fn replay(&mut self, script: &mut Script<'_>) {
        let count = self.sent.len();
        let Some(mut packet) = self.sent.get(script.pick(count)).cloned() else {
            return;
        };
        let at = script.pick(packet.len().min(80));
        if let (Some(octet), Some(change)) = (packet.get_mut(at), script.byte()) {
            *octet ^= change;
        }
        self.give(&packet);
    }

    /// A stranger's segment, mostly a SYN.
    fn knock(&mut self, script: &mut Script<'_>) {
        let family = script.pick(2);
        let known = Known {
            local: SocketAddr::new(OURS[family], 6 + script.pick(4) as u16),
            remote: SocketAddr::new(THEIRS[family], 40_000 + script.pick(4) as u16),
            sequence: script.place() as u32,
            acknowledgment: script.place() as u32,
            stamps: None,
        };
        let flags = script.byte().unwrap_or(0);
        let flags = if flags & 0x80 == 0 {
            Flags::SYN
        } else {
            Flags::from_octet(flags)
        };
        let options = options(script, &known);
        let packet = packet(&known, flags, script.place() as u16, options, b"");
        self.learn_from_peer(&known, flags);
        self.give(&packet);
    }

    /// The peer of a connection speaks: with the numbers that are right, or nearly.
    fn answer(&mut self, script: &mut Script<'_>) {
        let count = self.known.len();
        let place = script.pick(count);
        let Some(mut known) = self.known.get(place).copied() else {
            return;
        };
        let flags = script.byte().unwrap_or(0);
        // Mostly honest: so the script gets far before it gets strange.
        let flags = if flags & 0xc0 == 0 {
            Flags::ACK
        } else {
            Flags::from_octet(flags & 0x3f | 0x10)
        };
        known.sequence = known.sequence.wrapping_add(offset(script));
        known.acknowledgment = known.acknowledgment.wrapping_add(offset(script));
        let window = [5000, 65_535, 0, 1, 500][script.pick(5)];
        let length = [0, 1, 100, 1400, 700, 5000][script.pick(6)];
        let options = options(script, &known);
        let payload = vec![0x5a; length];
        let packet = packet(&known, flags, window, options, &payload);
        self.give(&packet);
    }

    fn dial(&mut self, script: &mut Script<'_>) {
        let family = script.pick(2);
        let now = self.now();
        let (local, remote) = match script.pick(4) {
            // To itself.
            3 => {
                let end = SocketAddr::new(OURS[family], 900);
                (Some(end), end)
            }
            _ => (None, SocketAddr::new(THEIRS[family], 80)),
        };
        self.held.extend(self.stack.connect(now, local, remote));
    }

    /// A router says something about a packet of ours (RFC 792, RFC 1191).
    fn report(&mut self, script: &mut Script<'_>) {
        let count = self.sent.len();
        let Some(quoted) = self.sent.get(script.pick(count)).cloned() else {
            return;
        };
        let [kind, code] = [script.byte(), script.byte()].map(|byte| byte.unwrap_or(0));
        let mut message = vec![kind, code, 0, 0, 0, 0];
        message.extend_from_slice(&(script.place() as u16).to_be_bytes());
        message.extend_from_slice(&quoted[..quoted.len().min(60)]);
        let family = usize::from(quoted[0] >> 4 == 6);
        let header = PacketHeader {
            source: THEIRS[family],
            destination: OURS[family],
            protocol: [1, 58][family],
            ecn: Ecn::NotCapable,
            hop_limit: 9,
        };
        let mut packet = vec![0; header.len()];
        packet.extend_from_slice(&message);
        header
            .write(&mut packet, Verify::Here)
            .expect("a short packet");
        self.give(&packet);
    }

    fn call(&mut self, script: &mut Script<'_>) {
        let now = self.now();
        while let Some((id, _)) = self.stack.accept() {
            self.held.push(id);
        }
        let count = self.held.len();
        let place = script.pick(count);
        let Some(id) = self.held.get(place).copied() else {
            return;
        };
        match script.pick(10) {
            0 | 1 => {
                let length = [1, 100, 3000, 30_000][script.pick(4)];
                let _ = self.stack.write(id, &vec![7; length]);
            }
            2 | 3 => {
                let length = [1, 100, 100_000][script.pick(3)];
                let _ = self.stack.read(id, &mut vec![0; length]);
            }
            4 => self.stack.shutdown(now, id),
            5 => self.stack.abort(now, id),
            6 => self.stack.answer(now, id),
            7 => {
                let [address, _] = OURS;
                self.stack.remove_address(now, address);
                self.stack
                    .add_address(address)
                    .expect("memory for an address");
            }
            8 => {
                let _ = self.stack.poll_changed();
            }
            _ => {
                self.stack.release(now, id);
                self.held.swap_remove(place);
            }
        }
    }

    /// Lets the stack send, and looks at what must hold.
    fn settle(&mut self) {
        let now = self.now();
        if self.stack.next_deadline().is_some_and(|at| at <= now) {
            self.stack.on_timeout(now);
        }
        let mut buffer = vec![0; 1500];
        let mut packets = 0;
        while let Some(length) = self.stack.poll_transmit(now, &mut buffer) {
            packets += 1;
            assert!(packets < 2000, "egress at one instant has no end (R8)");
            self.learn(&buffer[..length]);
        }
        let deadline = self.stack.next_deadline();
        assert!(
            deadline.is_none_or(|at| at > now),
            "a deadline in the past (R9)"
        );
        for id in &self.held {
            if let Some(connection) = self.stack.connection(*id) {
                assert_eq!(connection.check(now), Ok(()));
            }
        }
        assert!(self.stack.connections() <= MOST_CONNECTIONS);
        assert!(self.stack.memory() < MOST_MEMORY, "memory (P5)");
    }

    /// What the stack sends has right checksums, and tells where the connection stands.
    fn learn(&mut self, octets: &[u8]) {
        let packet = Packet::parse(octets, Verify::Here).expect("a packet of ours is one");
        let (source, destination) = (packet.source, packet.destination);
        let segment = Segment::parse(source, destination, packet.payload, Verify::Here);
        let segment = segment.expect("a segment of ours is one");
        let header = segment.header;
        if self.sent.len() < 32 {
            self.sent.push(octets.to_vec());
        }
        if header.flags.has(Flags::RST) {
            return;
        }
        let end = u32::from(header.sequence).wrapping_add(segment.length() as u32);
        let (local, remote) = (
            SocketAddr::new(source, header.source_port),
            SocketAddr::new(destination, header.destination_port),
        );
        let known = self.entry(local, remote);
        known.acknowledgment = end;
        if header.flags.has(Flags::ACK) {
            known.sequence = header.acknowledgment.into();
        }
        known.stamps = header.options.timestamps;
    }

    fn learn_from_peer(&mut self, from: &Known, flags: Flags) {
        if flags.has(Flags::SYN) {
            let sequence = from.sequence.wrapping_add(1);
            self.entry(from.local, from.remote).sequence = sequence;
        }
    }

    fn entry(&mut self, local: SocketAddr, remote: SocketAddr) -> &mut Known {
        let is_it = |known: &Known| known.local == local && known.remote == remote;
        let place = self.known.iter().position(is_it).unwrap_or_else(|| {
            if self.known.len() >= 16 {
                self.known.remove(0);
            }
            self.known.push(Known {
                local,
                remote,
                sequence: 0,
                acknowledgment: 0,
                stamps: None,
            });
            self.known.len() - 1
        });
        &mut self.known[place]
    }

    /// Whatever happened: when the application lets go of everything, nothing is left.
    fn end(mut self) {
        let now = self.now();
        for listener in std::mem::take(&mut self.listeners) {
            self.stack.unlisten(now, listener);
        }
        while let Some((id, _)) = self.stack.accept() {
            self.held.push(id);
        }
        for id in std::mem::take(&mut self.held) {
            self.stack.release(now, id);
        }
        self.settle();
        for _ in 0..400 {
            let Some(deadline) = self.stack.next_deadline() else {
                break;
            };
            self.now = self.now.max(deadline.as_nanos());
            self.settle();
        }
        assert_eq!(self.stack.next_deadline(), None, "it comes to rest");
        assert_eq!(self.stack.connections(), 0, "nothing is left");
    }
}

/// A segment of the peer's.
fn packet(known: &Known, flags: Flags, window: u16, options: Options, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        source_port: known.remote.port(),
        destination_port: known.local.port(),
        sequence: known.sequence.into(),
        acknowledgment: known.acknowledgment.into(),
        flags,
        window,
        urgent: window,
        options,
    };
    let ip = PacketHeader {
        source: known.remote.ip(),
        destination: known.local.ip(),
        protocol: 6,
        ecn: Ecn::NotCapable,
        hop_limit: 9,
    };
    let mut octets = vec![0; ip.len() + header.len()];
    octets.extend_from_slice(payload);
    ip.write(&mut octets, Verify::Device)
        .expect("a short packet of one family");
    let segment = &mut octets[ip.len()..];
    header
        .write(ip.source, ip.destination, segment, Verify::Device)
        .expect("room for a header");
    octets
}

/// How far a number lies from the right one: mostly not at all.
fn offset(script: &mut Script<'_>) -> u32 {
    const FAR: [u32; 12] = [
        1,
        2,
        100,
        1400,
        699,
        70_000,
        1 << 20,
        1 << 30,
        1 << 31,
        u32::MAX,
        u32::MAX - 99,
        u32::MAX - 70_000,
    ];
    match script.byte() {
        Some(byte @ 0x80..) => FAR[usize::from(byte) % FAR.len()],
        _ => 0,
    }
}

/// Options of the peer's: those that belong there, or strange ones.
fn options(script: &mut Script<'_>, known: &Known) -> Options {
    let kind = script.byte().unwrap_or(0);
    let mut options = Options {
        timestamps: known.stamps.map(|stamps| Timestamps {
            value: u32::from(stamps.echo)
                .wrapping_add(u32::from(kind & 3))
                .into(),
            echo: stamps.value,
        }),
        ..Options::NONE
    };
    if kind & 0x08 != 0 {
        options = Options::parse(script.bytes());
    }
    if kind & 0x10 != 0 {
        options.sack_permitted = true;
        options.window_scale = Some(kind >> 5);
        options.timestamps.get_or_insert(Timestamps {
            value: 1.into(),
            echo: 0.into(),
        });
    }
    if kind & 0x04 != 0 {
        options.window_scale = None;
        let [left, right] = [0; 2].map(|_| {
            let far = offset(script);
            known.acknowledgment.wrapping_add(far)
        });
        options.sack = Default::default();
        options.sack.push(SackBlock {
            left: left.into(),
            right: right.into(),
        });
    }
    if options.encoded_len() > 40 {
        Options::NONE
    } else {
        options
    }
}

const MOST_CONNECTIONS: usize = 6;
/// What the limits come to: six connections with their buffers, rounded up to powers of two, and their books.
const MOST_MEMORY: usize = 6 << 20;
