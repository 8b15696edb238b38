//! Reliable byte streams over bad networks: UDX for tokio.
#![forbid(unsafe_code)]
