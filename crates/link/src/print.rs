use crate::profile::{Aqm, Blackout, Cross, Profile, Queue, Share, Spike};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

impl Display for Profile {
    /// What differs from the perfect path, in the form that is read back as the same profile; nothing for the perfect path.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            loss,
            burst,
            within,
            stray,
            delay,
            jitter,
            keeps_order,
            spikes,
            reorder,
            duplicate,
            corrupt,
            truncate,
            rate,
            queue,
            aqm,
            cross,
            mtu,
            blackouts,
            checksum,
            seed,
        } = self;
        let mut pairs = Pairs { f, first: true };
        let some = |share: &Share| (*share != Share::NONE).then_some(*share);
        let lasting = |time: &Duration| (!time.is_zero()).then_some(Time(*time));
        pairs.pair("loss", some(loss))?;
        pairs.pair("burst", *burst)?;
        pairs.pair("within", (*within != Share::ALL).then_some(*within))?;
        pairs.pair("stray", some(stray))?;
        pairs.pair("delay", lasting(delay))?;
        pairs.pair("jitter", lasting(jitter))?;
        pairs.pair("order", (!keeps_order).then_some("free"))?;
        pairs.pair("spike", (!spikes.is_empty()).then_some(Joined(spikes)))?;
        pairs.pair("reorder", some(reorder))?;
        pairs.pair("duplicate", some(duplicate))?;
        pairs.pair("corrupt", some(corrupt))?;
        pairs.pair("truncate", some(truncate))?;
        pairs.pair("rate", rate.map(Rate))?;
        pairs.pair("queue", *queue)?;
        pairs.pair("aqm", (*aqm == Aqm::Codel).then_some("codel"))?;
        pairs.pair("cross", *cross)?;
        pairs.pair("mtu", *mtu)?;
        pairs.pair(
            "blackout",
            (!blackouts.is_empty()).then_some(Joined(blackouts)),
        )?;
        pairs.pair("checksum", (!checksum).then_some("off"))?;
        pairs.pair("seed", (*seed != 0).then_some(*seed))
    }
}

impl Display for Share {
    /// In percent, as in `0.1%`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whole = self.millionths() / 10_000;
        let fraction = format!("{:04}", self.millionths() % 10_000);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            digits => write!(f, "{whole}.{digits}%"),
        }
    }
}

impl Display for Queue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) => scaled(f, bytes, &[("mib", 1 << 20), ("kib", 1 << 10), ("b", 1)]),
            Self::Time(time) => Time(time).fmt(f),
        }
    }
}

impl Display for Blackout {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", Time(self.from), Time(self.length))
    }
}

impl Display for Spike {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.time, Time(self.adds))
    }
}

impl Display for Cross {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Rate(self.rate).fmt(f)?;
        match self.bursts {
            Some((on, off)) => write!(f, ":{}+{}", Time(on), Time(off)),
            None => Ok(()),
        }
    }
}

struct Pairs<'a, 'b> {
    f: &'a mut Formatter<'b>,
    first: bool,
}

impl Pairs<'_, '_> {
    fn pair(&mut self, key: &str, value: Option<impl Display>) -> fmt::Result {
        let Some(value) = value else {
            return Ok(());
        };
        let comma = if self.first { "" } else { "," };
        self.first = false;
        write!(self.f, "{comma}{key}={value}")
    }
}

struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        scaled(
            f,
            nanos,
            &[
                ("s", 1_000_000_000),
                ("ms", 1_000_000),
                ("us", 1_000),
                ("ns", 1),
            ],
        )
    }
}

struct Rate(u64);

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        scaled(
            f,
            self.0,
            &[
                ("gbit", 1_000_000_000),
                ("mbit", 1_000_000),
                ("kbit", 1_000),
                ("bit", 1),
            ],
        )
    }
}

struct Joined<'a, T>(&'a [T]);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            let slash = if index == 0 { "" } else { "/" };
            write!(f, "{slash}{one}")?;
        }
        Ok(())
    }
}

/// In the largest unit that needs no fraction. The last unit has scale 1.
fn scaled(f: &mut Formatter<'_>, number: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits =
        |&&(_, scale): &&(&str, u64)| number.is_multiple_of(scale) && (number != 0 || scale == 1);
    match units.iter().find(fits) {
        Some((unit, scale)) => write!(f, "{}{unit}", number / scale),
        None => write!(f, "{number}"),
    }
}
