//! Loss recovery for any transport: sent log, RACK-TLP, congestion control, pacing, MTU search.
//!
//! A [`Recovery`] is a value without clock, socket or thread. It knows no wire format: it is generic over `R`, which says what a
//! packet carried, and hands each `R` back when the peer has it. Numbers are minted by [`Recovery::commit`] alone, which
//! registers what goes under the number (design rule P1): a number is a promise.
//!
//! ```
//! use core::time::Duration;
//! use gapless_recovery::{Class, Config, Instant, Permission, Recovery, Run};
//!
//! let mut now = Instant::ZERO;
//! let mut recovery: Recovery<&str> = Recovery::new(&Config::default(), now);
//! assert_eq!(recovery.may_send(now, 1200), Permission::Now);
//! let sent = recovery.commit(now, Class::Reliable, 1200, "stream 1, bytes 0 to 1100")?;
//!
//! now += Duration::from_millis(30);
//! let mut arrived = Vec::new();
//! recovery
//!     .on_ack(now, sent.number, Duration::ZERO, core::iter::once(0..=sent.number), |what| arrived.push(what))
//!     .unwrap();
//! assert_eq!(arrived, ["stream 1, bytes 0 to 1100"]);
//! assert_eq!(recovery.rtt().smoothed(), Duration::from_millis(30));
//! # Ok::<(), gapless_recovery::CommitError>(())
//! ```
//!
//! # The caller's loop
//!
//! Before a packet: [`Recovery::may_send`]. What to send, in this order: [`Recovery::next_lost`] (then
//! [`Recovery::resend`]), new data (then [`Recovery::commit`]), and if [`Recovery::owes_probe`] and there is neither,
//! [`Recovery::probe_candidate`]. After the last one, when the window has room: [`Recovery::on_app_limited`]. At
//! [`Recovery::next_deadline`]: [`Recovery::on_timeout`]. Every call may come late, early or twice.
//!
//! # Not here
//!
//! The reaction to ECN
//! marks, and for reused numbers the DSACK and timestamp forms of spurious loss detection: there a loss is disproved by an
//! acknowledgement that comes before the repetition, or sooner after it than a round trip takes.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

extern crate alloc;

mod config;
mod congestion;
mod event;
mod loss;
#[cfg(feature = "marks")]
pub mod marks;
mod mtu;
mod num;
mod pacer;
mod prr;
mod pto;
mod rate;
mod recovery;
mod ring;
mod rtt;
#[cfg(feature = "sabotage")]
pub mod sabotage;
mod sent_log;
mod time;

pub use config::{Algorithm, Class, Config, MtuConfig, Numbering};
pub use congestion::{
    Ack, Bbr, Congestion, CongestionPhase, Controller, Cubic, LostPacket, NewReno,
};
pub use event::{Event, Stats};
pub use rate::{RateSample, SentState};
pub use recovery::{AckError, AckOutcome, Broken, Echo, Permission, Recovery, Run};
pub use rtt::Rtt;
pub use sent_log::{CommitError, Number, RecordId, ResendError, SplitError};
pub use time::Instant;
