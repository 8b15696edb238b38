//! TCP of our own for tokio: over any device that carries IP packets.
//!
//! A [`Stack`] is a host: addresses, and a task that moves packets between the engine and a [`Device`]. [`TcpListener`] and [`TcpStream`] have the names and
//! the meaning of those of `tokio::net`, so that what runs on those (hyper, rustls, axum) runs on these.
//!
//! ```
//! use gapless::tcp::{Stack, StackConfig, TcpListener, TcpStream, pipe};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! // A cable with a host at each end; a TUN device has the system at the other end.
//! let [near, far] = pipe(1500);
//! let client = Stack::new(near, StackConfig::default())?;
//! client.add_address([192, 0, 2, 1].into())?;
//! let server = Stack::new(far, StackConfig::default())?;
//! server.add_address([192, 0, 2, 2].into())?;
//!
//! let listener = TcpListener::bind(&server, "192.0.2.2:80".parse().unwrap())?;
//! let echo = tokio::spawn(async move {
//!     let (mut stream, _from) = listener.accept().await?;
//!     let (mut read, mut write) = stream.split();
//!     tokio::io::copy(&mut read, &mut write).await
//! });
//!
//! let mut stream = TcpStream::connect(&client, "192.0.2.2:80".parse().unwrap()).await?;
//! stream.write_all(b"is anybody there?").await?;
//! stream.shutdown().await?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer).await?;
//! assert_eq!(answer, "is anybody there?");
//! assert_eq!(echo.await??, 17);
//! # Ok(())
//! # }
//! ```
//!
//! # Threads that block
//!
//! [`Stack::sockets`] is the same host for threads: `gapless_sockets::blocking` has streams with `std::io::Read` and `Write`.

mod device;
mod driver;
mod impaired;
mod listener;
mod pipe;
mod split;
mod stack;
mod stream;
#[cfg(all(target_os = "linux", feature = "tun"))]
mod tun;

pub use device::{Abilities, Device, Inbox};
pub use gapless_sockets as sockets;
pub use gapless_tcp::{
    BlockedOn, Checksums, CloseReason, Config, ConnectionStats, Stack as Engine, StackConfig,
    Stats, Trains, Transmit, wire::Verify,
};
pub use impaired::Impaired;
pub use listener::TcpListener;
pub use pipe::{Pipe, pipe};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stack::Stack;
pub use stream::TcpStream;
#[cfg(all(target_os = "linux", feature = "tun"))]
pub use tun::{Tun, TunConfig};
