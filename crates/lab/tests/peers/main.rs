//! The models of other implementations, against what the real ones are known to write.

mod dart;
mod forms;
mod table;
mod vectors;
mod wedges;
mod wire;
mod wire2;
