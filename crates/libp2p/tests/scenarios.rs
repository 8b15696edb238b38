//! What applications do with the streams of one Noise and Yamux connection, over a clean and over a spoiled link.

mod common;

use std::{future::Future, io, time::Duration};

use common::{Link, PATIENCE, Pair};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future::join};
use libp2p::{Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams};
use tokio::time::{sleep, timeout};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/udx-test/scenario/1");

/// Opens streams on the pair's one connection: both ends of each.
struct Opener {
    pair: Pair,
    control: Control,
    incoming: IncomingStreams,
}

impl Opener {
    async fn connect(link: Link) -> Self {
        let mut pair = Pair::connect(link).await;
        let incoming = pair.listener.control.accept(PROTOCOL).unwrap();
        let control = pair.dialer.control.clone();
        Self {
            pair,
            control,
            incoming,
        }
    }

    /// The dialer's end and the listener's.
    async fn open(&mut self) -> (Stream, Stream) {
        let opened = self.control.open_stream(self.pair.listener.peer, PROTOCOL);
        let (opened, accepted) = join(opened, self.incoming.next()).await;
        (opened.unwrap(), accepted.unwrap().1)
    }

    /// Packets that the dialer had to repeat: the link was as bad as it was meant to be.
    fn sent_again(&self) -> u64 {
        let stats = &self.pair.dialer.handle.connections()[0].stats;
        eprintln!("{stats:?}");
        stats.recovery.packets_resent
    }

