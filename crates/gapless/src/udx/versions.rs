//! Which wire version each peer answered with last, so that nobody is asked twice.

use gapless_udx::Peer;
use gapless_udx::wire::Version;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Peers remembered; the one that was of use longest ago goes first. Some 200 bytes each, so 800 KiB at most.
const MOST: usize = 4096;

/// An answer counts for so long. Peers change their version when they are installed anew: rarely, but then without a word. Asking
/// again costs one round trip at most, so an hour of trust saves nearly all that trust can save.
const LIFETIME: Duration = Duration::from_secs(3600);

/// What is known about peers by their addresses: the wire version that they answered with (UDX 13).
///
/// Every [`Endpoint`](crate::Endpoint) has one; [`Builder::peer_versions`](crate::Builder::peer_versions) lets several endpoints
/// share it, and an application keep it beyond them. A handle: clones share the contents. It holds 4096 addresses at most, the ones
/// that were of use last, each for an hour after its last answer.
///
/// Only answers to dials are remembered: whoever forges the address of somebody else cannot write here. An outdated entry does
/// not keep a peer from being reached: see [`Endpoint::connect`](crate::Endpoint::connect).
#[derive(Clone, Debug, Default)]
pub struct PeerVersions {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    peers: HashMap<SocketAddr, Entry>,
    /// By the last use.
    order: BTreeMap<u64, SocketAddr>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    version: Version,
    kind: Peer,
    learned: Instant,
    used: u64,
}

impl PeerVersions {
    /// The version that the peer at this address answered with last; `None` if that is not known, or too long ago.
    pub fn get(&self, peer: SocketAddr) -> Option<Version> {
        self.lock().get(peer, Instant::now()).map(|(it, _)| it)
    }

    /// Takes over what the application knows, for instance from its own records.
    pub fn set(&self, peer: SocketAddr, version: Version) {
        self.learn(peer, version, Peer::Unknown);
    }

    /// Has the next dial to this address discover the version.
    pub fn forget(&self, peer: SocketAddr) {
        self.lock().remove(peer);
    }

    /// Which implementation a peer is that speaks this version, as far as its connection had shown by its end.
    pub(super) fn recognise(&self, peer: SocketAddr, version: Version, kind: Peer) {
        let mut known = self.lock();
        if let Some(entry) = known.peers.get_mut(&canonical(peer))
            && entry.version == version
        {
            entry.kind = kind;
        }
    }

    /// The peer was silent in this version.
    pub(super) fn doubt(&self, peer: SocketAddr, version: Version) {
        let mut known = self.lock();
        let remembered = known.peers.get(&canonical(peer));
        if remembered.is_some_and(|entry| entry.version == version) {
            known.remove(peer);
        }
    }

    /// How many addresses are remembered now.
    pub fn len(&self) -> usize {
        self.lock().peers.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which implementation answered there last, as far as it showed.
    pub(super) fn kind(&self, peer: SocketAddr) -> Peer {
        let known = self.lock().get(peer, Instant::now());
        known.map(|(_, kind)| kind).unwrap_or_default()
    }

    pub(super) fn learn(&self, peer: SocketAddr, version: Version, kind: Peer) {
        self.lock().learn(peer, version, kind, Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // No step in between leaves the maps in a state that later steps could not live with.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn get(&mut self, peer: SocketAddr, now: Instant) -> Option<(Version, Peer)> {
        let peer = canonical(peer);
        let entry = self.peers.get_mut(&peer)?;
        if now.saturating_duration_since(entry.learned) > LIFETIME {
            self.remove(peer);
            return None;
        }
        self.order.remove(&entry.used);
        self.uses += 1;
        entry.used = self.uses;
        self.order.insert(self.uses, peer);
        Some((entry.version, entry.kind))
    }

    fn learn(&mut self, peer: SocketAddr, version: Version, kind: Peer, now: Instant) {
        let peer = canonical(peer);
        // What shows later in a connection than its version must not be forgotten by the beginning of the next.
        let kind = match self.peers.get(&peer) {
            Some(old) if kind == Peer::Unknown && old.version == version => old.kind,
            _ => kind,
        };
        self.remove(peer);
        while self.peers.len() >= MOST
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.peers.remove(&oldest);
        }
        self.uses += 1;
        self.order.insert(self.uses, peer);
        let entry = Entry {
            version,
            kind,
            learned: now,
            used: self.uses,
        };
        self.peers.insert(peer, entry);
    }

    fn remove(&mut self, peer: SocketAddr) {
        if let Some(entry) = self.peers.remove(&canonical(peer)) {
            self.order.remove(&entry.used);
        }
    }
}

/// One peer, one key, however its IPv4 address is written.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u32) -> SocketAddr {
        SocketAddr::from((n.to_be_bytes(), 9))
    }

    #[test]
    fn the_last_answer_counts_and_is_forgotten_on_demand() {
        let versions = PeerVersions::default();
        assert_eq!(versions.get(peer(1)), None);
        versions.set(peer(1), Version::V2);
        versions.clone().set(peer(1), Version::V3);
        assert_eq!(versions.get(peer(1)), Some(Version::V3));
        let mapped = SocketAddr::new("::ffff:0.0.0.1".parse().unwrap(), 9);
        assert_eq!(versions.get(mapped), Some(Version::V3));
        versions.forget(mapped);
        assert!(versions.is_empty());
    }

    #[test]
    fn silence_in_one_version_says_nothing_of_the_other() {
        let versions = PeerVersions::default();
        versions.set(peer(1), Version::V3);
        versions.doubt(peer(1), Version::V2);
        assert_eq!(versions.get(peer(1)), Some(Version::V3));
        versions.doubt(peer(1), Version::V3);
        assert_eq!(versions.get(peer(1)), None);
    }

    #[test]
    fn memory_is_bounded_and_what_is_of_use_stays() {
        let versions = PeerVersions::default();
        for n in 0..10 * MOST as u32 {
            versions.set(peer(n), Version::V2);
            assert_eq!(versions.get(peer(0)), Some(Version::V2), "after {n}");
            assert!(versions.len() <= MOST);
        }
        assert_eq!(versions.get(peer(1)), None);
        let known = versions.lock();
        assert_eq!(known.order.len(), known.peers.len());
    }

    #[test]
    fn an_answer_expires_however_often_it_is_used() {
        let mut known = Known::default();
        let start = Instant::now();
        known.learn(peer(1), Version::V2, Peer::Go, start);
        let later = start + LIFETIME;
        assert_eq!(known.get(peer(1), later), Some((Version::V2, Peer::Go)));
        let late = later + Duration::from_secs(1);
        assert_eq!(known.get(peer(1), late), None);
        assert!(known.peers.is_empty() && known.order.is_empty());
    }

    #[test]
    fn the_kind_of_a_peer_outlives_its_next_greeting_but_not_its_upgrade() {
        let mut known = Known::default();
        let now = Instant::now();
        known.learn(peer(1), Version::V2, Peer::Go, now);
        known.learn(peer(1), Version::V2, Peer::Unknown, now);
        assert_eq!(known.get(peer(1), now), Some((Version::V2, Peer::Go)));
        known.learn(peer(1), Version::V3, Peer::Unknown, now);
        assert_eq!(known.get(peer(1), now), Some((Version::V3, Peer::Unknown)));
    }
}
