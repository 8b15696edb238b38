//! The first packets of a connection as the document shows them: what the engine really sends.

use std::net::SocketAddr;

use gapless_udx::wire::Version;
use gapless_udx::{ConnectionConfig, Endpoint, EndpointConfig, Instant, Received, VersionChoice};

use crate::examples::{examples, hex};

#[test]
fn a_dial_and_its_answer_are_those_of_the_document() {
    let now = Instant::from_nanos(0);
    let (dialer_at, acceptor_at): (SocketAddr, SocketAddr) = (
        "192.0.2.1:1".parse().unwrap(),
        "192.0.2.2:2".parse().unwrap(),
    );
    let mut dialer = Endpoint::new(EndpointConfig::default(), [1; 32]);
    let mut acceptor = Endpoint::new(EndpointConfig::default(), [2; 32]);
    let config = ConnectionConfig {
        version: VersionChoice::Only(Version::V3),
        ..ConnectionConfig::default()
    };

    let handle = dialer.connect_with(now, acceptor_at, config).unwrap();
    let connection = dialer.connection_mut(handle).unwrap();
    let stream = connection.open().unwrap();
    connection.write(stream, &mut "hello".into()).unwrap();
    let dial = send(&mut dialer, now).unwrap();
    assert_eq!(send(&mut dialer, now), None, "one packet opens all");

    let received = Received {
        from: dialer_at,
        ecn: None,
        segment_size: dial.len(),
        data: &dial,
    };
    acceptor.handle(now, received);
    let answer = send(&mut acceptor, now).unwrap();

    for (title, sent) in [("our dial", dial), ("our answer", answer)] {
        assert_shown(title, &sent, 1);
    }
}

#[test]
fn the_question_for_the_version_is_that_of_the_document_in_either_version() {
    let now = Instant::from_nanos(0);
    let mut dialer = Endpoint::new(EndpointConfig::default(), [1; 32]);
    let handle = dialer.connect(now, "192.0.2.2:2".parse().unwrap()).unwrap();
    let connection = dialer.connection_mut(handle).unwrap();
    let stream = connection.open().unwrap();
    connection.write(stream, &mut "hello".into()).unwrap();
    assert_shown("our question", &send(&mut dialer, now).unwrap(), 2);
    assert_eq!(send(&mut dialer, now), None, "no data before the answer");
}

/// The document shows these bytes so many times under that title.
fn assert_shown(title: &str, sent: &[u8], times: usize) {
    let shown = examples().into_iter();
    let shown: Vec<_> = shown
        .filter(|example| example.vector.as_deref() == Some(title))
        .collect();
    assert_eq!(shown.len(), times, "{title}: {}", hex(sent));
    for example in shown {
        assert_eq!(hex(sent), hex(&example.bytes), "{title}");
    }
}

fn send(endpoint: &mut Endpoint, now: Instant) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 2048];
    let transmit = endpoint.poll_transmit(now, &mut buffer)?;
    buffer.truncate(transmit.len);
    Some(buffer)
}
