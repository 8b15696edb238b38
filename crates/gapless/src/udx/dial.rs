//! Dialing: in which version, from which port, and what is tried when nobody answers.

use super::connection::Connection;
use super::error::{ConnectError, ConnectionError};
use super::ports::Ports;
use super::shared::{Shared, Wakes};
use gapless_udx::wire::Version;
use gapless_udx::{ConnectionConfig, VersionChoice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What every dial of an endpoint is made with.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) shared: Arc<Shared>,
    pub(super) ports: Arc<Ports>,
}

/// A dial as it was asked for.
pub(super) struct Wanted {
    pub(super) remote: SocketAddr,
    /// The connection's own settings; the endpoint's if there are none.
    pub(super) config: Option<ConnectionConfig>,
}

impl Wanted {
    pub(super) fn new(remote: SocketAddr, config: Option<ConnectionConfig>) -> Self {
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        Self { remote, config }
    }
}

impl Dialer {
    /// Begins a dial, and says nothing before the application does.
    pub(super) fn early(&self, wanted: &Wanted) -> Result<Connection, ConnectError> {
        let version = self.choice(wanted);
        let known = self.ports.maker().versions.get(wanted.remote);
        self.first(wanted, version.or(known), false)
    }

    /// Begins a dial at once.
    pub(super) fn at_once(self, wanted: Wanted) -> Result<Connecting, ConnectError> {
        let forced = self.choice(&wanted);
        let known = self.ports.maker().versions.get(wanted.remote);
        // UDX 13: the question "which version" is a version 3 SYN without data, which is what opens the connection anyway as long as
        // the application has not written. So a peer that is remembered as one of version 3 is simply asked again, for nothing;
        // only one of version 2 is addressed in its own.
        let known = known.filter(|version| *version != Version::V3);
        let first = self.first(&wanted, forced.or(known), true)?;
        let fallback = match (forced, known) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(VersionChoice::Discover),
            (None, None) => Some(VersionChoice::Only(Version::V2)),
        };
        Ok(Connecting {
            remote: wanted.remote,
            first: first.clone(),
            race: Box::pin(race(self, wanted, first, fallback)),
        })
    }

    /// The one version that the settings allow.
    fn choice(&self, wanted: &Wanted) -> Option<Version> {
        match self.config(wanted).version {
            VersionChoice::Only(version) => Some(version),
            VersionChoice::Discover => None,
        }
    }

    fn config<'a>(&'a self, wanted: &'a Wanted) -> &'a ConnectionConfig {
        let default = &self.ports.maker().config.connection;
        wanted.config.as_ref().unwrap_or(default)
    }

    fn first(
        &self,
        wanted: &Wanted,
        version: Option<Version>,
        at_once: bool,
    ) -> Result<Connection, ConnectError> {
        let config = match version {
            // As the settings say, which most connections share.
            None => wanted.config.clone(),
            Some(version) => Some(ConnectionConfig {
                version: VersionChoice::Only(version),
                ..self.config(wanted).clone()
            }),
        };
        {
            let state = self.shared.lock();
            if state.closed {
                return Err(ConnectError::EndpointClosed);
            }
            if !state.socket.reaches(wanted.remote) {
                return Err(ConnectError::AddressFamily(wanted.remote));
            }
        }
        let dial = |port: &Arc<Shared>| begin(port, wanted.remote, config.clone(), at_once);
        self.ports.dial(&self.shared, wanted.remote, dial)
    }

    /// D18: from a fresh port with fresh IDs, so that nobody takes it for the first attempt.
    fn second(
        &self,
        wanted: &Wanted,
        version: VersionChoice,
        within: Duration,
    ) -> Result<Connection, ConnectError> {
        let config = ConnectionConfig {
            version,
            dial_timeout: within,
            ..self.config(wanted).clone()
        };
        let dial = |port: &Arc<Shared>| begin(port, wanted.remote, Some(config), true);
        self.ports.dial_freshly(&self.shared, wanted.remote, dial)
    }
}

/// Begins a connection in the engine of one port.
fn begin(
    shared: &Arc<Shared>,
    remote: SocketAddr,
    config: Option<ConnectionConfig>,
    at_once: bool,
) -> Result<Connection, ConnectError> {
    let mut wakes = Wakes::default();
    let mut state = shared.lock();
    let now = shared.now();
    let dialed = match config {
        Some(config) => state.engine.connect_with(now, remote, config),
        None => state.engine.connect(now, remote),
    };
    let handle = dialed.map_err(|error| ConnectError::from_engine(&error, remote))?;
    let signals = state.insert(handle, false);
    if at_once {
        state.rouse(&mut wakes);
    }
    drop(state);
    wakes.wake(shared);
    Ok(Connection::new(shared.clone(), handle, signals))
}

