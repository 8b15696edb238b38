//! libp2p's perf protocol, `/perf/1.0.0`.
//!
//! The client sends how many bytes it wants back (`u64`, big endian), then any number of bytes, and closes its half. The server
//! reads to the end, sends what was asked for and closes.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes per write. Yamux cuts its frames at 16 KiB; four of them per call.
const BLOCK: usize = 64 * 1024;

/// Serves one measurement: gives how much was received and sent.
///
/// # Errors
///
/// When the stream fails.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<(u64, u64)> {
    let wanted = stream.read_u64().await?;
    let received = drain(&mut stream).await?;
    fill(&mut stream, wanted).await?;
    stream.shutdown().await?;
    Ok((received, wanted))
}

/// Sends `count` bytes; gives the time until the peer has them all.
///
/// # Errors
///
/// When the stream fails, or the peer did not read to the end.
pub async fn upload<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    count: u64,
) -> io::Result<Duration> {
    // One byte back proves that the peer saw the end of the upload: the end of a stream alone could also be a lost connection.
    measure(stream, count, 1).await
}

/// Receives `count` bytes; gives the time from the request to the last byte.
///
/// # Errors
///
/// When the stream fails, or ends early.
pub async fn download<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    count: u64,
) -> io::Result<Duration> {
    measure(stream, 0, count).await
}

async fn measure<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    send: u64,
    receive: u64,
) -> io::Result<Duration> {
    let started = Instant::now();
    stream.write_u64(receive).await?;
    fill(&mut stream, send).await?;
    stream.shutdown().await?;
    let received = drain(&mut stream).await?;
    if received != receive {
        let text = format!("the peer sent {received} bytes instead of {receive}");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    Ok(started.elapsed())
}

async fn fill<W: AsyncWrite + Unpin>(stream: &mut W, count: u64) -> io::Result<()> {
    let block = vec![0; BLOCK];
    let mut left = count;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let data = block.get(..size).unwrap_or(&block);
        stream.write_all(data).await?;
        left = left.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
    }
    stream.flush().await
}

async fn drain<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<u64> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_directions_are_counted() {
        for (count, seen) in [(0, (0, 1)), (1, (1, 1)), (1_000_000, (1_000_000, 1))] {
            let (client, server) = tokio::io::duplex(1 << 16);
            let serving = tokio::spawn(serve(server));
            upload(client, count).await.unwrap();
            assert_eq!(serving.await.unwrap().unwrap(), seen);
        }
        for count in [0, 1, 1_000_000] {
            let (client, server) = tokio::io::duplex(1 << 16);
            let serving = tokio::spawn(serve(server));
            download(client, count).await.unwrap();
            assert_eq!(serving.await.unwrap().unwrap(), (0, count));
        }
    }

    #[tokio::test]
    async fn an_early_end_is_no_result() {
        let (client, mut server) = tokio::io::duplex(1 << 16);
        let serving = tokio::spawn(async move {
            server.read_u64().await.unwrap();
            server.write_all(b"less").await.unwrap();
        });
        assert_eq!(
            download(client, 1_000).await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        serving.await.unwrap();
    }
}
