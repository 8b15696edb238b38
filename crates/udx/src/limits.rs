//! Every bound of the engine, in one place, with what it costs.

/// Bounds on memory and work. All of them hold whatever a peer sends (P5).
///
/// # What the defaults add up to
///
/// | Bound | Worst case |
/// |---|---|
/// | one idle connection | 4 KiB of engine state |
/// | receiving, per stream | its window (at most `max_stream_window`) + 2 blocks of 16 KiB + 8 KiB of range book |
/// | receiving, per connection | `max_streams` x 64 KiB (the protocol promises that much to every stream) + `receive_growth` |
/// | blocks that readers gave back, per connection | 2 MiB, for 1 s after the last block was read |
/// | sending, per connection | `send_buffer` + one record of some 100 bytes per unacknowledged datagram, at most `max_records` |
/// | closed connections | `closed_ids` x some 200 bytes for 35 s |
/// | accepted connections with an unproven address | `half_open` x (4 KiB + what the peer sends, at most 16 streams) |
/// | early packets | `early_bytes` for 10 s |
/// | everything | `max_connections` x the sums above |
///
/// A peer reaches the receiving bounds only by sending that much data which the application
/// does not read; what is read is freed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections alive at once, both directions. For one more, the oldest accepted one that never proved its
    /// address makes room. If there is none, incoming ones are ignored (the peer tries again), outgoing ones are
    /// refused with an error.
    pub max_connections: usize,
    /// Connections that wait for the application's `accept`. Beyond it the oldest of them that never
    /// proved its address makes room; if there is none, a first packet is ignored and the peer sends it again.
    pub accept_backlog: usize,
    /// Accepted connections whose peer has not proved its address yet (UDX2 H19). For one more the oldest makes
    /// room. A dialer gets in if it answers the challenge before so many others came: at 4096 and 100 ms of
    /// round trip, against 40,000 forged first packets a second.
    pub half_open: usize,
    /// Streams of one connection that the peer may have open at once. Rounded down to a power
    /// of two between 1 and 32768; the stream beyond it is answered with RESET_STREAM code 2
    /// (UDX 8.5).
    pub max_streams: u32,
    /// Bytes by which the receive windows of all streams of one connection may exceed, in
    /// sum, the 64 KiB which the protocol gives every stream.
    pub receive_growth: u64,
    /// Bytes one stream's receive window grows to. At most 1 GiB (UDX 10.1: the wire carries
    /// limits modulo 2^32).
    pub max_stream_window: u64,
    /// Bytes written by the application and not yet acknowledged, per connection.
    pub send_buffer: u64,
    /// Records (unacknowledged datagrams) per connection.
    pub max_records: usize,
    /// Bytes of datagrams kept because they came ahead of the packet that opens their
    /// connection (UDX 7.1), over all connections.
    pub early_bytes: usize,
    /// Such datagrams per connection ID. UDX D23: 32, as Go and JS keep.
    pub early_packets_per_id: usize,
    /// Connection IDs with such datagrams.
    pub early_ids: usize,
    /// Remembered IDs of closed connections (V3).
    pub closed_ids: usize,
    /// Version negotiations and stateless resets sent per second (UDX 13: 10, as JS).
    pub stateless_answers_per_second: u32,
    /// Datagrams in one [`Transmit`](crate::Transmit). Linux takes 64 to 128 segments per send.
    pub max_segments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_connections: 65_536,
            accept_backlog: 1024,
            half_open: 4096,
            max_streams: 1024,
            receive_growth: 64 << 20,
            max_stream_window: 16 << 20,
            send_buffer: 16 << 20,
            // 32 MiB in flight in datagrams of 1200 bytes.
            max_records: 28_000,
            early_bytes: 1 << 20,
            early_packets_per_id: 32,
            early_ids: 256,
            closed_ids: 16_384,
            stateless_answers_per_second: 10,
            max_segments: 64,
        }
    }
}