/// UDX 13: waits for the first attempt's answer, and after some silence for that of a second one as well. Whichever is answered first
/// is the connection; the other is closed (a peer may have taken both), since nobody holds it any more.
async fn race(
    dialer: Dialer,
    wanted: Wanted,
    first: Connection,
    fallback: Option<VersionChoice>,
) -> Result<Connection, ConnectionError> {
    let patience = dialer.ports.maker().options.version_patience;
    let all = dialer.config(&wanted).dial_timeout;
    let mut answer = pin!(established(&first));
    let (Some(version), Some(left)) = (fallback, all.checked_sub(patience)) else {
        return answer.await.map(|()| first.clone());
    };
    if let Ok(answer) = tokio::time::timeout(patience, answer.as_mut()).await {
        return answer.map(|()| first.clone());
    }
    if left.is_zero() || first.is_refused() {
        return answer.await.map(|()| first.clone());
    }
    tracing::debug!(target: "gapless", remote = %wanted.remote, ?version, "no answer: a second attempt");
    let second = match dialer.second(&wanted, version, left) {
        Ok(second) => second,
        // The first may still be answered.
        Err(error) => {
            tracing::debug!(target: "gapless", remote = %wanted.remote, %error, "no second attempt");
            return answer.await.map(|()| first.clone());
        }
    };
    let other = pin!(established(&second));
    match either(answer, other).await {
        Ok(Winner::First) => Ok(first.clone()),
        Ok(Winner::Second) => Ok(second.clone()),
        Err(error) => Err(error),
    }
}

async fn established(connection: &Connection) -> Result<(), ConnectionError> {
    connection.established().await
}

enum Winner {
    First,
    Second,
}

/// The first that is answered, or the end of both. An end that is an answer of the peer's counts, too.
async fn either<F, S>(
    mut first: Pin<&mut F>,
    mut second: Pin<&mut S>,
) -> Result<Winner, ConnectionError>
where
    F: Future<Output = Result<(), ConnectionError>>,
    S: Future<Output = Result<(), ConnectionError>>,
{
    let (mut first_end, mut second_end) = (None, None);
    std::future::poll_fn(|cx| {
        if first_end.is_none()
            && let Poll::Ready(answer) = first.as_mut().poll(cx)
        {
            match answer {
                Ok(()) => return Poll::Ready(Ok(Winner::First)),
                Err(error) => first_end = Some(error),
            }
        }
        if second_end.is_none()
            && let Poll::Ready(answer) = second.as_mut().poll(cx)
        {
            match answer {
                Ok(()) => return Poll::Ready(Ok(Winner::Second)),
                Err(error) => second_end = Some(error),
            }
        }
        match (&first_end, &second_end) {
            (Some(one), Some(two)) => Poll::Ready(Err(of_both(one, two))),
            (Some(end), None) | (None, Some(end)) if !is_silence(end) => {
                Poll::Ready(Err(end.clone()))
            }
            _ => Poll::Pending,
        }
    })
    .await
}

/// Whether an attempt ended without a word from anybody who could speak for the peer.
fn is_silence(end: &ConnectionError) -> bool {
    matches!(
        end,
        ConnectionError::NoAnswer { .. } | ConnectionError::VersionMismatch
    )
}

/// What to tell when both attempts failed: what the peer said, if it said anything.
fn of_both(first: &ConnectionError, second: &ConnectionError) -> ConnectionError {
    match (first, second) {
        (
            ConnectionError::NoAnswer { refused: one, .. },
            ConnectionError::NoAnswer { refused: two, .. },
        ) => ConnectionError::NoAnswer {
            refused: *one || *two,
            only: None,
        },
        (one, two) if is_silence(one) => two.clone(),
        (one, _) => one.clone(),
    }
}

/// A dial under way: a future of the connection.
///
/// It resolves when the peer has answered, or with the reason why it did not. Dropping it ends the dial.
#[must_use = "the dial ends when this is dropped"]
pub struct Connecting {
    remote: SocketAddr,
    first: Connection,
    race: Pin<Box<dyn Future<Output = Result<Connection, ConnectionError>> + Send>>,
}

impl Connecting {
    /// The connection as it is, to write on before the peer has answered. No second attempt follows then.
    pub fn into_early(self) -> Connection {
        self.first
    }

    /// The address that is dialed.
    pub fn remote_address(&self) -> SocketAddr {
        self.remote
    }
}

impl Future for Connecting {
    type Output = Result<Connection, ConnectionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.race.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Connecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connecting")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}
