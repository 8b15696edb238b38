//! Who sent how much to whom: what an engine sends to an address that never proved itself is measured (V18, UDX2 H19).

use super::Fault;
use super::read::read;
use crate::report::Rule;
use gapless_udx::wire::Frame;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The books of one engine, by address of the other side.
#[derive(Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<SocketAddr, Account>,
    /// Nonces that were asked, and where.
    asked: BTreeMap<u64, SocketAddr>,
    /// The most that was sent for what came, in thousandths, where it counts.
    pub(super) worst: u64,
}

#[derive(Default)]
struct Account {
    came: u64,
    went: u64,
    /// It was dialed, or it knew a nonce.
    proven: bool,
}

impl Ledger {
    /// The engine's application dials there.
    pub(super) fn dialed(&mut self, to: SocketAddr) {
        self.accounts.entry(to).or_default().proven = true;
    }

    /// The engine is given a datagram. A nonce proves the address that it was sent to, wherever it comes back from: nobody else
    /// can have read it (UDX 11).
    pub(super) fn came(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.accounts.entry(from).or_default().came += datagram.len() as u64;
        for nonce in nonces(datagram, false) {
            if let Some(asked) = self.asked.get(&nonce) {
                self.accounts.entry(*asked).or_default().proven = true;
            }
        }
    }

    /// The engine sends a datagram.
    pub(super) fn went(&mut self, to: SocketAddr, datagram: &[u8]) -> Result<(), Fault> {
        for nonce in nonces(datagram, true) {
            self.asked.insert(nonce, to);
        }
        let account = self.accounts.entry(to).or_default();
        account.went += datagram.len() as u64;
        if account.proven {
            return Ok(());
        }
        self.worst = self.worst.max(account.went * 1000 / account.came.max(1));
        if account.went > account.came * AMPLIFICATION {
            let Account { came, went, .. } = account;
            let detail = format!("{to} never proved itself, sent {came} bytes and was sent {went}");
            return Err((Rule::Amplification, detail));
        }
        Ok(())
    }
}

/// Those of the packet's challenges or responses.
fn nonces(datagram: &[u8], challenges: bool) -> BTreeSet<u64> {
    let Some(packet) = read(datagram) else {
        return BTreeSet::new();
    };
    let nonces = packet.frames().filter_map(|frame| match frame {
        Frame::PathChallenge { nonce } if challenges => Some(nonce),
        Frame::PathResponse { nonce } if !challenges => Some(nonce),
        _ => None,
    });
    nonces.collect()
}

/// UDX 11, V18.
const AMPLIFICATION: u64 = 3;
