//! QUIC by quinn: rustls with ring, a certificate of its own, CUBIC.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use quinn::congestion::CubicConfig;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use tokio::sync::mpsc::UnboundedSender;

use super::{Connected, Incoming, Outgoing, PIECE, Transport};

pub(crate) struct Quinn {
    /// Windows and socket buffers as large as those of UDX.
    pub(crate) tuned: bool,
}

/// The largest flow control window of a UDX stream.
const WINDOW: u32 = 16 << 20;

/// What UDX asks of the system.
const SOCKET_BUFFER: usize = 8 << 20;

const NAME: &str = "localhost";

impl Quinn {
    fn transport(&self) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        config.congestion_controller_factory(Arc::new(CubicConfig::default()));
        config.max_concurrent_uni_streams(VarInt::from_u32(1000));
        // A run that waits for its turn must not lose the connection.
        config.keep_alive_interval(Some(Duration::from_secs(5)));
        if self.tuned {
            config.stream_receive_window(VarInt::from_u32(WINDOW));
            config.receive_window(VarInt::from_u32(2 * WINDOW));
            config.send_window(2 * u64::from(WINDOW));
        }
        Arc::new(config)
    }

    fn endpoint(&self, server: Option<ServerConfig>) -> Result<Endpoint> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        if self.tuned {
            let socket = socket2::SockRef::from(&socket);
            socket.set_recv_buffer_size(SOCKET_BUFFER)?;
            socket.set_send_buffer_size(SOCKET_BUFFER)?;
        }
        let config = EndpointConfig::default();
        let runtime = Arc::new(TokioRuntime);
        Ok(Endpoint::new(config, server, socket, runtime)?)
    }
}

impl Transport for Quinn {
    type Out = SendStream;
    type In = RecvStream;

    async fn listen(&self, streams: UnboundedSender<RecvStream>) -> Result<String> {
        let rcgen::CertifiedKey { cert, key_pair } =
            rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(key_pair.serialize_der());
        let mut config = ServerConfig::with_single_cert(vec![cert.der().clone()], key.into())?;
        config.transport_config(self.transport());
        let endpoint = self.endpoint(Some(config))?;
        let address = endpoint.local_addr()?;
        tokio::spawn(async move {
            let connection = endpoint.accept().await.context("closed")?.await?;
            while let Ok(stream) = connection.accept_uni().await {
                streams.send(stream)?;
            }
            Ok::<_, anyhow::Error>(())
        });
        // The dialer is to trust just this certificate.
        let certificate: String = cert.der().iter().map(|b| format!("{b:02x}")).collect();
        Ok(format!("{address} {certificate}"))
    }

    async fn connect(&self, to: &str, streams: usize) -> Result<Connected<SendStream>> {
        let (address, certificate) = to.split_once(' ').context("no certificate")?;
        let certificate: Vec<u8> = (0..certificate.len() / 2)
            .map(|i| u8::from_str_radix(certificate.get(2 * i..2 * i + 2).unwrap_or(""), 16))
            .collect::<Result<_, _>>()?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate))?;
        let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
        config.transport_config(self.transport());
        let endpoint = self.endpoint(None)?;
        let connection = endpoint
            .connect_with(config, address.parse()?, NAME)?
            .await?;
        let mut opened = Vec::new();
        for _ in 0..streams {
            opened.push(connection.open_uni().await?);
        }
        Ok(Connected {
            streams: opened,
            datagram: Box::new(move || Some(u64::from(connection.stats().path.current_mtu))),
        })
    }
}

impl Outgoing for SendStream {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        Ok(self.write_chunk(data).await?)
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(SendStream::finish(self)?)
    }
}

impl Incoming for RecvStream {
    async fn read(&mut self) -> Result<Option<usize>> {
        let chunk = self.read_chunk(PIECE, true).await?;
        Ok(chunk.map(|chunk| chunk.bytes.len()))
    }
}
