//! A model of a bad network path: loss, delay, jitter, reordering, duplication, corruption, rate and queue.
#![forbid(unsafe_code)]
