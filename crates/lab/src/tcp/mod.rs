//! TCP in the same world: two stacks, or one and a stack of others, over the links, applications and manners that UDX has.
//!
//! A stream of the plan is a connection here. What TCP has of its own is drawn as well: which options are offered, sizes of segments and
//! buffers, where numbers begin, which IP. And somebody who sees all packets may forge others from them, none of which may do harm.

mod app;
mod draw;
mod engine;
mod forge;
mod host;
mod log;
mod ours;
mod packet;
mod plan;
mod seeds;
mod watch;
mod world;

pub use engine::{Engine, Handle, Read, Standing, Write};
pub use gapless_tcp as stack;
pub use log::describe;
pub use plan::{Forgery, TcpHost, TcpScenario};
pub use seeds::{
    Make, TcpReport, run_tcp_logged, run_tcp_scenario, run_tcp_seed, run_tcp_seeds,
    shrink_tcp_failure,
};
