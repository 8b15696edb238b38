//! The UDX transport protocol as an engine without I/O.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod wire;
