//! From libp2p's nested dial errors to one cause and one cure.

use std::io;

use gapless::ConnectionError;
use libp2p::TransportError;
use libp2p::swarm::DialError;

use crate::address::Target;
use crate::failure::{Failure, Kind, chain, deepest, with_causes};

/// Why `target` could not be reached.
pub(super) fn failure(target: &Target, error: &DialError) -> Failure {
    let place = format!("{}:{}", target.host, target.port);
    match error {
        DialError::WrongPeerId { obtained, .. } => Failure::new(
            Kind::WrongPeer,
            format!("the peer at {place} is {obtained}, not {}", target.peer),
        )
        .cure("Either the address is out of date, or somebody stands in between. Ask the operator which identity is right."),
        DialError::LocalPeerId { .. } => {
            Failure::new(Kind::WrongPeer, format!("{} is your own identity", target.peer))
                .cure("Two programs with one identity cannot connect: use --identity FILE for one of them.")
        }
        DialError::Transport(errors) => transport_failure(&place, errors),
        error => Failure::new(Kind::Other, format!("{place} cannot be dialed: {}", with_causes(error))),
    }
}

fn transport_failure<A>(place: &str, errors: &[(A, TransportError<io::Error>)]) -> Failure {
    // When a name has several addresses, the one that got furthest says most.
    let reason = errors
        .iter()
        .filter_map(|(_, error)| connection_error(error))
        .max_by_key(|error| distance(error));
    let silent = || {
        Failure::new(Kind::NoAnswer, format!("nobody answers at {place}"))
            .cure("Is `gapless serve` running there, with this UDP port, and does the firewall let UDP through?")
    };
    match reason {
        Some(ConnectionError::NoAnswer { refused: true, .. }) => Failure::new(
            Kind::NoAnswer,
            format!("nobody listens at {place}: its host refuses the port"),
        )
        .cure("Is `gapless serve` running there, with this UDP port?"),
        Some(ConnectionError::VersionMismatch) => Failure::new(
            Kind::Version,
            format!("the peer at {place} does not speak the version of UDX that --udx-version names"),
        )
        .cure("Leave --udx-version out: then the peer's version is found out."),
        Some(ConnectionError::NoAnswer {
            only: Some(version), ..
        }) => Failure::new(
            Kind::NoAnswer,
            format!("nobody answers in UDX version {} at {place}", version.wire()),
        )
        .cure("Leave --udx-version out, if it may speak another. Is `gapless serve` running there, with this UDP port, and does the firewall let UDP through?"),
        Some(ConnectionError::NoAnswer { .. } | ConnectionError::IdleTimeout) => silent(),
        Some(error) => Failure::new(
            Kind::Connection,
            format!("the connection to {place} failed: {}", with_causes(error)),
        )
        .cure("Try again; if it persists, what answers there may be no libp2p peer."),
        None if errors.iter().any(|(_, error)| timed_out(error)) => silent(),
        None => {
            let reasons = errors
                .iter()
                .map(|(_, error)| deepest(error))
                .collect::<Vec<_>>()
                .join("; ");
            Failure::new(
                Kind::Connection,
                format!("the connection to {place} failed: {reasons}"),
            )
            .cure("What answers there may be no libp2p peer.")
        }
    }
}

/// How far a dial got before it failed so.
fn distance(error: &ConnectionError) -> u8 {
    match error {
        ConnectionError::NoAnswer { refused: false, .. } => 0,
        ConnectionError::NoAnswer { .. } => 1,
        ConnectionError::IdleTimeout => 2,
        _ => 3,
    }
}

fn connection_error(error: &TransportError<io::Error>) -> Option<&ConnectionError> {
    chain(error).find_map(|error| error.downcast_ref::<ConnectionError>())
}

/// Whether an upgrade took too long. libp2p's own timeout error is generic over what it wraps, so it is known by its words.
fn timed_out(error: &TransportError<io::Error>) -> bool {
    chain(error).any(|error| {
        let io = error.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
            || error.to_string().contains("Timeout")
    })
}
