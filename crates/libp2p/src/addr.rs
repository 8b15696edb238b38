//! The textual and binary `/udx` addresses, and the form that travels inside rust-libp2p.
//!
//! The `multiaddr` crate knows a closed set of protocols, and `/udx` (code 0x0300) is not among them. Inside a
//! [`Swarm`](https://docs.rs/libp2p-swarm) a UDX address is therefore the bare `/ip4/A/udp/P` or `/ip6/A/udp/P`, which
//! no other transport claims; at the edges [`UdxAddr`] reads and writes what go-, js- and dart-libp2p read and write.

use std::{fmt, net::IpAddr, net::SocketAddr, str::FromStr};

use libp2p_core::multiaddr::{Multiaddr, Protocol};
use libp2p_identity::PeerId;

/// Where a UDX peer listens and, where it is known, who must answer there.
///
/// ```
/// use libp2p_udx::UdxAddr;
///
/// let addr: UdxAddr = "/ip4/192.0.2.7/udp/9000/udx".parse()?;
/// assert_eq!(addr.socket_addr(), "192.0.2.7:9000".parse()?);
/// assert_eq!(addr.to_string(), "/ip4/192.0.2.7/udp/9000/udx");
/// // What a Swarm listens on and dials:
/// assert_eq!(addr.to_multiaddr().to_string(), "/ip4/192.0.2.7/udp/9000");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct UdxAddr {
    socket: SocketAddr,
    peer: Option<PeerId>,
}

impl UdxAddr {
    /// The address of whoever answers at `socket`.
    ///
    /// A multiaddr carries neither the scope nor the flow label of an IPv6 socket address: they are dropped.
    #[must_use]
    pub fn new(socket: SocketAddr) -> Self {
        let socket = SocketAddr::new(socket.ip(), socket.port());
        Self { socket, peer: None }
    }

    /// The same place, where only `peer` may answer.
    #[must_use]
    pub fn with_peer(mut self, peer: PeerId) -> Self {
        self.peer = Some(peer);
        self
    }

    /// IP address and UDP port.
    #[must_use]
    pub fn socket_addr(&self) -> SocketAddr {
        self.socket
    }

    /// Who must answer, if the address says so.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        self.peer
    }

    /// The form for `Swarm::listen_on` and `Swarm::dial`: `/ip4/A/udp/P`, with `/p2p/ID` if the peer is known.
    #[must_use]
    pub fn to_multiaddr(&self) -> Multiaddr {
        let place = Multiaddr::from(self.socket.ip()).with(Protocol::Udp(self.socket.port()));
        match self.peer {
            Some(peer) => place.with(Protocol::P2p(peer)),
            None => place,
        }
    }

    /// The binary form with `/udx`, as other implementations send it in identify messages and peer records.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Self::new(self.socket).to_multiaddr().to_vec();
        bytes.extend_from_slice(&UDX_CODE);
        if let Some(peer) = self.peer {
            bytes.extend_from_slice(Multiaddr::from(Protocol::P2p(peer)).as_ref());
        }
        bytes
    }

    fn from_parts(parts: &[Part<'_>]) -> Result<Self, AddrError> {
        let mut rest = parts.iter();
        let ip: IpAddr = match rest.next() {
            Some(Part::Known(Protocol::Ip4(ip))) => (*ip).into(),
            Some(Part::Known(Protocol::Ip6(ip))) => (*ip).into(),
            other => return Err(AddrError::Host(name(other))),
        };
        let port = match rest.next() {
            Some(Part::Known(Protocol::Udp(port))) => *port,
            other => return Err(AddrError::NotUdp(name(other))),
        };
        match rest.next() {
            Some(Part::Udx) => {}
            other => return Err(AddrError::NotUdx(name(other))),
        }
        let addr = Self::new(SocketAddr::new(ip, port));
        let addr = match rest.next() {
            None => return Ok(addr),
            Some(Part::Known(Protocol::P2p(peer))) => addr.with_peer(*peer),
            other => return Err(AddrError::Trailing(name(other))),
        };
        match rest.next() {
            None => Ok(addr),
            other => Err(AddrError::Trailing(name(other))),
        }
    }
}

impl From<SocketAddr> for UdxAddr {
    fn from(socket: SocketAddr) -> Self {
        Self::new(socket)
    }
}

/// Reads the inner form: `/ip4/A/udp/P` or `/ip6/A/udp/P`, optionally with `/p2p/ID`, and nothing else.
///
/// What follows `/udp/P` in an address names its transport (`/quic-v1`, `/webrtc-direct` …): such an address belongs to
/// somebody else and is [`AddrError::NotUdx`].
impl TryFrom<&Multiaddr> for UdxAddr {
    type Error = AddrError;

