//! Parts of a connection in small worlds.

mod exhaustive_acks;
