//! quinn's protocol engine, with the TLS it comes with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use quinn_proto::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig,
    Event, MtuDiscoveryConfig, ReadError, ServerConfig, StreamId, Transmit, TransportConfig,
    VarInt, WriteError,
};

use crate::engine::{End, Packet, Time, Transfer};

/// Bytes of one write.
const CHUNK: usize = 64 << 10;
/// Largest UDP payload, as ours: quinn's own bound is 1452, for IPv6.
const DATAGRAM: u16 = 1472;

/// quinn's congestion controllers.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Control {
    Cubic,
    NewReno,
    Bbr,
}

pub(crate) struct Quinn {
    /// Virtual zero: the engine knows the clock's type only.
    zero: Instant,
    ends: [Side; 2],
    sending: Option<StreamId>,
    receiving: Option<StreamId>,
    left: u64,
    delivered: u64,
    chunk: Bytes,
}

struct Side {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    /// Answers of the endpoint itself.
    answers: Vec<Packet>,
    peer: SocketAddr,
    /// quinn gives up when 1024 pieces of a stream wait behind gaps, and when nothing comes for 30 s.
    lost: bool,
}

impl Quinn {
    /// `window` is what a stream may have underway, bytes. Of a `known` peer there is a session to resume, with data from the start.
    pub(crate) fn new(
        control: Control,
        window: u64,
        known: bool,
        bytes: u64,
        now: Time,
        seed: u64,
    ) -> Result<Self> {
        let certified = certified()?;
        let zero = Instant::now();
        let transport = Arc::new(transport(control, window)?);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut endpoint_config = EndpointConfig::default();
        endpoint_config.rng_seed(Some(key));
        let endpoint_config = Arc::new(endpoint_config);
        let server = server_config(&certified, &transport)?;
        let client = client_config(&certified, transport)?;
        let sender = Side {
            endpoint: Endpoint::new(endpoint_config.clone(), None, true, None),
            connection: None,
            answers: Vec::new(),
            peer: address(End::Receiver),
            lost: false,
        };
        let receiver = Side {
            endpoint: Endpoint::new(endpoint_config, Some(Arc::new(server)), true, None),
            connection: None,
            answers: Vec::new(),
            peer: address(End::Sender),
            lost: false,
        };
        let mut quinn = Quinn {
            zero,
            ends: [sender, receiver],
            sending: None,
            receiving: None,
            left: bytes,
            delivered: 0,
            chunk: Bytes::from(vec![7; CHUNK]),
        };
        if known {
            quinn.dial(client.clone(), now)?;
            quinn.meet(now)?;
        }
        quinn.dial(client, now)?;
        Ok(quinn)
    }

    fn dial(&mut self, client: ClientConfig, now: Time) -> Result<()> {
        let now = self.at(now);
        let [sender, receiver] = &mut self.ends;
        let connection = sender.endpoint.connect(now, client, sender.peer, "lab")?;
        sender.connection = Some(connection);
        receiver.connection = None;
        Ok(())
    }

    /// Opens the connection over no distance at all, in no time: what is left of it is what the client remembers.
    fn meet(&mut self, now: Time) -> Result<()> {
        let mut packets = Vec::new();
        loop {
            let before = packets.len();
            for (end, other) in [(End::Sender, End::Receiver), (End::Receiver, End::Sender)] {
                let first = packets.len();
                self.transmit(end, now, &mut packets)?;
                for packet in &packets[first..] {
                    self.handle(other, now, packet)?;
                }
            }
            if packets.len() == before {
                return Ok(());
            }
        }
    }

    fn at(&self, now: Time) -> Instant {
        self.zero + Duration::from_nanos(now)
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Sender => &mut self.ends[0],
            End::Receiver => &mut self.ends[1],
        }
    }

    fn write(&mut self) -> Result<()> {
        let Some((_, connection)) = &mut self.ends[0].connection else {
            return Ok(());
        };
        let id = match self.sending {
            Some(id) => id,
            // Not before the handshake tells how many streams may be opened.
            None => match connection.streams().open(Dir::Uni) {
                Some(id) => *self.sending.insert(id),
                None => return Ok(()),
            },
        };
        while self.left > 0 {
            let size = CHUNK.min(usize::try_from(self.left)?);
            match connection.send_stream(id).write(&self.chunk[..size]) {
                Ok(taken) => self.left -= taken as u64,
                Err(WriteError::Blocked) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let Some((_, connection)) = &mut self.ends[1].connection else {
            return Ok(());
        };
        if self.receiving.is_none() {
            self.receiving = connection.streams().accept(Dir::Uni);
        }
        let Some(id) = self.receiving else {
            return Ok(());
        };
        let mut stream = connection.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            bail!("the stream cannot be read");
        };
        loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => self.delivered += chunk.bytes.len() as u64,
                Ok(None) | Err(ReadError::Blocked) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let _ = chunks.finalize();
        Ok(())
    }
}

