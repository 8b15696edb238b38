//! hyper and rustls on TCP of our own, as on that of the system.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gapless::tcp::{Config, Stack, StackConfig, TcpListener, TcpStream, pipe};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const REQUESTS: usize = 1000;
const NAME: &str = "gapless.example";

/// A thousand requests at once, each over a connection of its own; then the server finishes what it has begun and ends, and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_and_a_graceful_end() {
    let (acceptor, connector) = certificates();
    let [near, far] = hosts();
    let (end, ended) = oneshot::channel();
    let server = tokio::spawn(serve(far.clone(), acceptor, ended));
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        requests.spawn(ask(near.clone(), connector.clone(), number));
    }
    let answers = timeout(Duration::from_secs(120), requests.join_all());
    assert_eq!(answers.await.unwrap().into_iter().sum::<usize>(), REQUESTS);
    end.send(()).unwrap();
    let served = timeout(Duration::from_secs(20), server).await.unwrap();
    assert_eq!(served.unwrap(), REQUESTS);

    // Those that answer late segments go after their time.
    for _ in 0..500 {
        if near.connections() + far.connections() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((near.connections(), far.connections()), (0, 0));
    // What a connection holds is a hundred times what its empty place does.
    for host in [&near, &far] {
        assert!(host.memory() < REQUESTS * 400, "{} octets", host.memory());
    }
}

fn hosts() -> [Stack; 2] {
    let mut number = 0;
    pipe(1500).map(|device| {
        number += 1;
        let config = StackConfig {
            connection: Config {
                time_wait: Duration::from_millis(100),
                ..Config::default()
            },
            ..StackConfig::default()
        };
        let stack = Stack::new(device, config).unwrap();
        stack.add_address([10, 0, 0, number].into()).unwrap();
        stack
    })
}

fn address() -> SocketAddr {
    ([10, 0, 0, 2], 443).into()
}

/// Serves until it is told to end. How many connections there were.
async fn serve(host: Stack, acceptor: TlsAcceptor, mut ended: oneshot::Receiver<()>) -> usize {
    let listener = TcpListener::bind(&host, address()).unwrap();
    let graceful = GracefulShutdown::new();
    let mut handshakes = JoinSet::new();
    let mut served = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                let acceptor = acceptor.clone();
                handshakes.spawn(async move { acceptor.accept(stream).await.unwrap() });
            }
            Some(stream) = handshakes.join_next() => {
                served += 1;
                let stream = TokioIo::new(stream.unwrap());
                let http = hyper::server::conn::http1::Builder::new();
                let connection = http.serve_connection(stream, service_fn(answer));
                tokio::spawn(graceful.watch(connection));
            }
            _ = &mut ended => break,
        }
    }
    graceful.shutdown().await;
    served
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(Full::new(body)))
}

/// 1 if the answer is what it should be.
async fn ask(host: Stack, connector: TlsConnector, number: usize) -> usize {
    let stream = TcpStream::connect(&host, address()).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let body = Bytes::from(format!("number {number} ").repeat(1 + number % 300));
    let request = Request::post("/").header("host", NAME);
    let request = request.body(Full::new(body.clone())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let echoed = response.into_body().collect().await.unwrap().to_bytes();
    drop(sender);
    connection.await.unwrap().unwrap();
    usize::from(echoed == body)
}

fn certificates() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.key_pair.serialize_der());
    // Said aloud: another crate of the workspace may bring another one along.
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client).into())
}
