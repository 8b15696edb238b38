//! Addresses as people write them: `udx://PEER@HOST:PORT/NAME` and `/ip4/…/udp/…/udx/p2p/PEER`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use libp2p::PeerId;
use libp2p_udx::UdxAddr;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::failure::{Failure, Kind};

/// The UDP port where nothing else is said: the default of `gapless serve`.
pub const DEFAULT_PORT: u16 = 9000;

/// A peer, where it is, and possibly which of its repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Who has to answer.
    pub peer: PeerId,
    /// Where.
    pub host: Host,
    /// The UDP port.
    pub port: u16,
    /// The repository.
    pub name: Option<String>,
}

/// Where a peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A name to be resolved.
    Name(String),
}

/// Why a text is no address of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Neither `udx://` nor a multiaddr.
    #[error("'{0}' is neither a URL that begins with udx:// nor a multiaddr")]
    NoAddress(String),
    /// Nothing says who has to answer.
    #[error("'{0}' does not say who has to answer")]
    NoPeer(String),
    /// The part before `@` is no peer identity.
    #[error("'{0}' is no peer identity")]
    BadPeer(String),
    /// No host, or one with forbidden characters.
    #[error("'{0}' is no host name or IP address")]
    BadHost(String),
    /// The port is no number from 1 to 65535.
    #[error("'{0}' is no UDP port")]
    BadPort(String),
    /// The path is no UTF-8, or holds a control character.
    #[error("'{0}' cannot be a repository's name")]
    BadName(String),
    /// `?` and `#` mean nothing here.
    #[error("'{0}' has a query or fragment, which mean nothing here")]
    Extra(String),
    /// The multiaddr is not one of a UDX peer.
    #[error("'{text}' is no address of a UDX peer: {reason}")]
    BadMultiaddr {
        /// What was given.
        text: String,
        /// What the parser says.
        reason: String,
    },
}

const SCHEME: &str = "udx://";

/// What stands as it is in the path of a URL (RFC 3986 3.3: unreserved, and the slash between segments).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

impl Target {
    /// The URL that leads here.
    pub fn url(&self) -> String {
        self.to_string()
    }

    fn from_url(text: &str, rest: &str) -> Result<Self, AddressError> {
        if rest.contains(['?', '#']) {
            return Err(AddressError::Extra(text.to_owned()));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let Some((peer, place)) = authority.rsplit_once('@') else {
            return Err(AddressError::NoPeer(text.to_owned()));
        };
        if peer.is_empty() {
            return Err(AddressError::NoPeer(text.to_owned()));
        }
        let peer = peer
            .parse()
            .map_err(|_| AddressError::BadPeer(peer.to_owned()))?;
        let (host, port) = parse_place(place)?;
        Ok(Self {
            peer,
            host,
            port,
            name: parse_name(path)?,
        })
    }

    fn from_multiaddr(text: &str) -> Result<Self, AddressError> {
        let address: UdxAddr =
            text.parse()
                .map_err(|error: libp2p_udx::AddrError| AddressError::BadMultiaddr {
                    text: text.to_owned(),
                    reason: error.to_string(),
                })?;
        let peer = address
            .peer()
            .ok_or_else(|| AddressError::NoPeer(text.to_owned()))?;
        let socket = address.socket_addr();
        Ok(Self {
            peer,
            host: Host::Ip(socket.ip()),
            port: socket.port(),
            name: None,
        })
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.get(..SCHEME.len()) {
            Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {
                Self::from_url(text, text.get(SCHEME.len()..).unwrap_or_default())
            }
            _ if text.starts_with('/') => Self::from_multiaddr(text),
            _ => Err(AddressError::NoAddress(text.to_owned())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}@{}:{}", self.peer, self.host, self.port)?;
        match &self.name {
            Some(name) => write!(f, "/{}", utf8_percent_encode(name, PATH)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Host {
    /// The socket addresses behind it.
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved.
    pub async fn resolve(&self, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let name = match self {
            Self::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
            Self::Name(name) => name,
        };
        let failure = |reason: String| {
            Failure::new(
                Kind::Network,
                format!("the host name '{name}' cannot be resolved: {reason}"),
            )
            .cure("Check its spelling and the network connection, or give an IP address.")
        };
        let found = tokio::net::lookup_host((name.as_str(), port)).await;
        let addresses = found
            .map_err(|error| failure(error.to_string()))?
            .collect::<Vec<_>>();
        if addresses.is_empty() {
            Err(failure("it has no address".to_owned()))
        } else {
            Ok(addresses)
        }
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        let cure = match &error {
            AddressError::NoPeer(_) | AddressError::BadPeer(_) => {
                "An address names the peer by its identity, as in udx://12D3KooW…@HOST:PORT/NAME or \
                 /ip4/…/udp/…/udx/p2p/12D3KooW…: only so can it be known that nobody else answers. `gapless serve` \
                 prints complete addresses, `gapless id` the identity alone."
            }
            _ => {
                "Addresses look like udx://PEER@HOST:PORT/NAME (IPv6 in brackets, the port is 9000 if left out) or \
                  /ip4/1.2.3.4/udp/9000/udx/p2p/PEER. `gapless serve` prints them."
            }
        };
        Self::new(Kind::Address, error.to_string()).cure(cure)
    }
}

fn parse_place(place: &str) -> Result<(Host, u16), AddressError> {
    let bad_host = || AddressError::BadHost(place.to_owned());
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (ip, port) = rest.split_once(']').ok_or_else(bad_host)?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| bad_host())?;
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':').ok_or_else(bad_host)?),
        };
        (Host::Ip(ip.into()), port)
    } else {
        let (host, port) = match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        };
        (parse_host(host).ok_or_else(bad_host)?, port)
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(text) => {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let port = text.parse().ok().filter(|port| digits && *port != 0);
            port.ok_or_else(|| AddressError::BadPort(text.to_owned()))?
        }
    };
    Ok((host, port))
}

