//! The UDX transport protocol as an engine without I/O.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[allow(dead_code, unused_imports)] // Until the connection uses it.
mod stream;
pub mod wire;
