//! Gapless TCP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use gapless_tcp::wire::Verify;
use gapless_tcp::{Checksums, Config, Id, Instant, Stack, StackConfig, State, Trains};

use super::Settings;
use super::measure::{End, TO_A_PORT, port};
use super::wire::Wire;

pub(crate) struct Ours {
    stack: Stack,
}

impl End for Ours {
    type Handle = Id;

    fn new(settings: Settings, host: usize) -> Result<Self> {
        let buffer = u32::try_from(settings.buffer)?;
        let defaults = Config::default();
        let verify = if settings.checksums {
            Verify::Here
        } else {
            Verify::Device
        };
        let config = StackConfig {
            connection: Config {
                receive_buffer: buffer,
                send_buffer: buffer,
                // The other one's do not grow either.
                first_receive_buffer: buffer,
                first_send_buffer: buffer,
                nagle: !settings.prompt,
                quick_acks: if settings.prompt {
                    u32::MAX
                } else {
                    defaults.quick_acks
                },
                ..defaults
            },
            // Closed ones linger.
            max_connections: settings.connections + 1000,
            mtu: u16::try_from(settings.mtu)?,
            checksums: Checksums {
                send: verify,
                receive: verify,
            },
            trains: settings.trains.then(Trains::default),
            max_half_open: 2000,
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, [host as u64, 5]);
        stack.add_address(address(host))?;
        if host == 1 {
            for index in 0..=settings.connections / TO_A_PORT {
                stack.listen(None, Some(port(index * TO_A_PORT)), 2000, false)?;
            }
        }
        Ok(Self { stack })
    }

    fn dial(&mut self, now: Duration, index: usize) -> Result<Id> {
        let remote = SocketAddr::new(address(1), port(index));
        Ok(self.stack.connect(instant(now), None, remote)?)
    }

    fn accept(&mut self) -> Option<Id> {
        self.stack.accept().map(|(id, _)| id)
    }

    fn is_open(&self, handle: Id) -> bool {
        let connection = self.stack.connection(handle);
        connection.is_some_and(|connection| connection.state() == State::Established)
    }

    fn write(&mut self, handle: Id, octets: &[u8]) -> usize {
        self.stack.write(handle, octets).unwrap_or(0)
    }

    fn read(&mut self, handle: Id, room: &mut [u8]) -> usize {
        self.stack.read(handle, room).unwrap_or(0)
    }

    fn close(&mut self, now: Duration, handle: Id) {
        self.stack.release(instant(now), handle);
    }

    fn work(&mut self, now: Duration, arriving: &mut Wire, leaving: &mut Wire) -> bool {
        let now = instant(now);
        let mut moved = false;
        while let Some(frame) = arriving.take() {
            self.stack.handle(now, frame.packet());
            arriving.give_back(frame);
            moved = true;
        }
        if self.stack.next_deadline().is_some_and(|at| at <= now) {
            self.stack.on_timeout(now);
        }
        while !leaving.is_full() {
            let sent = leaving.put(|buffer| {
                let sent = self.stack.poll_train(now, buffer);
                (sent.map_or(0, |sent| sent.length), sent)
            });
            if sent.is_none() {
                break;
            }
            moved = true;
        }
        while self.stack.poll_changed().is_some() {}
        moved
    }

    fn memory(&self) -> usize {
        self.stack.memory()
    }
}

fn address(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, if host == 0 { 1 } else { 2 }))
}

fn instant(now: Duration) -> Instant {
    Instant::from_nanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
