//! One stream over loopback, server and client in one process: MB/s and what it cost.
//!
//! `cargo run --release -p gapless --example throughput -- [MiB] [streams]`

use gapless::{Bytes, Endpoint};
use std::time::Instant;

const CHUNK: usize = 256 * 1024;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| match arguments.next() {
        Some(text) => text.parse(),
        None => Ok(default),
    };
    let (mebibytes, streams) = (number(1024)?, number(1)?);
    let server = Endpoint::server("127.0.0.1:0".parse()?)?;
    let client = Endpoint::client("127.0.0.1:0".parse()?)?;
    let address = server.local_addr()?;
    let total = mebibytes << 20;

    let sink = tokio::spawn(async move {
        let connection = server.accept().await.ok_or("closed")?;
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..streams {
            let (mut back, mut recv) = connection.accept_bi().await.map_err(|e| e.to_string())?;
            readers.spawn(async move {
                let mut got = 0;
                while let Ok(Some(chunk)) = recv.read_chunk(usize::MAX).await {
                    got += chunk.len();
                }
                let _ = back.write_all(b"done").await;
                got
            });
        }
        let got: usize = readers.join_all().await.into_iter().sum();
        connection.closed().await;
        Ok::<_, String>(got)
    });

    let connection = client.connect(address)?.await?;
    let data = Bytes::from(vec![7; CHUNK]);
    let start = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..streams {
        let (connection, data) = (connection.clone(), data.clone());
        writers.spawn(async move {
            let (mut send, mut recv) = connection.open_bi().await?;
            for _ in 0..total / streams / CHUNK {
                send.write_chunk(data.clone()).await?;
            }
            send.finish()?;
            recv.read_to_end(4).await?;
            Ok::<_, std::io::Error>(())
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    let time = start.elapsed().as_secs_f64();
    println!(
        "{mebibytes} MiB, {streams} streams: {:.0} MB/s",
        total as f64 / 1e6 / time
    );
    println!("{:?}", connection.stats());
    println!("{:?}", client.stats());
    connection.close(0, b"");
    client.wait_idle().await;
    let got = sink.await??;
    println!("{got} bytes arrived");
    Ok(())
}