/// An IPv4 address, or a name of letters, digits, hyphens, underscores and dots. Names in other scripts are given in their
/// ASCII form.
fn parse_host(host: &str) -> Option<Host> {
    if let Ok(ip) = host.parse() {
        return Some(Host::Ip(IpAddr::V4(ip)));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (!host.is_empty() && host.bytes().all(allowed)).then(|| Host::Name(host.to_owned()))
}

fn parse_name(path: &str) -> Result<Option<String>, AddressError> {
    let bad = || AddressError::BadName(path.to_owned());
    let name = percent_decode_str(path.trim_end_matches('/'))
        .decode_utf8()
        .map_err(|_| bad())?;
    if name.chars().any(char::is_control) {
        return Err(bad());
    }
    Ok((!name.is_empty()).then(|| name.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    fn target(text: &str) -> Target {
        text.replace("PEER", PEER).parse().unwrap()
    }

    fn error(text: &str) -> AddressError {
        text.replace("PEER", PEER).parse::<Target>().unwrap_err()
    }

    #[test]
    fn urls_are_read_and_printed() {
        for (text, printed) in [
            (
                "udx://PEER@127.0.0.1:9001/repo",
                "udx://PEER@127.0.0.1:9001/repo",
            ),
            (
                "udx://PEER@127.0.0.1/repo",
                "udx://PEER@127.0.0.1:9000/repo",
            ),
            (
                "UDX://PEER@example.org:1/a/b.git/",
                "udx://PEER@example.org:1/a/b.git",
            ),
            ("udx://PEER@[::1]:9000/x", "udx://PEER@[::1]:9000/x"),
            ("udx://PEER@[2001:db8::1]", "udx://PEER@[2001:db8::1]:9000"),
            (
                "udx://PEER@localhost/with%20space%2F%C3%A4",
                "udx://PEER@localhost:9000/with%20space/%C3%A4",
            ),
        ] {
            let target = target(text);
            assert_eq!(target.to_string(), printed.replace("PEER", PEER));
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        assert_eq!(
            target("udx://PEER@localhost/with%20space").name.as_deref(),
            Some("with space")
        );
        assert_eq!(target("udx://PEER@localhost/").name, None);
    }

    #[test]
    fn multiaddrs_are_read() {
        let v4 = target("/ip4/1.2.3.4/udp/9000/udx/p2p/PEER");
        assert_eq!(v4.to_string(), format!("udx://{PEER}@1.2.3.4:9000"));
        let v6 = target("/ip6/::1/udp/9/udx/p2p/PEER");
        assert_eq!(v6.to_string(), format!("udx://{PEER}@[::1]:9"));
        assert!(matches!(
            error("/ip4/1.2.3.4/udp/9000/udx"),
            AddressError::NoPeer(_)
        ));
        assert!(matches!(
            error("/ip4/1.2.3.4/tcp/9000/p2p/PEER"),
            AddressError::BadMultiaddr { .. }
        ));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(matches!(
            error("https://example.org/x"),
            AddressError::NoAddress(_)
        ));
        assert!(matches!(error("udx:/PEER@h/x"), AddressError::NoAddress(_)));
        assert!(matches!(error("ä"), AddressError::NoAddress(_)));
        assert!(matches!(
            error("udx://127.0.0.1:9000/x"),
            AddressError::NoPeer(_)
        ));
        assert!(matches!(
            error("udx://@127.0.0.1:9000/x"),
            AddressError::NoPeer(_)
        ));
        assert!(matches!(
            error("udx://somebody@h/x"),
            AddressError::BadPeer(_)
        ));
        assert!(matches!(
            error("udx://PEER:password@h/x"),
            AddressError::BadPeer(_)
        ));
        for host in ["", "a b", "::1", "[::1", "[1.2.3.4]", "[::1]9000", "ä.de"] {
            let place = error(&format!("udx://PEER@{host}/x"));
            assert!(
                matches!(place, AddressError::BadHost(_) | AddressError::BadPort(_)),
                "{host}: {place:?}"
            );
        }
        for port in ["", "0", "65536", "+1", "x"] {
            assert!(
                matches!(
                    error(&format!("udx://PEER@h:{port}/x")),
                    AddressError::BadPort(_)
                ),
                "{port}"
            );
        }
        assert!(matches!(error("udx://PEER@h/x?y"), AddressError::Extra(_)));
        assert!(matches!(error("udx://PEER@h/x#y"), AddressError::Extra(_)));
        assert!(matches!(
            error("udx://PEER@h/%ff"),
            AddressError::BadName(_)
        ));
        assert!(matches!(
            error("udx://PEER@h/a%00b"),
            AddressError::BadName(_)
        ));
    }

    #[test]
    fn a_missing_identity_is_explained() {
        let failure = Failure::from(error("udx://127.0.0.1/x"));
        assert_eq!(failure.kind, Kind::Address);
        assert!(failure.cure.unwrap().contains("gapless serve"));
    }
}