    /// A scenario on a new stream, with an end to its patience.
    async fn run<F: Future<Output = ()>>(
        &mut self,
        name: &str,
        scenario: impl FnOnce(Stream, Stream) -> F,
    ) {
        let started = std::time::Instant::now();
        let (dialer, listener) = timeout(PATIENCE, self.open()).await.expect(name);
        timeout(PATIENCE, scenario(dialer, listener))
            .await
            .expect(name);
        eprintln!("{name}: {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_on_one_connection_over_a_clean_link() {
    let mut opener = Opener::connect(Link::Clean).await;
    everything(&mut opener, 100_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_on_one_connection_over_a_lossy_link() {
    let mut opener = Opener::connect(Link::Lossy).await;
    everything(&mut opener, 100_000_000).await;
    assert!(opener.sent_again() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_on_one_connection_over_a_distant_link() {
    let mut opener = Opener::connect(Link::Distant).await;
    everything(&mut opener, 2_000_000).await;
    assert!(opener.sent_again() > 10);
}

async fn everything(opener: &mut Opener, large: usize) {
    opener
        .run("a large transfer that closes", |d, l| transfer(d, l, large))
        .await;
    opener
        .run("a second transfer after it", |d, l| {
            transfer(d, l, 1_000_000)
        })
        .await;
    opener
        .run("a transfer towards the dialer", |d, l| {
            transfer(l, d, 5_000_000)
        })
        .await;
    opener.run("100 framed messages", framed_messages).await;
    opener
        .run("rapid and delayed writes", rapid_and_delayed_writes)
        .await;
    for _ in 0..5 {
        opener.run("500 KB both ways", both_ways).await;
    }
    opener.run("reading after FIN", reading_after_fin).await;
    opener
        .run("EOF pending when FIN arrives", eof_pending_when_fin_arrives)
        .await;
    opener.run("half close", half_close).await;
    opener.run("a reset", reset).await;
    opener
        .run("a slow reader of sideband packets", slow_sideband_reader)
        .await;
    opener
        .run("a last transfer", |d, l| transfer(d, l, 1_000_000))
        .await;

    assert_eq!(opener.pair.dialer.handle.connections().len(), 1);
    assert_eq!(opener.pair.dialer.newly_established(), 0);
    assert_eq!(opener.pair.listener.newly_established(), 0);
}

/// All of it arrives, in order, and then the end; the receiver ends its side too.
async fn transfer(mut from: Stream, mut to: Stream, len: usize) {
    let send = async {
        send_pattern(&mut from, len).await.unwrap();
        from.close().await.unwrap();
        assert_eq!(read_all(&mut from).await.unwrap(), b"thanks");
    };
    let receive = async {
        receive_pattern(&mut to, len).await;
        assert_eq!(to.read(&mut [0; 1]).await.unwrap(), 0);
        to.write_all(b"thanks").await.unwrap();
        to.close().await.unwrap();
    };
    join(send, receive).await;
}

/// Each message is answered before the next is sent.
async fn framed_messages(mut dialer: Stream, mut listener: Stream) {
    let ask = async {
        for round in 0..100u32 {
            let message = vec![round as u8; 1024];
            send_frame(&mut dialer, &message).await;
            assert_eq!(receive_frame(&mut dialer).await.unwrap(), message);
        }
        dialer.close().await.unwrap();
        assert!(receive_frame(&mut dialer).await.is_none());
    };
    let answer = async {
        while let Some(message) = receive_frame(&mut listener).await {
            send_frame(&mut listener, &message).await;
        }
        listener.close().await.unwrap();
    };
    join(ask, answer).await;
}

/// Bursts of small writes, pauses, and writes larger than any window, all on one stream.
async fn rapid_and_delayed_writes(mut dialer: Stream, mut listener: Stream) {
    let sizes = [1, 2, 3, 1000, 1, 70_000, 17, 1, 300_000, 5];
    let mut expected = Vec::new();
    for round in 0..20 {
        for size in sizes {
            expected.extend(std::iter::repeat_n(round as u8, size));
        }
    }
    let send = async {
        let mut rest = &expected[..];
        for round in 0..20 {
            for size in sizes {
                let (now, later) = rest.split_at(size);
                dialer.write_all(now).await.unwrap();
                rest = later;
                if (round + size) % 7 == 0 {
                    dialer.flush().await.unwrap();
                    sleep(Duration::from_millis(3)).await;
                }
            }
        }
        dialer.close().await.unwrap();
    };
    let (received, ()) = join(read_all(&mut listener), send).await;
    assert!(received.unwrap() == expected);
}

async fn both_ways(dialer: Stream, listener: Stream) {
    const LEN: usize = 500_000;
    let side = |stream: Stream| async move {
        let (mut read, mut write) = stream.split();
        let send = async {
            send_pattern(&mut write, LEN).await.unwrap();
            write.close().await.unwrap();
        };
        let receive = async {
            receive_pattern(&mut read, LEN).await;
            assert_eq!(read.read(&mut [0; 1]).await.unwrap(), 0);
        };
        join(send, receive).await;
    };
    join(side(dialer), side(listener)).await;
}

/// The end arrives long before anybody reads: the bytes before it are still there, and the end stays.
async fn reading_after_fin(mut dialer: Stream, mut listener: Stream) {
    dialer.write_all(&[9; 100_000]).await.unwrap();
    dialer.close().await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(read_all(&mut listener).await.unwrap(), [9; 100_000]);
    for _ in 0..3 {
        assert_eq!(listener.read(&mut [0; 8]).await.unwrap(), 0);
    }
    listener.close().await.unwrap();
}

/// A reader that waits already is woken by the end.
async fn eof_pending_when_fin_arrives(mut dialer: Stream, mut listener: Stream) {
    let reader = tokio::spawn(async move {
        let got = listener.read(&mut [0; 8]).await.unwrap();
        (got, listener)
    });
    sleep(Duration::from_millis(100)).await;
    assert!(!reader.is_finished());
    dialer.close().await.unwrap();
    let (got, mut listener) = reader.await.unwrap();
    assert_eq!(got, 0);
    listener.close().await.unwrap();
}

/// The dialer ends its side; the listener's side goes on for long after.
async fn half_close(mut dialer: Stream, mut listener: Stream) {
    let ask = async {
        dialer.write_all(b"all of it, please").await.unwrap();
        dialer.close().await.unwrap();
        receive_pattern(&mut dialer, 2_000_000).await;
        assert_eq!(dialer.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(dialer.write_all(b"more").await.is_err());
    };
    let answer = async {
        assert_eq!(read_all(&mut listener).await.unwrap(), b"all of it, please");
        sleep(Duration::from_millis(50)).await;
        send_pattern(&mut listener, 2_000_000).await.unwrap();
        listener.close().await.unwrap();
    };
    join(ask, answer).await;
}

/// A stream dropped in the middle: the other side learns of it. Its connection lives, which the next scenario shows.
async fn reset(mut dialer: Stream, mut listener: Stream) {
    dialer.write_all(&[1; 10_000]).await.unwrap();
    let mut some = [0; 1000];
    listener.read_exact(&mut some).await.unwrap();
    drop(dialer);
    let writes = async {
        // Yamux gives credit for 256 KiB and notices the reset at the latest when that is used up.
        while listener.write_all(&[2; 10_000]).await.is_ok() {}
    };
    writes.await;
    // What was received before may still be read; more than was sent never comes.
    assert!(read_all(&mut listener).await.map_or(0, |rest| rest.len()) <= 9_000);
}

/// Packets as Git's sideband makes them, for a reader that takes its time: nothing is lost, nothing stalls.
async fn slow_sideband_reader(mut dialer: Stream, mut listener: Stream) {
    const PACKET: usize = 65_515;
    const PACKETS: usize = 64;
    let send = async {
        for packet in 0..PACKETS {
            send_frame(&mut listener, &vec![packet as u8; PACKET]).await;
        }
        listener.close().await.unwrap();
    };
    let receive = async {
        for packet in 0..PACKETS {
            let got = receive_frame(&mut dialer).await.unwrap();
            assert!(got.len() == PACKET && got.iter().all(|byte| *byte == packet as u8));
            sleep(Duration::from_millis(if packet % 16 == 0 { 50 } else { 2 })).await;
        }
        assert!(receive_frame(&mut dialer).await.is_none());
        dialer.close().await.unwrap();
    };
    join(send, receive).await;
}

/// Bytes that show every loss, repetition and exchange of blocks: their value depends on their position.
fn pattern(position: usize) -> u8 {
    (position.wrapping_mul(0x9E37_79B9) >> 11) as u8
}

async fn send_pattern(to: &mut (impl futures::AsyncWrite + Unpin), len: usize) -> io::Result<()> {
    let mut block = vec![0; 64 * 1024];
    for start in (0..len).step_by(block.len()) {
        let now = block.len().min(len - start);
        for (i, byte) in block[..now].iter_mut().enumerate() {
            *byte = pattern(start + i);
        }
        to.write_all(&block[..now]).await?;
    }
    Ok(())
}

async fn receive_pattern(from: &mut (impl futures::AsyncRead + Unpin), len: usize) {
    let mut block = vec![0; 64 * 1024];
    let mut position = 0;
    while position < len {
        let room = block.len().min(len - position);
        let got = from.read(&mut block[..room]).await.unwrap();
        assert!(got > 0, "the stream ended at {position} of {len}");
        for (i, byte) in block[..got].iter().enumerate() {
            assert!(
                *byte == pattern(position + i),
                "wrong byte at {}",
                position + i
            );
        }
        position += got;
    }
}

async fn read_all(from: &mut Stream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).await.map(|_| all)
}

async fn send_frame(to: &mut Stream, message: &[u8]) {
    to.write_all(&(message.len() as u32).to_be_bytes())
        .await
        .unwrap();
    to.write_all(message).await.unwrap();
    to.flush().await.unwrap();
}

async fn receive_frame(from: &mut Stream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    if from.read(&mut len[..1]).await.unwrap() == 0 {
        return None;
    }
    from.read_exact(&mut len[1..]).await.unwrap();
    let mut message = vec![0; u32::from_be_bytes(len) as usize];
    from.read_exact(&mut message).await.unwrap();
    Some(message)
}
