//! Loss recovery for any transport: sent log, RACK-TLP, congestion control, pacing, MTU search.
#![no_std]
#![forbid(unsafe_code)]