impl Side {
    /// Passes on what connection and endpoint have to tell each other.
    fn settle(&mut self) {
        let Some((handle, connection)) = &mut self.connection else {
            return;
        };
        while let Some(event) = connection.poll() {
            self.lost |= matches!(event, Event::ConnectionLost { .. });
        }
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
    }

    fn handle(&mut self, now: Instant, data: &[u8]) -> Result<()> {
        let mut answer = Vec::new();
        let event = self.endpoint.handle(
            now,
            self.peer,
            None,
            None,
            BytesMut::from(data),
            &mut answer,
        );
        match event {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                let Ok(accepted) = accepted else {
                    bail!("the connection was refused");
                };
                self.connection.get_or_insert(accepted);
            }
            Some(DatagramEvent::Response(transmit)) => self.push(&transmit, &answer),
            None => {}
        }
        self.settle();
        Ok(())
    }

    fn push(&mut self, transmit: &Transmit, data: &[u8]) {
        let data = &data[..transmit.size];
        let size = transmit.segment_size.unwrap_or(data.len()).max(1);
        self.answers.extend(data.chunks(size).map(Packet::datagram));
    }
}

impl Transfer for Quinn {
    fn act(&mut self, end: End) -> Result<()> {
        if self.is_over() {
            return Ok(());
        }
        match end {
            End::Sender => self.write(),
            End::Receiver => self.read(),
        }
    }

    fn handle(&mut self, end: End, now: Time, packet: &Packet) -> Result<()> {
        let now = self.at(now);
        self.side(end).handle(now, &packet.bytes)
    }

    fn transmit(&mut self, end: End, now: Time, out: &mut Vec<Packet>) -> Result<()> {
        let now = self.at(now);
        let side = self.side(end);
        side.settle();
        let mut buffer = Vec::new();
        while let Some((_, connection)) = &mut side.connection {
            buffer.clear();
            let Some(transmit) = connection.poll_transmit(now, 10, &mut buffer) else {
                break;
            };
            side.push(&transmit, &buffer);
        }
        side.settle();
        out.append(&mut side.answers);
        Ok(())
    }

    fn deadline(&mut self, end: End, _now: Time) -> Option<Time> {
        let zero = self.zero;
        let (_, connection) = self.side(end).connection.as_mut()?;
        let at = connection.poll_timeout()?;
        u64::try_from(at.saturating_duration_since(zero).as_nanos()).ok()
    }

    fn handle_timeout(&mut self, end: End, now: Time) -> Result<()> {
        let now = self.at(now);
        let side = self.side(end);
        if let Some((_, connection)) = &mut side.connection {
            connection.handle_timeout(now);
        }
        side.settle();
        Ok(())
    }

    fn is_open(&self) -> bool {
        let connection = self.ends[0].connection.as_ref();
        connection
            .is_some_and(|(_, connection)| !connection.is_handshaking() || connection.has_0rtt())
    }

    fn is_over(&self) -> bool {
        self.ends.iter().any(|side| side.lost)
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }
}

fn address(end: End) -> SocketAddr {
    let last = match end {
        End::Sender => 1,
        End::Receiver => 2,
    };
    SocketAddr::new(IpAddr::from([10, 0, 0, last]), 1000)
}

fn transport(control: Control, window: u64) -> Result<TransportConfig> {
    let mut transport = TransportConfig::default();
    let factory: Arc<dyn ControllerFactory + Send + Sync> = match control {
        Control::Cubic => Arc::new(CubicConfig::default()),
        Control::NewReno => Arc::new(NewRenoConfig::default()),
        Control::Bbr => Arc::new(BbrConfig::default()),
    };
    let mut search = MtuDiscoveryConfig::default();
    search.upper_bound(DATAGRAM);
    transport
        .congestion_controller_factory(factory)
        .mtu_discovery_config(Some(search))
        .stream_receive_window(VarInt::from_u64(window)?)
        .receive_window(VarInt::from_u64(2 * window)?)
        .send_window(window);
    Ok(transport)
}

fn server_config(
    certified: &rcgen::CertifiedKey,
    transport: &Arc<TransportConfig>,
) -> Result<ServerConfig> {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.key_pair.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())?;
    tls.max_early_data_size = u32::MAX;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport.clone());
    Ok(config)
}

/// A certificate whose signatures have one length: those of ECDSA differ by some bytes, and with them the handshake.
fn certified() -> Result<rcgen::CertifiedKey> {
    let key_pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let mut parameters = rcgen::CertificateParams::new(vec!["lab".into()])?;
    parameters.serial_number = Some(1_u64.into());
    let cert = parameters.self_signed(&key_pair)?;
    Ok(rcgen::CertifiedKey { cert, key_pair })
}

fn client_config(
    certified: &rcgen::CertifiedKey,
    transport: Arc<TransportConfig>,
) -> Result<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone())?;
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.enable_early_data = true;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport);
    Ok(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
