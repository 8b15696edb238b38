//! The paths of the table, and what theory says of them.

use anyhow::Result;
use gapless_link::Profile;

use crate::engine::{Kind, Time};

pub(crate) const SECOND: Time = 1_000_000_000;
pub(crate) const MS: Time = 1_000_000;

/// A path of the table.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) struct Path {
    /// Mbit/s.
    pub(crate) rate_mbit: u32,
    /// Round trip time, ms.
    pub(crate) rtt_ms: u32,
    /// The queue, in hundredths of what the path holds (rate times round trip time).
    pub(crate) queue_percent: u32,
    /// Tenths of a percent of the datagrams lost by chance, in each direction.
    pub(crate) loss_permille: u32,
}

impl Path {
    /// The data's direction, and the way back, which has neither bottleneck nor queue.
    pub(crate) fn profiles(&self, seed: u64) -> Result<(Profile, Profile)> {
        let loss = f64::from(self.loss_permille) / 10.0;
        let half = f64::from(self.rtt_ms) / 2.0;
        let base = format!("loss={loss}%,delay={half}ms,mtu={PACKET},seed={seed}");
        let there = format!(
            "{base},rate={}mbit,queue={}b",
            self.rate_mbit,
            self.queue_bytes()
        );
        Ok((there.parse()?, base.parse()?))
    }

    /// Rate times round trip time, bytes.
    pub(crate) fn bdp(&self) -> u64 {
        self.capacity() * u64::from(self.rtt_ms) / 1000
    }

    /// What may wait before the bottleneck, bytes.
    pub(crate) fn queue_bytes(&self) -> u64 {
        (self.bdp() * u64::from(self.queue_percent) / 100).max(LEAST_QUEUE)
    }

    /// What every transport's windows and buffers hold, bytes: more than path and queue together at any time.
    pub(crate) fn window(&self) -> u64 {
        (self.bdp() * 8).clamp(LEAST_WINDOW, MOST_WINDOW)
    }

    /// Bytes per second that a full path carries, headers included.
    pub(crate) fn capacity(&self) -> u64 {
        u64::from(self.rate_mbit) * 1_000_000 / 8
    }

    /// Virtual time of a bulk transfer: long enough that its opening is a small part. A gigabit is run for a shorter time, because its
    /// packets cost real time.
    pub(crate) fn bulk_time(&self) -> Time {
        let rtt = u64::from(self.rtt_ms) * MS;
        if self.rate_mbit < 1000 {
            (20 * SECOND).max(100 * rtt)
        } else {
            (5 * SECOND).max(50 * rtt)
        }
    }

    /// Virtual time of transfers that compete.
    pub(crate) fn fairness_time(&self) -> Time {
        (60 * SECOND).max(u64::from(self.rtt_ms) * MS * 300)
    }

    /// What theory expects of a controller, percent of the path's rate; nothing for losses that there are not.
    ///
    /// One that bears losses gets what is not lost. The mean windows of the others, in packets, are those of RFC 9438 5.1 and, for Reno,
    /// of its table there; CUBIC has the larger of both (RFC 9438 4.3).
    pub(crate) fn theory(&self, kind: Kind) -> Option<f64> {
        let loss = f64::from(self.loss_permille) / 1000.0;
        if loss <= 0.0 {
            return None;
        }
        let rtt = f64::from(self.rtt_ms) / 1000.0;
        let reno = 1.2 / loss.sqrt();
        let cubic = 1.054 * (rtt / loss).powf(0.75);
        let window = match kind {
            Kind::Bbr | Kind::QuinnBbr | Kind::TcpBbr => f64::INFINITY,
            Kind::NewReno | Kind::QuinnNewReno | Kind::SmoltcpReno => reno,
            Kind::Cubic | Kind::QuinnCubic | Kind::SmoltcpCubic | Kind::Tcp => cubic.max(reno),
        };
        let share = window * f64::from(PACKET) / rtt / self.capacity() as f64;
        Some(share.min(1.0) * (1.0 - loss) * 100.0)
    }

    /// For messages.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} Mbit/s, {} ms, queue {} %, loss {} %",
            self.rate_mbit,
            self.rtt_ms,
            self.queue_percent,
            self.loss_percent()
        )
    }

    pub(crate) fn loss_percent(&self) -> f64 {
        f64::from(self.loss_permille) / 10.0
    }
}

/// Bytes of the largest packet, headers included: Ethernet's.
const PACKET: u16 = 1500;
/// The least queue, bytes: ten full packets, below which no first window could be sent at all.
const LEAST_QUEUE: u64 = 15_000;
/// The least window, bytes: what makes no difference on a short path.
const LEAST_WINDOW: u64 = 4 << 20;
/// The most that the model of a link holds underway, bytes.
const MOST_WINDOW: u64 = 256 << 20;
