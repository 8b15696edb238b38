//! Our engine beside every model, in both roles, over links that lose, reorder, duplicate and delay: whatever the peer's defects, our side
//! has everything or says why not. Nothing that was delivered is damaged.

use crate::table::{End, Table, Talk};
use gapless_lab::peers::Kind;
use gapless_link::{Profile, Random};
use gapless_udx::{Version, VersionChoice};
use std::collections::BTreeMap;
use std::time::Duration;

/// How our side's run ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Both sides have all.
    Delivered,
    /// Our side was told why not.
    Refused(String),
    /// UDX 5: a Dart of version 3 that has lost so much that it sends one fragment every 30 s. It still does.
    Declined,
}

struct Plan {
    kind: Kind,
    seed: u64,
    ours_dials: bool,
    choice: VersionChoice,
    /// Ours first.
    writes: [usize; 2],
    pings: [Vec<Duration>; 2],
    profile: Profile,
}

impl Plan {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut random = Random::for_purpose(seed, 0x5eed);
        let known = if kind.version() == 2 {
            Version::V2
        } else {
            Version::V3
        };
        let choice = if random.below(2) == 0 {
            VersionChoice::Discover
        } else {
            VersionChoice::Only(known)
        };
        let mut writes = || match random.below(4) {
            0 => 0,
            1 => random.below(2000) as usize,
            2 => random.below(1_000_000) as usize,
            _ => random.below(100_000) as usize,
        };
        let mut writes = [writes(), writes()];
        let share = |random: &mut Random, most: u64| random.below(most + 1);
        let text = format!(
            "seed={seed},delay={}ms,loss={}%,reorder={}%,duplicate={}%",
            1 + share(&mut random, 60),
            share(&mut random, 10),
            share(&mut random, 10),
            share(&mut random, 10),
        );
        let ours_dials = random.below(2) == 0;
        if !ours_dials {
            // UDX 7.2: Go's stream that is closed without a write opens nothing.
            writes[1] = writes[1].max(1);
        }
        let pings = [(); 2].map(|()| {
            let count = random.below(3);
            let mut at: Vec<Duration> = (0..count)
                .map(|_| Duration::from_millis(random.below(2000)))
                .collect();
            at.sort_unstable();
            at
        });
        Self {
            kind,
            seed,
            pings,
            ours_dials,
            choice,
            writes,
            profile: text.parse().expect("a profile"),
        }
    }

    fn run(&self) -> Result<Outcome, String> {
        let ours = End::ours(self.seed as u8, self.choice);
        let mut ends = [ours, End::model(self.kind, self.seed)];
        let side = usize::from(!self.ours_dials);
        ends.rotate_left(side);
        let talk = |index: usize| Talk {
            writes: self.writes[index],
            pings: self.pings[index].clone(),
            ..Talk::default()
        };
        // The dialer sits first.
        let talks = [talk(side), talk(1 - side)];
        let mut table = Table::new(ends, talks, &self.profile);
        if !table.run(FAULTS) {
            table.set_profile(&"delay=5ms".parse().expect("a profile"));
            table.run(PATIENCE);
        }
        let describe = || {
            format!(
                "{} seed {}: we dial {} ({:?}), {:?}, {}: {:?}",
                self.kind,
                self.seed,
                self.ours_dials,
                self.choice,
                self.writes,
                self.profile,
                table.seen
            )
        };
        if table.seen.iter().any(|seen| !seen.is_intact) {
            return Err(format!("damaged: {}", describe()));
        }
        if let Some(error) = &table.seen[side].error {
            return Ok(Outcome::Refused(error.clone()));
        }
        if table.is_delivered() {
            return Ok(Outcome::Delivered);
        }
        let is_dart_3 = matches!(self.kind, Kind::Dart(_)) && self.kind.version() == 3;
        let comes = table.seen[side]
            .last_at
            .is_some_and(|at| at + FRAGMENT >= table.now);
        if is_dart_3 && !table.is_over(side) && comes {
            return Ok(Outcome::Declined);
        }
        Err(format!("silent: {}", describe()))
    }
}

/// A tally of the outcomes, and what must not be.
fn run_all(kinds: impl Iterator<Item = Kind>) -> BTreeMap<String, u32> {
    let mut tally = BTreeMap::new();
    let mut wrong = Vec::new();
    for kind in kinds {
        for seed in 0..seeds() {
            match Plan::new(kind, seed).run() {
                Ok(outcome) => *tally.entry(format!("{outcome:?}")).or_default() += 1,
                Err(problem) => wrong.push(problem),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    tally
}

/// `SEEDS=1000 cargo test …` runs so many of each kind.
fn seeds() -> u64 {
    let asked = std::env::var("SEEDS").ok();
    asked.map_or(SEEDS, |count| count.parse().expect("a number"))
}

/// Nothing that Go or JS do keeps anything from being delivered.
#[test]
fn ours_beside_go_and_js() {
    let kinds = Kind::all().filter(|kind| !matches!(kind, Kind::Dart(_)));
    let tally = run_all(kinds);
    assert_eq!(tally.len(), 1, "{tally:?}");
    assert!(tally.contains_key("Delivered"), "{tally:?}");
}

/// Numbers that Dart burns where nobody sees it are all that our side ever refuses.
#[test]
fn ours_beside_dart_2() {
    let tally =
        run_all(Kind::all().filter(|kind| matches!(kind, Kind::Dart(_)) && kind.version() == 2));
    let known = ["Delivered", "Refused(\"Closed: Some(MissingPacket)\")"];
    assert!(
        tally
            .keys()
            .all(|outcome| known.contains(&outcome.as_str())),
        "{tally:?}"
    );
    assert!(tally["Delivered"] > 3 * SEEDS as u32, "{tally:?}");
}

#[test]
fn ours_beside_dart_3() {
    let tally =
        run_all(Kind::all().filter(|kind| matches!(kind, Kind::Dart(_)) && kind.version() == 3));
    let known = ["Delivered", "Declined"];
    assert!(
        tally
            .keys()
            .all(|outcome| known.contains(&outcome.as_str())),
        "{tally:?}"
    );
    assert!(tally["Delivered"] > SEEDS as u32, "{tally:?}");
}

const FAULTS: Duration = Duration::from_secs(20);
/// More than a missing packet is waited for (UDX2 H17: 150 s), and than a peer of version 2 tries (128 s).
const PATIENCE: Duration = Duration::from_secs(400);
/// Between two fragments of a Dart that has declined (UDX 5: 30 s), and what the round trips add.
const FRAGMENT: Duration = Duration::from_secs(35);
/// Of each kind in every run of the tests.
const SEEDS: u64 = 20;
