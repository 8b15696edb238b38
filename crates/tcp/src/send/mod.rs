//! The sending half.

mod buffer;

pub(crate) use buffer::SendBuffer;
