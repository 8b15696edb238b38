//! The models of other implementations, against what the real ones are known to write.

mod vectors;
mod wire;
