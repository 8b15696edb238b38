//! One listening socket: the addresses it announces and the connections it accepts.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{
    FutureExt as _, Stream,
    future::{self, BoxFuture},
};
use gapless::{Connection, Endpoint};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p_core::{
    Endpoint as Role, Multiaddr,
    transport::{ListenerId, TransportEvent},
};

use crate::{Config, Error, Handle, UdxAddr, UdxStream, socket::Socket};

/// The upgrade of an accepted connection: its first stream.
pub(crate) type Accepting = BoxFuture<'static, Result<UdxStream, Error>>;

type Event = TransportEvent<Accepting, Error>;

/// Yields the events of a listener until it is closed.
pub(crate) struct Listener {
    id: ListenerId,
    /// `None` once closed.
    socket: Option<Socket>,
    local: SocketAddr,
    config: Config,
    handle: Handle,
    /// The next connection; never, once closed.
    accept: BoxFuture<'static, Option<Connection>>,
    /// Only where the socket listens on all interfaces.
    interfaces: Option<IfWatcher>,
    /// Events that wait to be yielded.
    pending: VecDeque<Event>,
    waker: Option<Waker>,
}

impl Listener {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(
        id: ListenerId,
        local: SocketAddr,
        config: Config,
        handle: Handle,
    ) -> Result<Self, Error> {
        let socket = Socket::bind(&config, &handle, local, true)?;
        let local = socket.endpoint().local_addr().map_err(Error::Socket)?;
        let mut pending = VecDeque::new();
        let interfaces = if local.ip().is_unspecified() {
            Some(IfWatcher::new().map_err(Error::Socket)?)
        } else {
            pending.push_back(TransportEvent::NewAddress {
                listener_id: id,
                listen_addr: UdxAddr::new(local).to_multiaddr(),
            });
            None
        };
        Ok(Self {
            id,
            accept: accept(socket.endpoint()),
            socket: Some(socket),
            local,
            config,
            handle,
            interfaces,
            pending,
            waker: None,
        })
    }

    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }

    /// The endpoint for a dial to `remote`, if this listener's socket can send there.
    pub(crate) fn endpoint_towards(&self, remote: IpAddr) -> Option<&Endpoint> {
        let local = self.local.ip();
        let reachable = local.is_ipv4() == remote.is_ipv4()
            // A socket that is bound to the loopback interface reaches nothing else, and no other reaches it.
            && (local.is_unspecified() || local.is_loopback() == remote.is_loopback());
        self.socket
            .as_ref()
            .filter(|_| reachable)
            .map(Socket::endpoint)
    }

    /// Accepts no more; connections that live go on. False if it was closed before.
    pub(crate) fn close(&mut self, reason: Result<(), Error>) -> bool {
        if self.socket.take().is_none() {
            return false;
        }
        self.accept = future::pending().boxed();
        self.interfaces = None;
        self.pending.push_back(TransportEvent::ListenerClosed {
            listener_id: self.id,
            reason,
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    fn incoming(&self, connection: Connection) -> Event {
        let remote = connection.remote_address();
        TransportEvent::Incoming {
            listener_id: self.id,
            upgrade: first_stream(connection, self.config.clone(), self.handle.clone()).boxed(),
            local_addr: UdxAddr::new(self.local).to_multiaddr(),
            send_back_addr: UdxAddr::new(remote).to_multiaddr(),
        }
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Some(interfaces) = &mut self.interfaces else {
            return Poll::Pending;
        };
        let listener_id = self.id;
        while let Poll::Ready(event) = interfaces.poll_if_event(cx) {
            match event {
                Ok(IfEvent::Up(net)) => {
                    if let Some(listen_addr) = address_on(self.local, net.addr()) {
                        return Poll::Ready(TransportEvent::NewAddress {
                            listener_id,
                            listen_addr,
                        });
                    }
                }
                Ok(IfEvent::Down(net)) => {
                    if let Some(listen_addr) = address_on(self.local, net.addr()) {
                        return Poll::Ready(TransportEvent::AddressExpired {
                            listener_id,
                            listen_addr,
                        });
                    }
                }
                Err(error) => {
                    // Listening goes on; that addresses come and go is no longer seen.
                    self.interfaces = None;
                    let error = Error::Socket(error);
                    return Poll::Ready(TransportEvent::ListenerError { listener_id, error });
                }
            }
        }
        Poll::Pending
    }
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.pending.pop_front() {
            return Poll::Ready(Some(event));
        }
        if self.socket.is_none() {
            return Poll::Ready(None);
        }
        // Addresses first: a connection is announced only for an address that was.
        if let Poll::Ready(event) = self.poll_interfaces(cx) {
            return Poll::Ready(Some(event));
        }
        if let Poll::Ready(accepted) = self.accept.poll_unpin(cx) {
            let (Some(connection), Some(socket)) = (accepted, &self.socket) else {
                self.close(Err(Error::EndpointStopped));
                return Poll::Ready(self.pending.pop_front());
            };
            self.accept = accept(socket.endpoint());
            return Poll::Ready(Some(self.incoming(connection)));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn accept(endpoint: &Endpoint) -> BoxFuture<'static, Option<Connection>> {
    let endpoint = endpoint.clone();
    async move { endpoint.accept().await }.boxed()
}

/// What a socket that listens everywhere announces for an interface: nothing for the other address family, and nothing for
/// IPv6 link-local addresses, which mean nothing without the zone that `/ip6` cannot carry.
fn address_on(local: SocketAddr, interface: IpAddr) -> Option<Multiaddr> {
    let dialable = match interface {
        IpAddr::V4(_) => local.is_ipv4(),
        IpAddr::V6(ip) => local.is_ipv6() && !ip.is_unicast_link_local(),
    };
    let addr = UdxAddr::new(SocketAddr::new(interface, local.port()));
    dialable.then(|| addr.to_multiaddr())
}

/// UDX 20: a listener waits for the first stream of each connection, but not without limit, and not one connection after
/// the other.
async fn first_stream(
    connection: Connection,
    config: Config,
    handle: Handle,
) -> Result<UdxStream, Error> {
    let within = config.first_stream_timeout;
    let first = tokio::time::timeout(within, connection.accept_bi()).await;
    match first {
        Ok(Ok(halves)) => {
            let registration = handle.register(connection.clone(), Role::Listener);
            Ok(UdxStream::new(
                halves,
                connection,
                registration,
                config.close_timeout,
                None,
            ))
        }
        Ok(Err(error)) => Err(Error::Connection(error)),
        Err(_) => {
            connection.close(NO_STREAM, b"no stream was opened");
            Err(Error::NoFirstStream(within))
        }
    }
}

/// An application's code: those up to 6 are UDX's own (UDX 15).
const NO_STREAM: u32 = 7;
