//! Git's smart protocol, served and cloned, over any byte stream.
#![forbid(unsafe_code)]
