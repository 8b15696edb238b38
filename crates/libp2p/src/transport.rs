//! The transport: which socket a dial leaves from, and what the listeners report.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::SelectAll};
use gapless::{Endpoint, VersionChoice};
use libp2p_core::{
    Endpoint as Role, Multiaddr,
    transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
};

use crate::{
    Config, DialFrom, Error, Handle, UdxAddr, UdxStream,
    listener::{Accepting, Listener},
    socket::Socket,
};

/// UDX as a [`libp2p_core::Transport`]: its output is the raw byte stream that the standard upgrade (Noise, Yamux) runs on.
///
/// It listens and dials on bare `/ip4/A/udp/P` and `/ip6/A/udp/P`, optionally with `/p2p/ID`, and leaves every other
/// address to other transports; [`UdxAddr`] turns the `/udx` addresses of the outside into this form and back.
///
/// [`upgraded`](crate::upgraded()) makes one that a Swarm takes as it is. All methods must be called within a tokio
/// runtime.
///
/// Dropping the transport ends its listeners. Connections live on until their streams are dropped.
pub struct Transport {
    config: Config,
    handle: Handle,
    listeners: SelectAll<Listener>,
    /// For dials that no listener's socket can serve.
    dialer_v4: Option<Socket>,
    dialer_v6: Option<Socket>,
    waker: Option<Waker>,
}

impl Transport {
    /// A transport that neither listens nor has a socket yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            handle: Handle::default(),
            listeners: SelectAll::new(),
            dialer_v4: None,
            dialer_v6: None,
            waker: None,
        }
    }

    /// Shows the connections of this transport, also after it has disappeared inside a Swarm.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The endpoint that dials to `remote` share.
    fn shared_endpoint(&mut self, remote: IpAddr) -> Result<Endpoint, Error> {
        if let Some(listening) = self
            .listeners
            .iter()
            .find_map(|l| l.endpoint_towards(remote))
        {
            return Ok(listening.clone());
        }
        let dialer = if remote.is_ipv4() {
            &mut self.dialer_v4
        } else {
            &mut self.dialer_v6
        };
        if let Some(dialer) = dialer {
            return Ok(dialer.endpoint().clone());
        }
        let socket = Socket::bind(&self.config, &self.handle, any_port(remote), false)?;
        let endpoint = socket.endpoint().clone();
        *dialer = Some(socket);
        Ok(endpoint)
    }
}

impl libp2p_core::Transport for Transport {
    type Output = UdxStream;
    type Error = Error;
    type ListenerUpgrade = Accepting;
    type Dial = BoxFuture<'static, Result<UdxStream, Error>>;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<Error>> {
        let local = socket_addr(&addr).ok_or(TransportError::MultiaddrNotSupported(addr))?;
        let listener = Listener::new(id, local, self.config.clone(), self.handle.clone())?;
        self.listeners.push(listener);
        // From now on dials share the listener's port.
        *(if local.is_ipv4() {
            &mut self.dialer_v4
        } else {
            &mut self.dialer_v6
        }) = None;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let mut listeners = self.listeners.iter_mut();
        let listener = listeners.find(|listener| listener.id() == id);
        listener.is_some_and(|listener| listener.close(Ok(())))
    }

    fn dial(
        &mut self,
        addr: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<Error>> {
        let remote = socket_addr(&addr)
            .filter(|remote| remote.port() != 0 && !remote.ip().is_unspecified())
            .ok_or(TransportError::MultiaddrNotSupported(addr))?;
        if opts.role == Role::Listener {
            return Err(Error::DialAsListener.into());
        }
        let (config, handle) = (self.config.clone(), self.handle.clone());
        if opts.port_use == PortUse::New || config.dial_from == DialFrom::FreshPort {
            return Ok(dial_from_fresh_port(remote, config, handle).boxed());
        }
        let endpoint = self.shared_endpoint(remote.ip())?;
        Ok(dial(endpoint, remote, config, handle, None).boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Accepting, Error>> {
        if let Poll::Ready(Some(event)) = self.listeners.poll_next_unpin(cx) {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", &self.config)
            .field("listeners", &self.listeners.len())
            .finish_non_exhaustive()
    }
}

/// UDX 20: the stream is opened in the first packet, which some listeners wait for without end. Where the version is forced or remembered,
/// what the upgrade writes travels in it; else the peer's answer is awaited, which tells the version. A peer that does not speak the
/// remembered version any more costs the patience of a second attempt; what the upgrade begins with does no harm twice.
async fn dial(
    endpoint: Endpoint,
    remote: SocketAddr,
    config: Config,
    handle: Handle,
    own: Option<Socket>,
) -> Result<UdxStream, Error> {
    let known = config.endpoint.connection.version != VersionChoice::Discover
        || endpoint.peer_versions().get(remote).is_some();
    let connection = if known {
        endpoint.connect_early(remote).map_err(Error::Dial)?
    } else {
        let connecting = endpoint.connect(remote).map_err(Error::Dial)?;
        connecting.await.map_err(Error::Connection)?
    };
    let halves = connection.open_bi().await.map_err(Error::Connection)?;
    let registration = handle.register(connection.clone(), Role::Dialer);
    let within = config.close_timeout;
    Ok(UdxStream::new(
        halves,
        connection,
        registration,
        within,
        own,
    ))
}

async fn dial_from_fresh_port(
    remote: SocketAddr,
    config: Config,
    handle: Handle,
) -> Result<UdxStream, Error> {
    let socket = Socket::bind(&config, &handle, any_port(remote.ip()), false)?;
    let endpoint = socket.endpoint().clone();
    dial(endpoint, remote, config, handle, Some(socket)).await
}

/// An IPv4 address in IPv6's clothes is dialed from an IPv4 socket.
fn socket_addr(addr: &Multiaddr) -> Option<SocketAddr> {
    let socket = UdxAddr::try_from(addr).ok()?.socket_addr();
    Some(SocketAddr::new(socket.ip().to_canonical(), socket.port()))
}

fn any_port(remote: IpAddr) -> SocketAddr {
    match remote {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
