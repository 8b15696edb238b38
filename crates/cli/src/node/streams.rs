//! Streams of our own protocols on a Swarm's connections.
//!
//! libp2p-stream would do this too, but it hands incoming streams over through a channel with one place, and drops those that find it
//! taken: a server that several peers reach at the same moment loses some. Here each incoming stream gets its task at once.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, StreamProtocol, StreamUpgradeError, SubstreamProtocol,
    ToSwarm,
};
use libp2p::{PeerId, Stream};
use tokio::sync::oneshot;

/// What is done with a stream that a peer has opened.
type Service = Arc<dyn Fn(PeerId, Stream) -> BoxFuture<'static, ()> + Send + Sync>;
type Answer = oneshot::Sender<Result<Stream, OpenError>>;

/// Why a stream could not be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The peer does not speak the protocol.
    Unsupported,
    /// The connection failed, or the peer did not answer.
    Failed(String),
}

/// The protocols that are served, and how. Shared with the handlers of all connections.
#[derive(Clone, Default)]
pub(super) struct Services(Arc<Mutex<HashMap<StreamProtocol, Service>>>);

impl Services {
    /// Serves `protocol` from now on; false if it is served already.
    pub(super) fn offer(&self, protocol: StreamProtocol, service: Service) -> bool {
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if services.contains_key(&protocol) {
            return false;
        }
        services.insert(protocol, service);
        true
    }

    fn protocols(&self) -> Vec<StreamProtocol> {
        let services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.keys().cloned().collect()
    }

    fn get(&self, protocol: &StreamProtocol) -> Option<Service> {
        let services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.get(protocol).cloned()
    }
}

/// Opens streams for the node and serves those of its peers.
#[derive(Default)]
pub(super) struct Behaviour {
    services: Services,
    /// Streams to be opened, for the handlers.
    wanted: VecDeque<(PeerId, Open)>,
}

impl Behaviour {
    pub(super) fn services(&self) -> Services {
        self.services.clone()
    }

    /// Opens a stream on a connection with `peer`. Without a connection, the answer is dropped.
    pub(super) fn open(&mut self, peer: PeerId, protocol: StreamProtocol, answer: Answer) {
        self.wanted.push_back((peer, Open { protocol, answer }));
    }

    fn handler(&self, peer: PeerId) -> Handler {
        Handler {
            peer,
            services: self.services.clone(),
            wanted: VecDeque::new(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, Open>> {
        // What is wanted comes between two polls of the Swarm, never from elsewhere: no waker is needed.
        match self.wanted.pop_front() {
            Some((peer_id, event)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::Any,
                event,
            }),
            None => Poll::Pending,
        }
    }
}

/// A stream to be opened.
pub(super) struct Open {
    protocol: StreamProtocol,
    answer: Answer,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Open").field(&self.protocol).finish()
    }
}

/// The side of one connection.
pub(super) struct Handler {
    peer: PeerId,
    services: Services,
    wanted: VecDeque<Open>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Infallible;
    type InboundProtocol = Offered;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Answer;

    fn listen_protocol(&self) -> SubstreamProtocol<Offered, ()> {
        SubstreamProtocol::new(Offered(self.services.protocols()), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Answer, Infallible>> {
        // As above: events come between two polls of the connection.
        match self.wanted.pop_front() {
            Some(Open { protocol, answer }) => {
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                    protocol: SubstreamProtocol::new(ReadyUpgrade::new(protocol), answer),
                })
            }
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.wanted.push_back(open);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Offered, ReadyUpgrade<StreamProtocol>, (), Answer>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (protocol, stream),
                ..
            }) => {
                if let Some(service) = self.services.get(&protocol) {
                    tokio::spawn(service(self.peer, stream));
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: answer,
            }) => {
                // Whoever asked may have gone; the stream is reset then.
                answer.send(Ok(stream)).ok();
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError {
                info: answer,
                error,
            }) => {
                answer.send(Err(OpenError::from(error))).ok();
            }
            _ => {}
        }
    }
}

impl From<StreamUpgradeError<Infallible>> for OpenError {
    fn from(error: StreamUpgradeError<Infallible>) -> Self {
        match error {
            StreamUpgradeError::NegotiationFailed => Self::Unsupported,
            StreamUpgradeError::Timeout => Self::Failed("the peer does not answer".to_owned()),
            StreamUpgradeError::Io(error) => Self::Failed(error.to_string()),
            StreamUpgradeError::Apply(never) => match never {},
        }
    }
}

/// Accepts any of the served protocols and says which it was.
pub(super) struct Offered(Vec<StreamProtocol>);

impl UpgradeInfo for Offered {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Offered {
    type Output = (StreamProtocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((protocol, stream)))
    }
}
