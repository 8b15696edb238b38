//! The models of other implementations, against what the real ones are known to write.

mod dart;
mod forms;
mod js;
mod never_silent;
mod seeds;
mod table;
mod vectors;
mod wedges;
mod wire;
mod wire2;
