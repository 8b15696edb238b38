//! The rooms behind the programs `gapless` and `git-remote-udx`. Not a library for others: it follows the programs' needs.
#![forbid(unsafe_code)]

pub mod address;
pub mod args;
pub mod commands;
pub mod failure;
pub mod identity;
pub mod lab;
pub mod node;
pub mod output;
pub mod perf;
pub mod progress;
