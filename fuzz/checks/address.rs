//! Addresses of `/udx`, as text and as bytes.

use libp2p_udx::UdxAddr;

/// Reads the bytes as an address in both forms. What is understood is written in both and read again.
///
/// # Panics
/// If that is not the same.
pub fn check(data: &[u8]) {
    let from_text = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.parse::<UdxAddr>().ok());
    for address in from_text.into_iter().chain(UdxAddr::try_from(data).ok()) {
        let text = address.to_string();
        assert_eq!(text.parse::<UdxAddr>().ok(), Some(address.clone()), "{text}");
        let bytes = address.to_vec();
        assert_eq!(UdxAddr::try_from(&bytes[..]).ok(), Some(address.clone()));
        let inner = address.to_multiaddr();
        let again = UdxAddr::try_from(&inner).map(|inner| inner.socket_addr());
        assert_eq!(again.ok(), Some(address.socket_addr()), "{inner}");
    }
}
