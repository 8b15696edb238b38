//! A model of a bad network path: loss, delay, jitter, reordering, duplication, corruption, rate and queue.
//!
//! A [`Profile`] says how bad the path is; it is what `--impair` takes. A [`Link`] is one direction of such a path: it takes
//! datagrams with the time they were sent, and gives them back when they arrive, if they arrive. There is no socket and no clock
//! in it, so the same model spoils a program's real datagrams and drives a simulator in virtual time. What happens depends on the
//! profile, its seed, and the order and times of the datagrams, and on nothing else: a run can be repeated on any platform.
//!
//! ```
//! use gapless_link::{Link, Profile};
//!
//! let profile: Profile = "delay=20ms,rate=10mbit".parse()?;
//! let mut link = Link::new(&profile, 0);
//! link.send(0, b"a datagram", "its address");
//! let due = link.next_delivery().expect("nothing is lost on this link");
//! assert!(due > 20_000_000);
//! let delivery = link.poll(due).expect("it is due");
//! assert_eq!((&delivery.payload[..], delivery.tag), (&b"a datagram"[..], "its address"));
//! # Ok::<(), gapless_link::ParseError>(())
//! ```
//!
//! # The way of a datagram
//!
//! In this order, and each datagram takes it alone:
//!
//! 1. **mtu**: a packet larger than the path allows is dropped, as by a router that may not fragment.
//! 2. **blackout**: what is sent while the path is down is lost.
//! 3. **rate, queue, aqm, cross**: the packet waits for the bottleneck, among those of others (`cross`); when the queue has no room
//!    for it, it is dropped at the tail. With `aqm=codel` those are dropped, too, that wait too long (RFC 8289).
//! 4. **loss, burst, within, stray**: chance takes it.
//! 5. **corrupt, truncate**: it is damaged. The receiver's UDP checksum finds that and the datagram is dropped, see below.
//! 6. **delay, spike, jitter**: it travels. Jitter keeps the order: a packet never overtakes one before it, it waits behind it, as it
//!    would in the queue that made the jitter. With `order=free` each comes in its own time.
//! 7. **reorder**: a share of the packets is held back without those behind waiting for it, so these overtake it.
//! 8. **duplicate**: a share of the packets arrives a second time, later.
//!
//! # Why a corrupted datagram does not arrive
//!
//! UDX has no checksum of its own; it lives on UDP's, which covers the whole datagram. Damage on a real path therefore reaches a
//! UDP socket as a loss (one damaged datagram in 65,536 would pass if the damage were random; link layers leave far less).
//! So that is what `corrupt` and `truncate` do, and such datagrams are counted apart from the lost ones. A model that handed
//! damaged datagrams to the application would test a network that nobody has: an unauthenticated transport cannot notice
//! changed stream bytes, and an authenticated one above it would rightly end the connection.
//!
//! For testing that nothing which arrives can hurt (no panic, no unbounded memory) there is `checksum=off`
//! ([`Profile::checksum`]): then damaged datagrams are delivered as they are. No promise about the bytes holds on such a link.
#![forbid(unsafe_code)]

mod bottleneck;
mod codel;
mod link;
mod parse;
mod print;
mod profile;
mod random;

pub use link::{Counters, Delivery, Link};
pub use parse::ParseError;
pub use profile::{Aqm, Blackout, Cross, HEADER_BYTES, Profile, Queue, Share, Spike};
pub use random::Random;
