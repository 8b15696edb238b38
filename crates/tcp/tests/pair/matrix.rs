//! Every state against every kind of segment: nothing panics, the rules hold, and afterwards the real peer finishes the transfer, or both
//! sides know that it failed.

use super::support::{Link, Pair, Random, Side, pattern};
use gapless_tcp::wire::{Flags, Header, Options};
use gapless_tcp::{Config, KeepAlive, State};
use std::time::Duration;

/// Where the forged segment meets the engine.
#[derive(Clone, Copy, Debug)]
struct Place {
    state: State,
    /// Which side is under test: 0 dialed.
    side: usize,
    /// Octets that each side has to write.
    writes: [usize; 2],
    /// Which sides shut down when they have written.
    shuts: [bool; 2],
}

const fn place(state: State, side: usize, writes: [usize; 2], shuts: [bool; 2]) -> Place {
    Place {
        state,
        side,
        writes,
        shuts,
    }
}

const PLACES: [Place; 15] = [
    place(State::SynSent, 0, [3000, 3000], [true, true]),
    place(State::SynReceived, 1, [3000, 3000], [true, true]),
    place(State::Established, 0, [0, 0], [false, false]),
    place(State::Established, 0, [30_000, 0], [false, false]),
    place(State::Established, 1, [30_000, 30_000], [false, false]),
    place(State::FinWait1, 0, [0, 0], [true, false]),
    place(State::FinWait1, 0, [5000, 5000], [true, false]),
    place(State::FinWait2, 0, [5000, 0], [true, false]),
    place(State::CloseWait, 1, [100, 20_000], [true, false]),
    place(State::CloseWait, 1, [100, 0], [true, false]),
    place(State::Closing, 0, [0, 0], [true, true]),
    place(State::Closing, 0, [700, 700], [true, true]),
    place(State::LastAck, 1, [100, 5000], [true, true]),
    place(State::TimeWait, 0, [100, 0], [true, true]),
    place(State::Established, 1, [0, 2000], [false, false]),
];

const STARTS: [(u32, u32); 3] = [(100, 0), (u32::MAX - 700, (1 << 31) - 2), (u32::MAX, 1)];

fn reach(place: Place, config: &Config, starts: (u32, u32)) -> Pair {
    let mut sides = [0, 1].map(|side| {
        let start = [starts.0, starts.1][side];
        let writes = pattern(side as u64, place.writes[side]);
        Side::new(config.clone(), start, writes)
    });
    sides.iter_mut().for_each(|side| side.shuts = false);
    let mut pair = Pair::new(Link::CLEAN, 1, sides);
    if place.state.is_synchronized() {
        pair.run_until(Duration::from_secs(10), |pair| {
            (0..2).all(|side| pair.state(side) == Some(State::Established))
        });
    }
    pair.sides[0].shuts = place.shuts[0];
    if place.state == State::LastAck {
        pair.run_until(Duration::from_secs(10), |pair| {
            pair.state(1) == Some(State::CloseWait)
        });
    }
    pair.sides[1].shuts = place.shuts[1];
    pair.run_until(Duration::from_secs(10), |pair| {
        pair.state(place.side) == Some(place.state)
    });
    pair
}

/// Offsets around the numbers that mean something.
const SEQUENCES: [i64; 9] = [
    -(1 << 31),
    -70_000,
    -1,
    0,
    1,
    1447,
    65_534,
    1 << 20,
    1 << 30,
];
const ACKNOWLEDGMENTS: [i64; 9] = [-(1 << 31), -70_000, -1, 0, 1, 1448, 14_480, 30_001, 1 << 30];
const WINDOWS: [u16; 4] = [0, 1, 500, 65_535];
const LENGTHS: [usize; 4] = [0, 1, 1448, 70_000];

/// A forged segment: its control bits, and where its fields lie.
#[derive(Clone, Copy, Debug)]
struct Forged {
    flags: u8,
    sequence: i64,
    acknowledgment: i64,
    window: u16,
    length: usize,
    stamped: bool,
}

fn forge(random: &mut Random) -> Forged {
    let mut pick = |count: usize| random.below(count as u64) as usize;
    Forged {
        flags: pick(64) as u8,
        sequence: SEQUENCES[pick(SEQUENCES.len())],
        acknowledgment: ACKNOWLEDGMENTS[pick(ACKNOWLEDGMENTS.len())],
        window: WINDOWS[pick(WINDOWS.len())],
        length: LENGTHS[pick(LENGTHS.len())],
        stamped: pick(2) == 0,
    }
}

/// Hands the forged segment over and lets the real peer go on.
fn try_one(place: Place, config: &Config, starts: (u32, u32), forged: Forged) {
    let mut pair = reach(place, config, starts);
    let [next, una] = pair.sides[place.side]
        .connection
        .as_ref()
        .map(|connection| connection.numbers_for_tests())
        .unwrap();
    let header = Header {
        source_port: 0,
        destination_port: 0,
        sequence: (next.wrapping_add(forged.sequence as u32)).into(),
        acknowledgment: (una.wrapping_add(forged.acknowledgment as u32)).into(),
        flags: Flags::from_octet(forged.flags),
        window: forged.window,
        urgent: 1,
        options: Options {
            timestamps: pair.sides[place.side]
                .connection
                .as_ref()
                .filter(|_| forged.stamped)
                .and_then(|connection| connection.stamps_for_tests()),
            ..Options::NONE
        },
    };
    let payload = vec![0x55; forged.length];
    pair.inject(place.side, &header, &payload);
    for side in &mut pair.sides {
        side.shuts = true;
    }
    let took = forged.length > 0 || header.flags.has(Flags::FIN);
    pair.run_until(Duration::from_secs(3000), |pair| {
        (0..2).all(|side| {
            let over = matches!(pair.state(side), Some(State::Closed) | None);
            over || pair.sides[side].failed.is_some()
        })
    });
    if !took && pair.sides.iter().all(|side| side.failed.is_none()) {
        for side in 0..2 {
            assert_eq!(pair.sides[side].read, pair.sides[1 - side].to_write);
        }
    }
}

#[test]
fn every_state_survives_every_kind_of_segment() {
    let config = Config {
        user_timeout: Some(Duration::from_secs(100)),
        // Who was made to believe in octets that the peer never sent learns of it by asking.
        keep_alive: Some(KeepAlive {
            idle: Duration::from_secs(50),
            interval: Duration::from_secs(10),
            probes: 3,
        }),
        ..Config::default()
    };
    let bare = Config {
        timestamps: false,
        sack: false,
        ..config.clone()
    };
    for (index, place) in PLACES.into_iter().enumerate() {
        let mut random = Random(index as u64);
        for round in 0..400_usize {
            let forged = forge(&mut random);
            let config = if round % 2 == 0 { &config } else { &bare };
            let starts = STARTS[round % 3];
            let run = std::panic::AssertUnwindSafe(|| try_one(place, config, starts, forged));
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("{place:?}\n{forged:?}\nstarts {starts:?} round {round}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}
