//! Carries bytes between a stream and git.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::child::Child;

/// How a session's relay ended.
pub(super) enum Ended {
    /// Git closed its output: all is said.
    GitDone,
    /// The stream failed.
    ClientGone(io::Error),
    /// Neither side said anything for too long.
    Idle,
}

/// Bytes moved.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// Buffer of each direction in bytes: one pipe of Linux (pipe(7)), and one sideband packet of git.
const BUFFER: usize = 64 * 1024;

/// Carries bytes both ways until git closes its output, the stream fails, or nothing moves for `idle_timeout`.
pub(super) async fn relay<S>(
    stream: &mut S,
    child: &mut Child,
    idle_timeout: Duration,
) -> (Moved, Ended)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return (Moved::default(), Ended::GitDone);
    };
    let counters = Counters::new();
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let upload = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = from_client.read(&mut buffer).await?;
            let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else {
                break;
            };
            counters.count(&counters.received, count);
            // Git may stop listening before the client stops talking; what it has to say about that comes on its output.
            if stdin.write_all(data).await.is_err() {
                break;
            }
        }
        drop(stdin);
        std::future::pending().await
    };
    let download = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let Ok(count) = stdout.read(&mut buffer).await else {
                return Ok(());
            };
            let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else {
                return Ok(());
            };
            to_client.write_all(data).await?;
            to_client.flush().await?;
            counters.count(&counters.sent, count);
        }
    };
    let ended = tokio::select! {
        result = download => result.map_or_else(Ended::ClientGone, |()| Ended::GitDone),
        result = upload => {
            let result: io::Result<()> = result;
            result.map_or_else(Ended::ClientGone, |()| Ended::GitDone)
        }
        () = counters.silence(idle_timeout) => Ended::Idle,
    };
    (counters.moved(), ended)
}

/// Counts bytes and remembers when the last one moved.
struct Counters {
    received: AtomicU64,
    sent: AtomicU64,
    started: Instant,
    last_move_ms: AtomicU64,
}

impl Counters {
    fn new() -> Self {
        Self {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            started: Instant::now(),
            last_move_ms: AtomicU64::new(0),
        }
    }

    fn count(&self, counter: &AtomicU64, bytes: usize) {
        counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_move_ms.store(now, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for `timeout`.
    async fn silence(&self, timeout: Duration) {
        loop {
            let last_move = Duration::from_millis(self.last_move_ms.load(Ordering::Relaxed));
            let silent = self.started.elapsed().saturating_sub(last_move);
            let Some(rest) = timeout.checked_sub(silent).filter(|rest| !rest.is_zero()) else {
                return;
            };
            tokio::time::sleep(rest).await;
        }
    }

    fn moved(&self) -> Moved {
        Moved {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }
}
