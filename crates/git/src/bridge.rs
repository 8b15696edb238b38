//! A tokio stream as std's blocking `Read` and `Write`, for gitoxide's blocking transport.

use std::io::{self, BufReader, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Read-ahead in bytes: two of Git's longest pkt-lines (65520), so that its 4-byte length fields cost no trip to the runtime.
const READ_AHEAD: usize = 128 * 1024;

/// The blocking ends of one stream, and what can be seen and done from outside while a thread uses them.
pub(crate) struct Bridge<S> {
    pub(crate) reader: BufReader<Reader<S>>,
    pub(crate) writer: Writer<S>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) stop: watch::Sender<bool>,
}

/// What went over the stream so far.
#[derive(Default)]
pub(crate) struct Observer {
    received: AtomicU64,
    sent: AtomicU64,
    end: Mutex<Option<io::Error>>,
}

impl Observer {
    /// Bytes read from the stream.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes written to the stream.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How the stream ended, when it did: its error, or `UnexpectedEof` for an orderly end. gitoxide's errors bury this.
    pub(crate) fn take_end(&self) -> Option<io::Error> {
        self.end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn note_end(&self, error: &io::Error) {
        let copy = io::Error::new(error.kind(), error.to_string());
        self.end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(copy);
    }
}

/// Joins `stream` with blocking code. The ends must be used outside of `runtime`'s own threads (in `spawn_blocking`), and while
/// it runs.
pub(crate) fn bridge<S: AsyncRead + AsyncWrite>(stream: S, runtime: Handle) -> Bridge<S> {
    let (read, write) = tokio::io::split(stream);
    let (stop, stopped) = watch::channel(false);
    let observer = Arc::new(Observer::default());
    let reader = Reader {
        half: read,
        runtime: runtime.clone(),
        observer: Arc::clone(&observer),
        stopped: stopped.clone(),
    };
    let writer = Writer {
        half: write,
        runtime,
        observer: Arc::clone(&observer),
        stopped,
    };
    Bridge {
        reader: BufReader::with_capacity(READ_AHEAD, reader),
        writer,
        observer,
        stop,
    }
}

pub(crate) struct Reader<S> {
    half: ReadHalf<S>,
    runtime: Handle,
    observer: Arc<Observer>,
    stopped: watch::Receiver<bool>,
}

impl<S: AsyncRead> Read for Reader<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.half.read(buffer);
        let result = self
            .runtime
            .block_on(unless_stopped(&mut self.stopped, read));
        match &result {
            Ok(0) if !buffer.is_empty() => {
                self.observer.note_end(&io::ErrorKind::UnexpectedEof.into())
            }
            Ok(count) => add(&self.observer.received, *count),
            Err(error) => self.observer.note_end(error),
        }
        result
    }
}

pub(crate) struct Writer<S> {
    half: WriteHalf<S>,
    runtime: Handle,
    observer: Arc<Observer>,
    stopped: watch::Receiver<bool>,
}

impl<S: AsyncWrite> Write for Writer<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let write = self.half.write(data);
        let result = self
            .runtime
            .block_on(unless_stopped(&mut self.stopped, write));
        match &result {
            Ok(count) => add(&self.observer.sent, *count),
            Err(error) => self.observer.note_end(error),
        }
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        let flush = self.half.flush();
        self.runtime
            .block_on(unless_stopped(&mut self.stopped, flush))
    }
}

/// `operation`, or an error as soon as the bridge is stopped or the one who could stop it is gone.
async fn unless_stopped<T>(
    stopped: &mut watch::Receiver<bool>,
    operation: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        // `Interrupted` would make std's and gitoxide's loops try again.
        _ = stopped.wait_for(|stopped| *stopped) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cancelled")),
        result = operation => result,
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_cross_and_are_counted() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let Bridge {
            mut reader,
            mut writer,
            observer,
            stop,
        } = bridge(ours, Handle::current());
        let worker = tokio::task::spawn_blocking(move || {
            let mut word = [0; 5];
            reader.read_exact(&mut word).unwrap();
            writer.write_all(&word).unwrap();
            writer.flush().unwrap();
            reader.read_to_end(&mut Vec::new()).unwrap();
        });
        theirs.write_all(b"hello").await.unwrap();
        let mut echo = [0; 5];
        theirs.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"hello");
        drop(theirs);
        worker.await.unwrap();
        assert_eq!((observer.received(), observer.sent()), (5, 5));
        assert_eq!(
            observer.take_end().map(|error| error.kind()),
            Some(io::ErrorKind::UnexpectedEof)
        );
        drop(stop);
    }

    #[tokio::test]
    async fn stopping_wakes_a_blocked_reader() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let Bridge {
            mut reader,
            stop,
            writer: _writer,
            observer: _,
        } = bridge(ours, Handle::current());
        let worker =
            tokio::task::spawn_blocking(move || reader.read(&mut [0; 5]).unwrap_err().kind());
        stop.send_replace(true);
        assert_eq!(worker.await.unwrap(), io::ErrorKind::ConnectionAborted);
    }
}
