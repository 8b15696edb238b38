//! The request that opens a stream of Git's, and the text of a refusal.

use gapless_git::{Refusal, Request};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Gives the bytes to both readers. What is understood is written and read again.
///
/// # Panics
/// If that is not the same.
pub fn check(data: &[u8]) {
    if let Some(request) = read(data) {
        // Not every name that is understood may be sent: one with a newline inside is not.
        if let Ok(written) = request.encode() {
            assert_eq!(read(&written), Some(request));
        }
    }
    let text = String::from_utf8_lossy(data);
    let refusal = Refusal::parse(&text);
    // What was made of other people's words is said in words that mean the same.
    if !matches!(refusal, Refusal::Other(_)) {
        let named = |refusal: &Refusal| std::mem::discriminant(refusal);
        assert_eq!(named(&Refusal::parse(&refusal.to_string())), named(&refusal));
    }
}

/// A slice is a stream that never waits.
fn read(mut data: &[u8]) -> Option<Request> {
    let reading = pin!(Request::read(&mut data));
    match reading.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(request) => request.ok(),
        Poll::Pending => panic!("a slice does not wait"),
    }
}
