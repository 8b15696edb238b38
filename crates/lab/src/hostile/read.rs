//! The engine's packets as an attacker reads them.

use gapless_udx::wire::{Packet, Version};

/// The packet in a datagram, read as its version says; `None` for what is none.
pub(super) fn read(datagram: &[u8]) -> Option<Packet<'_>> {
    let version = u32::from_be_bytes(*datagram.first_chunk()?);
    let version = Version::from_wire(version)?;
    Packet::decode_as(datagram, version.dialect()).ok()
}
