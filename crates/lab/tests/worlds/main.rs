//! Two whole engines in small worlds: every order of everything that a network and two applications can do.
//!
//! `cargo test` searches worlds of a few packets; `cargo xtask worlds` those that are as large as patience allows, and prints how
//! large that was.

mod duo;
mod fates;
mod streams;
mod watch;