    fn try_from(addr: &Multiaddr) -> Result<Self, AddrError> {
        let mut parts: Vec<_> = addr.iter().take(MAX_PARTS).map(Part::Known).collect();
        if matches!(parts.get(2), None | Some(Part::Known(Protocol::P2p(_)))) && parts.len() >= 2 {
            parts.insert(2, Part::Udx);
        }
        Self::from_parts(&parts)
    }
}

/// Reads the binary `/udx` form.
impl TryFrom<&[u8]> for UdxAddr {
    type Error = AddrError;

    fn try_from(mut bytes: &[u8]) -> Result<Self, AddrError> {
        let mut parts = Vec::new();
        while !bytes.is_empty() && parts.len() < MAX_PARTS {
            if let Some(rest) = bytes.strip_prefix(&UDX_CODE) {
                parts.push(Part::Udx);
                bytes = rest;
            } else {
                let (part, rest) = Protocol::from_bytes(bytes).map_err(syntax)?;
                parts.push(Part::Known(part));
                bytes = rest;
            }
        }
        Self::from_parts(&parts)
    }
}

/// Reads the textual `/udx` form.
impl FromStr for UdxAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let Some(text) = text.strip_prefix('/') else {
            return Err(AddrError::NotAMultiaddr);
        };
        let mut words = text.split('/').peekable();
        let mut parts = Vec::new();
        while words.peek().is_some() && parts.len() < MAX_PARTS {
            if words.next_if_eq(&"udx").is_some() {
                parts.push(Part::Udx);
            } else {
                let part = Protocol::from_str_parts(&mut words).map_err(syntax)?;
                parts.push(Part::Known(part));
            }
        }
        Self::from_parts(&parts)
    }
}

impl fmt::Display for UdxAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Self::new(self.socket).to_multiaddr();
        match self.peer {
            Some(peer) => write!(f, "{place}/udx/p2p/{peer}"),
            None => write!(f, "{place}/udx"),
        }
    }
}

/// Why something is no UDX address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddrError {
    /// The text does not begin with a slash.
    #[error("a multiaddr begins with a slash, like /ip4/192.0.2.7/udp/9000/udx")]
    NotAMultiaddr,
    /// A component cannot be read, or is of a kind nobody here knows.
    #[error("cannot read the address: {0}")]
    Syntax(String),
    /// The address does not begin with `/ip4` or `/ip6`. Names must be resolved first.
    #[error("a UDX address begins with /ip4 or /ip6, not {0}")]
    Host(String),
    /// The IP address is not followed by `/udp/PORT`.
    #[error("/udp/PORT must follow the IP address, not {0}")]
    NotUdp(String),
    /// The UDP port is not followed by `/udx`: the address is another transport's.
    #[error("/udx must follow the UDP port, not {0}")]
    NotUdx(String),
    /// Something other than one `/p2p/ID` follows.
    #[error("only /p2p/ID may follow /udx, not {0}")]
    Trailing(String),
}

/// One component of an address.
enum Part<'a> {
    Known(Protocol<'a>),
    Udx,
}

/// Code 0x0300 of `/udx` as a varint (UDX 20: `80 06`).
const UDX_CODE: [u8; 2] = [0x80, 0x06];

/// Components looked at: the longest good address has four (ip, udp, udx, p2p), the fifth shows that there is more.
const MAX_PARTS: usize = 5;

fn name(part: Option<&Part<'_>>) -> String {
    match part {
        None => "the end of the address".to_owned(),
        Some(Part::Udx) => "/udx".to_owned(),
        Some(Part::Known(protocol)) => format!("/{}", protocol.tag()),
    }
}

