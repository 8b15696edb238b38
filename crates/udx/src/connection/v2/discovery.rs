//! A dialer that does not know which version its peer speaks (UDX 13).
//!
//! Its first packet is a SYN without data in the form of version 3, which in version 2 reads as a SYN and padding. Any
//! answer shows that the SYN arrived, for nothing else could have told the peer the connection's IDs; and its version field tells the
//! version. Until then this record is the only one, under the same number each time it is sent, so that either way
//! of numbering can follow.

use core::net::SocketAddr;

use gapless_recovery::{Instant, RecordId};
use gapless_seq::mark;

use super::super::{Carried, Connection, Side};
use super::V2;
use crate::config::{ConnectionConfig, VersionChoice};
use crate::event::Event;
use crate::peer::{Peer, Rules};
use crate::wire::{Header, Version, VersionNegotiation};

impl V2 {
    /// What a dialer needs that chose so.
    pub(in super::super) fn for_dialer(config: &ConnectionConfig) -> Option<V2> {
        match config.version {
            VersionChoice::Discover => Some(V2::new(config, true)),
            VersionChoice::Only(Version::V2) => Some(V2::new(config, false)),
            VersionChoice::Only(Version::V3) => None,
        }
    }
}

impl Connection {
    /// Whether the version is known.
    pub(in super::super) fn is_decided(&self) -> bool {
        self.v2.as_ref().is_none_or(|v2| !v2.undecided)
    }

    pub(in super::super) fn rules_for(&self, peer: Peer) -> &'static Rules {
        match (&self.v2, peer) {
            (Some(_), Peer::Go) => self.rules_for_go(),
            (Some(_), _) => peer.rules_v2(),
            (None, _) => peer.rules(),
        }
    }

    /// Whether a valid packet of that version is of this connection; the first one from the peer decides.
    pub(crate) fn takes(&mut self, now: Instant, from: SocketAddr, header: &Header) -> bool {
        let Some(version) = Version::from_wire(header.version) else {
            return false;
        };
        if self.is_decided() {
            return version == self.version;
        }
        // V6: only whoever was dialed may choose.
        if from != self.path.remote() || header.source != self.peer_id || self.closed.is_some() {
            return false;
        }
        self.clock.now = now;
        self.decide(version);
        true
    }

    fn decide(&mut self, version: Version) {
        mark!(DiscoveredV2, version == Version::V2);
        mark!(DiscoveredV3, version == Version::V3);
        self.acknowledge_opening();
        self.version = version;
        match &mut self.v2 {
            Some(v2) if version == Version::V2 => v2.undecided = false,
            v2 => *v2 = None,
        }
        let next = self.recovery.next_number();
        let config = super::super::recovery_config(&self.config, self.limits.max_records, version);
        let config = gapless_recovery::Config {
            first_number: next,
            // When the answer came is chance enough to keep flows apart.
            seed: self.clock.now.as_nanos(),
            ..config
        };
        self.recovery.restart(&config, self.clock.now);
        self.rules = self.rules_for(self.peer);
        self.obey_rules();
        self.events.push_back(Event::Version(version));
    }

    /// Number 0 counts as acknowledged: it measures the round trip like any other (Karn's rule included).
    fn acknowledge_opening(&mut self) {
        let first = self.config.first_number;
        if self.recovery.next_number() > first {
            let range = core::iter::once(first..=first);
            self.on_acked_ranges(first, core::time::Duration::ZERO, range);
        }
    }

    /// A version negotiation, which is believed only before the first valid packet, with both IDs right and from where the peer is; and
    /// never as far as to give up, since anybody can send one (V7, UDX 13).
    pub(crate) fn on_version_negotiation(
        &mut self,
        now: Instant,
        from: SocketAddr,
        offer: &VersionNegotiation<'_>,
    ) {
        let fresh = self.side == Side::Dialer && !self.clock.answered && self.closed.is_none();
        let ours = offer.source == self.peer_id && from == self.path.remote();
        if !fresh || !ours || offer.lists(self.version.wire()) {
            mark!(NegotiationIgnored);
            return;
        }
        let other = match self.version {
            Version::V3 => Version::V2,
            Version::V2 => Version::V3,
        };
        match &mut self.v2 {
            // Dart 2: the same number in the other form, on the same connection.
            Some(v2) if v2.undecided && offer.lists(other.wire()) => {
                self.clock.now = now;
                self.version = other;
                mark!(OpeningRepeated);
                v2.repeat_opening = true;
            }
            _ => {
                mark!(VersionRefused);
                self.refused_version = true;
            }
        }
    }

    /// The SYN, if it is to be sent again in another form.
    pub(in super::super) fn opening_again(&mut self) -> Option<(RecordId, Carried)> {
        let v2 = self.v2.as_mut()?;
        if !core::mem::take(&mut v2.repeat_opening) {
            return None;
        }
        let (record, carried) = self.recovery.records().next()?;
        Some((record, *carried))
    }
}
