//! The task that owns the Swarm.

use std::collections::HashMap;
use std::net::SocketAddr;

use futures::StreamExt;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, DialError, NetworkBehaviour, StreamProtocol, SwarmEvent};
use libp2p::{PeerId, Swarm, identify, ping};
use libp2p_udx::UdxAddr;
use tokio::sync::{mpsc, oneshot};

use super::Event;
use super::streams::{self, OpenError};
use crate::failure::{deepest, with_causes};

/// What a node speaks. Streams are for Git and perf.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) ping: ping::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) streams: streams::Behaviour,
}

/// What the node's owner wants.
pub(super) enum Command {
    Open {
        peer: PeerId,
        protocol: StreamProtocol,
        answer: oneshot::Sender<Result<libp2p::Stream, OpenError>>,
    },
    Listen {
        address: SocketAddr,
        answer: oneshot::Sender<Result<(), String>>,
    },
    Dial {
        peer: PeerId,
        addresses: Vec<SocketAddr>,
        answer: oneshot::Sender<Result<SocketAddr, DialError>>,
    },
}

/// Polls the Swarm, without pause: nothing of libp2p moves otherwise.
pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    report: mpsc::Sender<Event>,
    dials: HashMap<ConnectionId, oneshot::Sender<Result<SocketAddr, DialError>>>,
}

impl Driver {
    pub(super) fn new(swarm: Swarm<Behaviour>, report: mpsc::Sender<Event>) -> Self {
        Self {
            swarm,
            report,
            dials: HashMap::new(),
        }
    }

    /// Runs until the owner is gone.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(command) => self.obey(command),
                    None => break,
                },
                event = self.swarm.select_next_some() => self.handle(event),
            }
        }
        self.part().await;
    }

    /// Closes the connections in good order: what was written still arrives, and the peers learn that it was meant so.
    async fn part(&mut self) {
        let peers = self.swarm.connected_peers().copied().collect::<Vec<_>>();
        for peer in peers {
            // An error only says that the connection has ended meanwhile.
            self.swarm.disconnect_peer_id(peer).ok();
        }
        while self.swarm.connected_peers().next().is_some() {
            let event = self.swarm.select_next_some().await;
            self.handle(event);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open {
                peer,
                protocol,
                answer,
            } => self
                .swarm
                .behaviour_mut()
                .streams
                .open(peer, protocol, answer),
            Command::Listen { address, answer } => {
                let listening = self.swarm.listen_on(UdxAddr::new(address).to_multiaddr());
                answer
                    .send(listening.map(drop).map_err(|error| with_causes(&error)))
                    .ok();
            }
            Command::Dial {
                peer,
                addresses,
                answer,
            } => {
                let addresses = addresses
                    .into_iter()
                    .map(|address| UdxAddr::new(address).to_multiaddr());
                let options = DialOpts::peer_id(peer)
                    .addresses(addresses.collect())
                    .build();
                let id = options.connection_id();
                match self.swarm.dial(options) {
                    Ok(()) => {
                        self.dials.insert(id, answer);
                    }
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
        }
    }

    fn handle(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                if let Ok(address) = UdxAddr::try_from(&address) {
                    self.tell(Event::Listening(address));
                }
            }
            SwarmEvent::ConnectionEstablished {
                connection_id,
                endpoint,
                peer_id,
                ..
            } => {
                tracing::debug!(%peer_id, address = %endpoint.get_remote_address(), "connected");
                let remote = UdxAddr::try_from(endpoint.get_remote_address());
                if let (Some(answer), Ok(remote)) = (self.dials.remove(&connection_id), remote) {
                    answer.send(Ok(remote.socket_addr())).ok();
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                if let Some(answer) = self.dials.remove(&connection_id) {
                    answer.send(Err(error)).ok();
                }
            }
            SwarmEvent::IncomingConnectionError {
                error,
                send_back_addr,
                ..
            } => {
                tracing::debug!(address = %send_back_addr, error = %with_causes(&error), "a peer failed to connect");
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, "disconnected");
                let cause = cause.map(|cause| deepest(&cause));
                self.tell(Event::Disconnected {
                    peer: peer_id,
                    cause,
                });
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, result, .. })) => {
                self.tell(Event::Ping {
                    peer,
                    result: result.map_err(|error| deepest(&error)),
                });
            }
            event => tracing::trace!(?event, "swarm"),
        }
    }

    fn tell(&self, event: Event) {
        // An owner who does not listen wants no news.
        self.report.try_send(event).ok();
    }
}
