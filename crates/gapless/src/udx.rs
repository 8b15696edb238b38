//! UDX under tokio: one task per socket drives the engine, the handles work on the engine directly.

pub(crate) mod builder;
pub(crate) mod connection;
pub(crate) mod dial;
mod dialed;
mod driver;
mod early;
pub(crate) mod endpoint;
pub(crate) mod error;
mod farewell;
mod heap;
mod impair;
mod origins;
pub(crate) mod ports;
pub(crate) mod recv;
pub(crate) mod send;
mod shared;
mod socket;
mod streams;
mod trace;
pub(crate) mod versions;
mod wakes;
