//! A hostile side: a peer that lies in every field, and outsiders who see nothing and send all the same.
//!
//! The victim is an engine of ours that serves honest connections meanwhile. Each seed is run twice, without the attack and with
//! it, over the same paths; the honest sides have a path of their own, so what they lose is lost to the attack alone.
//!
//! Checked after every wake: the engine's own books; its memory against the arithmetic of its limits; what each datagram
//! made it allocate and send; what an address that never proved itself was sent; that each honest byte is the right one, and that
//! no honest connection ended, moved, or became slower.

mod app;
mod forge;
mod ledger;
mod node;
mod outsider;
mod peer;
mod plan;
mod read;
mod seeds;
mod tricks;
mod world;

pub use outsider::{Outsider, OutsiderReport, run_outsider};
pub use seeds::{HostileReport, HostileSummary, run_hostile_seed, run_hostile_seeds};

use crate::plan::Time;
use crate::report::Rule;
use std::net::SocketAddr;

/// A rule that was broken, and how.
type Fault = (Rule, String);

/// Counts what a run allocates. The lab has no unsafe code, so the program that runs it brings the allocator that counts.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// Allocations of this thread so far.
    pub allocations: fn() -> u64,
}

/// A datagram that somebody sends, from where he says.
struct Shot {
    from: SocketAddr,
    to: SocketAddr,
    payload: Vec<u8>,
}

/// Who attacks.
trait Attacker {
    /// A datagram reached an address that is not an honest side's.
    fn hear(&mut self, now: Time, from: SocketAddr, to: SocketAddr, datagram: &[u8]);

    /// A datagram of one honest side reached the other. Only who stands beside the path gets copies.
    fn overhear(&mut self, _now: Time, _from: SocketAddr, _to: SocketAddr, _datagram: &[u8]) {}

    /// When it wants to act; `None` if it is through.
    fn next_at(&self) -> Option<Time>;

    /// Does what is due.
    fn act(&mut self, now: Time, out: &mut Vec<Shot>);
}

/// By which honest sides know each other's requests in the lab. No attacker sends it but by replaying.
fn honest_magic(seed: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63
}
