//! Yamux with the settings that matter for throughput and memory, which `libp2p-yamux` keeps to itself.
//!
//! The protocol is `/yamux/1.0.0` either way, spoken by the same implementation, and works with every other one.

use std::{
    collections::VecDeque,
    fmt, io, iter,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use futures::{
    AsyncRead, AsyncWrite,
    future::{Ready, ready as now},
};
use libp2p_core::{
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};
use yamux::{Connection, ConnectionError, Mode, Stream};

use crate::Config;

/// The upgrade of an authenticated connection to Yamux.
#[derive(Clone, Debug)]
pub(crate) struct Yamux(yamux::Config);

impl Yamux {
    pub(crate) fn new(config: &Config) -> Self {
        let streams = config.max_streams.clamp(1, MOST_STREAMS);
        let windows = FIRST_WINDOW
            .saturating_mul(streams)
            .saturating_add(config.max_window_growth);
        let mut yamux = yamux::Config::default();
        // In this order the panicking checks of the two values against each other always hold.
        yamux.set_max_connection_receive_window(None);
        yamux.set_max_num_streams(streams);
        yamux.set_max_connection_receive_window(Some(windows));
        yamux.set_split_send_size(config.max_frame.clamp(1, LARGEST_FRAME));
        Self(yamux)
    }

    fn start<C>(self, io: C, mode: Mode) -> Ready<Result<Muxer<C>, io::Error>>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        now(Ok(Muxer {
            connection: Connection::new(io, self.0, mode),
            waiting: VecDeque::new(),
            acceptor: None,
        }))
    }
}

impl UpgradeInfo for Yamux {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<C> for Yamux {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_inbound(self, io: C, _: &'static str) -> Self::Future {
        self.start(io, Mode::Server)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<C> for Yamux {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_outbound(self, io: C, _: &'static str) -> Self::Future {
        self.start(io, Mode::Client)
    }
}

/// A Yamux connection as the Swarm sees it.
pub(crate) struct Muxer<C> {
    connection: Connection<C>,
    /// Streams of the peer that came while nobody asked for one: Yamux moves only by being asked for the next.
    waiting: VecDeque<Stream>,
    /// Who asked when there was none.
    acceptor: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        let next = ready!(self.connection.poll_next_inbound(cx));
        Poll::Ready(next.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = ConnectionError;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, ConnectionError>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let result = self.poll_connection(cx);
        if result.is_pending() {
            self.acceptor = Some(cx.waker().clone());
        }
        result
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, ConnectionError>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ConnectionError>> {
        self.connection.poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let stream = ready!(self.poll_connection(cx))?;
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(stream);
            if let Some(acceptor) = self.acceptor.take() {
                acceptor.wake();
            }
        } else {
            tracing::debug!(%stream, "reset: too many streams wait to be accepted");
        }
        // There may be more to do; others get their turn before it.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<C> fmt::Debug for Muxer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Muxer")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

/// Bytes: what each stream may receive from its beginning (Yamux specification).
const FIRST_WINDOW: usize = 256 * 1024;

/// Bytes: a stream's first frame must fit into its first window, and dart-libp2p takes no larger ones (UDX 20).
const LARGEST_FRAME: usize = FIRST_WINDOW;

/// Keeps the product with the first window far from overflow on 32 bits. The Swarm, behaviours and memory give up long before.
const MOST_STREAMS: usize = 4096;

/// Streams of the peer that wait to be accepted. rust-yamux opens so many before the first is acknowledged, which happens by
/// accepting it.
const MOST_WAITING: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_panics() {
        for value in [0, 1, 512, 4096, usize::MAX] {
            let config = Config {
                max_streams: value,
                max_window_growth: value,
                max_frame: value,
                ..Config::default()
            };
            let yamux = Yamux::new(&config);
            drop(yamux.start(futures::io::Cursor::new(Vec::new()), Mode::Client));
        }
    }
}
