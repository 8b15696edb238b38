//! Dialing: in which version, from which port, and what is tried when nobody answers.

use super::connection::Connection;
use super::early;
use super::error::{ConnectError, ConnectionError};
use super::ports::Ports;
use super::shared::Shared;
use super::wakes::Wakes;
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
#[derive(Clone)]
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
    pub(super) fn early(self, wanted: Wanted) -> Result<Connection, ConnectError> {
        let forced = self.choice(&wanted);
        let known = self.ports.maker().versions.get(wanted.remote);
        let first = self.first(&wanted, forced.or(known), false)?;
        if let Some(fallback) = fallback(forced, known) {
            early::attend(self, wanted, &first, fallback);
        }
        Ok(first)
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
        let fallback = fallback(forced, known);
        Ok(Connecting {
            first: first.clone(),
            fallback,
            race: Box::pin(race(self.clone(), wanted.clone(), first, fallback)),
            dialer: self,
            wanted,
        })
    }

    /// How long the first attempt has before there is a second one.
    pub(super) fn patience(&self) -> Duration {
        self.ports.maker().options.version_patience
    }

    /// What is left of a dial's time after so much of it.
    pub(super) fn time_after(&self, wanted: &Wanted, spent: Duration) -> Option<Duration> {
        let left = self.config(wanted).dial_timeout.checked_sub(spent);
        left.filter(|left| !left.is_zero())
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
    pub(super) fn second(
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

/// What was not tried yet when the first attempt is in vain: version 2 where nothing was known, or where it was version 3 that was known;
/// the question, where what was known may be true no longer.
fn fallback(forced: Option<Version>, known: Option<Version>) -> Option<VersionChoice> {
    match (forced, known) {
        (Some(_), _) => None,
        (None, Some(Version::V3) | None) => Some(VersionChoice::Only(Version::V2)),
        (None, Some(_)) => Some(VersionChoice::Discover),
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
    let patience = dialer.patience();
    let mut answer = pin!(established(&first));
    let (Some(version), Some(left)) = (fallback, dialer.time_after(&wanted, patience)) else {
        return answer.await.map(|()| first.clone());
    };
    if let Ok(answer) = tokio::time::timeout(patience, answer.as_mut()).await {
        return answer.map(|()| first.clone());
    }
    if first.is_refused() {
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
    dialer: Dialer,
    wanted: Wanted,
    first: Connection,
    fallback: Option<VersionChoice>,
    race: Pin<Box<dyn Future<Output = Result<Connection, ConnectionError>> + Send>>,
}

impl Connecting {
    /// The connection as it is, to write on before the peer has answered, as [`Endpoint::connect_early`](crate::Endpoint::connect_early)
    /// gives it.
    pub fn into_early(self) -> Connection {
        if let Some(fallback) = self.fallback {
            early::attend(self.dialer, self.wanted, &self.first, fallback);
            self.first.inner.rouse();
        }
        self.first
    }

    /// The address that is dialed.
    pub fn remote_address(&self) -> SocketAddr {
        self.wanted.remote
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
            .field("remote", &self.wanted.remote)
            .finish_non_exhaustive()
    }
}
