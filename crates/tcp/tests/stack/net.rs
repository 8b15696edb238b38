//! Stacks joined by a network in virtual time.

use gapless_tcp::{Checksums, Config, Id, Instant, Stack, StackConfig};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) stacks: Vec<Stack>,
    pub(crate) delay: Duration,
    pub(crate) loss_percent: u64,
    /// Everything that was sent, with who sent it.
    pub(crate) log: Vec<(usize, Vec<u8>)>,
    flying: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    counter: u64,
    random: u64,
}

pub(crate) fn address(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1 + host as u8))
}

pub(crate) fn end(host: usize, port: u16) -> SocketAddr {
    SocketAddr::new(address(host), port)
}

pub(crate) fn settings() -> StackConfig {
    StackConfig {
        connection: Config {
            receive_buffer: 1 << 18,
            // So that what is to be sent can be written at once.
            first_send_buffer: 1 << 20,
            ..Config::default()
        },
        checksums: Checksums::default(),
        ..StackConfig::default()
    }
}

impl Net {
    pub(crate) fn new(configs: Vec<StackConfig>) -> Self {
        let stacks = configs.into_iter().enumerate().map(|(host, config)| {
            let mut stack = Stack::new(config, [host as u64, 99]);
            stack.add_address(address(host)).unwrap();
            stack
        });
        Self {
            now: Instant::from_nanos(100_000_000_000),
            stacks: stacks.collect(),
            delay: Duration::from_millis(5),
            loss_percent: 0,
            log: Vec::new(),
            flying: BTreeMap::new(),
            counter: 0,
            random: 1,
        }
    }

    pub(crate) fn pair() -> Self {
        Self::new(vec![settings(), settings()])
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// Hands a packet over at once.
    pub(crate) fn inject(&mut self, host: usize, packet: &[u8]) {
        self.stacks[host].handle(self.now, packet);
    }

    /// What this stack sends at this instant, taken from the network.
    pub(crate) fn fetch(&mut self, host: usize) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut buffer = vec![0; 65_600];
        while let Some(length) = self.stacks[host].poll_transmit(self.now, &mut buffer) {
            packets.push(buffer[..length].to_vec());
            assert!(packets.len() < 100_000, "egress at one instant has no end");
        }
        packets
    }

    fn flush(&mut self) {
        for host in 0..self.stacks.len() {
            for packet in self.fetch(host) {
                self.log.push((host, packet.clone()));
                if self.random() % 100 < self.loss_percent {
                    continue;
                }
                let at = (self.now + self.delay).as_nanos();
                for other in (0..self.stacks.len()).filter(|other| *other != host) {
                    self.counter += 1;
                    self.flying
                        .insert((at, self.counter), (other, packet.clone()));
                }
            }
        }
    }

    /// Lets everything happen for so long; `act` is called after each happening.
    pub(crate) fn run(&mut self, time: Duration, mut act: impl FnMut(&mut Self)) {
        let end = self.now + time;
        loop {
            act(self);
            self.flush();
            let arrival = self
                .flying
                .keys()
                .next()
                .map(|key| Instant::from_nanos(key.0));
            let timers = self.stacks.iter().filter_map(Stack::next_deadline);
            let Some(next) = timers.chain(arrival).min().filter(|at| *at <= end) else {
                break;
            };
            assert!(next > self.now || arrival == Some(next), "R9");
            self.now = self.now.max(next);
            while let Some(first) = self.flying.first_entry() {
                if first.key().0 > self.now.as_nanos() {
                    break;
                }
                let (host, packet) = first.remove();
                self.stacks[host].handle(self.now, &packet);
            }
            for stack in &mut self.stacks {
                stack.on_timeout(self.now);
            }
        }
        self.now = end;
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.run(time, |_| {});
    }

    /// Writes everything, shuts down, and echoes on the other side, until the whole echo is back.
    pub(crate) fn echo(&mut self, dialer: usize, id: Id, data: &[u8], time: Duration) -> Vec<u8> {
        let mut state = (0, Vec::new(), false);
        let mut echoes: Vec<(usize, Id, Vec<u8>)> = Vec::new();
        self.run(time, |net| {
            let (written, back, shut) = &mut state;
            let now = net.now;
            let stack = &mut net.stacks[dialer];
            while *written < data.len() {
                match stack.write(id, &data[*written..]) {
                    Ok(count) => *written += count,
                    Err(_) => break,
                }
            }
            if *written == data.len() && !*shut {
                *shut = true;
                stack.shutdown(now, id);
            }
            let mut room = [0; 5000];
            while let Ok(count @ 1..) = stack.read(id, &mut room) {
                back.extend_from_slice(&room[..count]);
            }
            serve(net, dialer, &mut echoes);
        });
        state.1
    }
}

/// Accepts on every other stack and sends back what comes.
pub(crate) fn serve(net: &mut Net, dialer: usize, echoes: &mut Vec<(usize, Id, Vec<u8>)>) {
    let now = net.now;
    for host in (0..net.stacks.len()).filter(|host| *host != dialer) {
        while let Some((id, _)) = net.stacks[host].accept() {
            echoes.push((host, id, Vec::new()));
        }
    }
    echoes.retain_mut(|(host, id, pending)| {
        let stack = &mut net.stacks[*host];
        let mut room = [0; 3000];
        let mut over = false;
        while pending.len() < 100_000 {
            match stack.read(*id, &mut room) {
                Ok(0) => {
                    over = true;
                    break;
                }
                Ok(count) => pending.extend_from_slice(&room[..count]),
                Err(gapless_tcp::ReadError::WouldBlock) => break,
                Err(_) => {
                    stack.release(now, *id);
                    return false;
                }
            }
        }
        if let Ok(count) = stack.write(*id, pending) {
            pending.drain(..count);
        }
        if over && pending.is_empty() {
            stack.release(now, *id);
            return false;
        }
        true
    });
}
