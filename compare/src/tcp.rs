//! Gapless TCP, over IPv4 as smoltcp's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use gapless_tcp::wire::Verify;
use gapless_tcp::{
    Algorithm, Bbr, Checksums, Config, Controller, Id, Instant, ReadError, RecoveryConfig, Stack,
    StackConfig, State, WriteError,
};

use crate::engine::{End, Packet, Time, Transfer};

/// Bytes of an IPv4 packet on an Ethernet, as those that the others' datagrams lie in.
const MTU: u16 = 1500;
/// What the path adds to a payload; these packets bring their headers along.
const HEADERS: usize = gapless_link::HEADER_BYTES as usize;
const PORT: u16 = 7;
/// Bytes of one write or read.
const CHUNK: usize = 64 << 10;
/// Bytes of a segment on average, at least: what the window holds has to fit the log of segments.
const LEAST_SEGMENT: usize = 600;

pub(crate) struct Tcp {
    /// The sender's and the receiver's.
    stacks: [Stack; 2],
    dialed: Id,
    accepted: Option<Id>,
    left: u64,
    delivered: u64,
    chunk: Vec<u8>,
    room: Vec<u8>,
}

impl Tcp {
    /// `window` is what each buffer may hold, bytes.
    pub(crate) fn new(
        algorithm: Algorithm,
        window: u64,
        bytes: u64,
        now: Time,
        seed: u64,
    ) -> Result<Self> {
        let buffer = u32::try_from(window)?;
        let config = StackConfig {
            connection: Config {
                receive_buffer: buffer,
                send_buffer: buffer,
                max_segments: usize::try_from(window)? / LEAST_SEGMENT,
                algorithm,
                controller: match algorithm {
                    Algorithm::Bbr => Some(bbr),
                    Algorithm::Cubic | Algorithm::NewReno => None,
                },
                ..Config::default()
            },
            mtu: MTU,
            // The path damages nothing.
            checksums: Checksums {
                send: Verify::Device,
                receive: Verify::Device,
            },
            ..StackConfig::default()
        };
        let mut stacks = [0, 1].map(|host| Stack::new(config.clone(), [seed, host]));
        for (stack, end) in stacks.iter_mut().zip(End::BOTH) {
            stack.add_address(address(end))?;
        }
        let [sender, receiver] = &mut stacks;
        receiver.listen(None, Some(PORT), 1, false)?;
        let remote = SocketAddr::new(address(End::Receiver), PORT);
        let dialed = sender.connect(Instant::from_nanos(now), None, remote)?;
        Ok(Tcp {
            stacks,
            dialed,
            accepted: None,
            left: bytes,
            delivered: 0,
            chunk: vec![7; CHUNK],
            room: vec![0; CHUNK],
        })
    }

    fn stack(&mut self, end: End) -> &mut Stack {
        let [sender, receiver] = &mut self.stacks;
        match end {
            End::Sender => sender,
            End::Receiver => receiver,
        }
    }

    fn write(&mut self) -> Result<()> {
        let [sender, _] = &mut self.stacks;
        while self.left > 0 {
            let size = CHUNK.min(usize::try_from(self.left)?);
            match sender.write(self.dialed, &self.chunk[..size]) {
                Ok(taken) => self.left -= taken as u64,
                Err(WriteError::WouldBlock) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let [_, receiver] = &mut self.stacks;
        if self.accepted.is_none() {
            self.accepted = receiver.accept().map(|(id, _)| id);
        }
        let Some(id) = self.accepted else {
            return Ok(());
        };
        loop {
            match receiver.read(id, &mut self.room) {
                Ok(0) | Err(ReadError::WouldBlock) => return Ok(()),
                Ok(read) => self.delivered += read as u64,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Transfer for Tcp {
    fn act(&mut self, end: End) -> Result<()> {
        if self.is_over() {
            return Ok(());
        }
        while self.stack(end).poll_changed().is_some() {}
        match end {
            End::Sender => self.write(),
            End::Receiver => self.read(),
        }
    }

    fn handle(&mut self, end: End, now: Time, packet: &Packet) -> Result<()> {
        self.stack(end)
            .handle(Instant::from_nanos(now), &packet.bytes);
        Ok(())
    }

    fn transmit(&mut self, end: End, now: Time, out: &mut Vec<Packet>) -> Result<()> {
        let mut buffer = [0; MTU as usize];
        let stack = self.stack(end);
        while let Some(length) = stack.poll_transmit(Instant::from_nanos(now), &mut buffer) {
            out.push(Packet {
                size: length.saturating_sub(HEADERS),
                bytes: buffer[..length].to_vec(),
            });
        }
        Ok(())
    }

    fn deadline(&mut self, end: End, _now: Time) -> Option<Time> {
        self.stack(end).next_deadline().map(|at| at.as_nanos())
    }

    fn handle_timeout(&mut self, end: End, now: Time) -> Result<()> {
        self.stack(end).on_timeout(Instant::from_nanos(now));
        Ok(())
    }

    fn is_open(&self) -> bool {
        let [sender, _] = &self.stacks;
        let connection = sender.connection(self.dialed);
        connection.is_some_and(|connection| connection.state().is_synchronized())
    }

    fn is_over(&self) -> bool {
        let [sender, receiver] = &self.stacks;
        let is_over = |stack: &Stack, id: Option<Id>| {
            id.and_then(|id| stack.connection(id))
                .is_some_and(|connection| connection.state() == State::Closed)
        };
        is_over(sender, Some(self.dialed)) || is_over(receiver, self.accepted)
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }
}

fn bbr(config: &RecoveryConfig) -> Box<dyn Controller> {
    Box::new(Bbr::new(config))
}

fn address(end: End) -> IpAddr {
    IpAddr::V4(match end {
        End::Sender => Ipv4Addr::new(10, 0, 0, 1),
        End::Receiver => Ipv4Addr::new(10, 0, 0, 2),
    })
}