fn syntax(error: libp2p_core::multiaddr::Error) -> AddrError {
    AddrError::Syntax(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn text(s: &str) -> Result<UdxAddr, AddrError> {
        s.parse()
    }

    fn inner(s: &str) -> Result<UdxAddr, AddrError> {
        UdxAddr::try_from(&s.parse::<Multiaddr>().unwrap())
    }

    #[test]
    fn text_binary_and_inner_form_agree() {
        for place in [
            "/ip4/192.0.2.7/udp/9000",
            "/ip6/2001:db8::7/udp/1",
            "/ip6/::/udp/0",
        ] {
            let addr = text(&format!("{place}/udx")).unwrap();
            assert_eq!(addr.peer(), None);
            assert_eq!(addr.to_string(), format!("{place}/udx"));
            assert_eq!(addr.to_multiaddr().to_string(), place);
            assert_eq!(inner(place).unwrap(), addr);
            assert_eq!(UdxAddr::try_from(&addr.to_vec()[..]).unwrap(), addr);

            let addr = text(&format!("{place}/udx/p2p/{PEER}")).unwrap();
            assert_eq!(addr.peer().unwrap().to_string(), PEER);
            assert_eq!(addr.to_string(), format!("{place}/udx/p2p/{PEER}"));
            assert_eq!(
                addr.to_multiaddr().to_string(),
                format!("{place}/p2p/{PEER}")
            );
            assert_eq!(inner(&format!("{place}/p2p/{PEER}")).unwrap(), addr);
            assert_eq!(UdxAddr::try_from(&addr.to_vec()[..]).unwrap(), addr);
        }
    }

    #[test]
    fn binary_form_is_the_one_of_the_specification() {
        let addr = text("/ip4/127.0.0.1/udp/9000/udx").unwrap();
        // ip4 = 4, udp = 273 as varint 91 02, udx = 0x0300 as varint 80 06 (UDX 20).
        assert_eq!(
            addr.to_vec(),
            [4, 127, 0, 0, 1, 0x91, 0x02, 0x23, 0x28, 0x80, 0x06]
        );
    }

    #[test]
    fn a_legacy_ipfs_component_names_the_peer() {
        let addr = text(&format!("/ip4/1.2.3.4/udp/5/udx/ipfs/{PEER}")).unwrap();
        assert_eq!(addr.peer().unwrap().to_string(), PEER);
    }

    #[test]
    fn other_transports_keep_their_addresses() {
        for (addr, after_udp) in [
            ("/ip4/1.2.3.4/udp/5/quic", "/quic"),
            ("/ip4/1.2.3.4/udp/5/quic-v1", "/quic-v1"),
            ("/ip4/1.2.3.4/udp/5/quic-v1/webtransport", "/quic-v1"),
            ("/ip4/1.2.3.4/udp/5/webrtc-direct", "/webrtc-direct"),
            ("/ip4/1.2.3.4/udp/5/utp", "/utp"),
        ] {
            assert_eq!(
                inner(addr),
                Err(AddrError::NotUdx(after_udp.into())),
                "{addr}"
            );
            assert_eq!(
                text(addr),
                Err(AddrError::NotUdx(after_udp.into())),
                "{addr}"
            );
        }
        assert_eq!(
            inner("/ip4/1.2.3.4/tcp/5"),
            Err(AddrError::NotUdp("/tcp".into()))
        );
        assert_eq!(
            inner("/dns4/a.example/udp/5"),
            Err(AddrError::Host("/dns4".into()))
        );
        assert_eq!(inner("/memory/7"), Err(AddrError::Host("/memory".into())));
        let relayed = format!("/ip4/1.2.3.4/udp/5/p2p/{PEER}/p2p-circuit");
        assert_eq!(
            inner(&relayed),
            Err(AddrError::Trailing("/p2p-circuit".into()))
        );
    }

    #[test]
    fn broken_text_is_refused_with_the_reason() {
        assert_eq!(text("1.2.3.4:5"), Err(AddrError::NotAMultiaddr));
        assert_eq!(text(""), Err(AddrError::NotAMultiaddr));
        assert_eq!(text("/udx"), Err(AddrError::Host("/udx".into())));
        assert_eq!(
            text("/ip4/1.2.3.4/udp/5"),
            Err(AddrError::NotUdx("the end of the address".into()))
        );
        assert_eq!(
            text("/ip4/1.2.3.4/udp/5/udx/udx"),
            Err(AddrError::Trailing("/udx".into()))
        );
        for bad in [
            "/",
            "/ip4/1.2.3/udp/5/udx",
            "/ip4/1.2.3.4/udp/65536/udx",
            "/ip4/1.2.3.4/udp/5/udx/",
            "/ip4/1.2.3.4/udp/5/udx/p2p/nobody",
        ] {
            assert!(matches!(text(bad), Err(AddrError::Syntax(_))), "{bad}");
        }
    }

    #[test]
    fn every_truncation_of_the_binary_form_is_refused_or_shorter() {
        let whole = text(&format!("/ip6/2001:db8::7/udp/9000/udx/p2p/{PEER}"))
            .unwrap()
            .to_vec();
        let without_peer = UdxAddr::new("[2001:db8::7]:9000".parse().unwrap());
        for len in 0..whole.len() {
            let read = UdxAddr::try_from(&whole[..len]);
            if len == without_peer.to_vec().len() {
                assert_eq!(read, Ok(without_peer));
            } else {
                assert!(read.is_err(), "{len}");
            }
        }
    }

    #[test]
    fn rust_multiaddr_refuses_what_others_send() {
        // Why this module exists. Should this test fail one day, /udx has become a protocol of the crate.
        let bytes = text("/ip4/127.0.0.1/udp/9000/udx").unwrap().to_vec();
        assert!(Multiaddr::try_from(bytes).is_err());
        assert!("/ip4/127.0.0.1/udp/9000/udx".parse::<Multiaddr>().is_err());
    }
}
