//! The order of packets in small worlds.

mod exhaustive_order;
