//! Ways in which TCP stacks have panicked, spun, gone silent or been led astray by what a peer sent, each as a test. Names begin with
//! the entry of the list of such ways that this project keeps (A8, C15, …); R are its rules.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod reducing;
mod script;

mod acknowledgments;
mod closing;
mod found;
mod index;
mod notification;
mod numbers;
mod opening;
mod recovering;
mod segments;
mod spurious;
mod timing;
mod user_timeout;
mod windows;
