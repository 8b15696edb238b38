//! UDX as a transport of rust-libp2p.
#![forbid(unsafe_code)]
