//! What a stack may be told.

use super::device::Trains;
use crate::connection::Config;
use crate::wire::Verify;

/// Limits and habits of a stack.
///
/// Memory: a slot of about 200 octets for each connection that there ever was at one time, up to `max_connections`; a connection 1.9 kB
/// and its buffers ([`Config`]); one in TIME-WAIT only its slot; 60 octets for each peer. Connections with their buffers and books share `memory`, beyond which
/// each has two allocations of 4 KiB all the same, one for each direction.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// For connections that are not told otherwise.
    pub connection: Config,
    /// Connections at one time, of every kind.
    pub max_connections: usize,
    /// Of those, such that are being opened by peers. Beyond, SYNs are answered by cookies (RFC 4987), which cost nothing and bring no options
    /// but the segment size. SYNs that are held for the application count, but are never answered so: the listener's backlog bounds them.
    pub max_half_open: usize,
    /// Octets that connections may hold in all. When they do, SYNs are dropped as if they had been lost and dialing says
    /// [`Full`](crate::ConnectError::Full); windows do not grow, what arrives behind a hole is dropped as if it had been lost, and what is in
    /// order is taken in pieces of what memory there is; `write` takes less at once. Nothing that was acknowledged is given up, and every connection
    /// goes on, slower. [`Stats::starved`](crate::Stats::starved) and [`Stats::unaffordable`](crate::Stats::unaffordable) count it.
    pub memory: usize,
    /// The same for the connections with one peer: an IPv4 address, or in IPv6 all addresses with the same first 64 bits.
    pub memory_per_peer: usize,
    /// Octets of the largest IP packet that the link takes.
    pub mtu: u16,
    /// Who computes checksums of what is sent, and of what is received.
    pub checksums: Checksums,
    /// Whether the device cuts large segments up: what [`poll_train`](crate::Stack::poll_train) may write. `None`: it does not. Packets that
    /// a device put together are taken either way.
    pub trains: Option<Trains>,
    /// Take segments to any address, as a proxy behind a TUN device does. Otherwise only those to addresses that were added.
    pub any_address: bool,
    /// RFC 9293 3.9.2: routers that a packet may pass.
    pub hop_limit: u8,
}

/// RFC 9293 3.1, MUST-2 and MUST-3, or a device that does it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Checksums {
    /// Of segments to be sent. The header of IPv4 has one of its own, which is always written.
    pub send: Verify,
    /// Of packets that arrived.
    pub receive: Verify,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            connection: Config::default(),
            max_connections: 65_536,
            max_half_open: 256,
            memory: 1 << 30,
            memory_per_peer: 1 << 28,
            mtu: 1500,
            checksums: Checksums::default(),
            trains: None,
            any_address: false,
            hop_limit: 64,
        }
    }
}
