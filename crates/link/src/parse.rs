use crate::profile::{Aqm, Blackout, Cross, Profile, Queue, Share, Spike};
use std::str::FromStr;
use std::time::Duration;

/// Why a text is not a [`Profile`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// There is no impairment of this name.
    #[error("unknown impairment `{key}`; known are {KEYS}")]
    UnknownKey {
        /// As given.
        key: String,
    },
    /// A key stands without `=`.
    #[error("`{key}` needs a value: {key}={example}")]
    MissingValue {
        /// As given.
        key: String,
        /// A value that would do.
        example: &'static str,
    },
    /// A key stands twice.
    #[error("`{key}` is given twice")]
    Repeated {
        /// As given.
        key: String,
    },
    /// The value cannot be read or lies out of range.
    #[error("`{value}` does not do for `{key}`, which takes {expected}")]
    BadValue {
        /// As given.
        key: String,
        /// As given.
        value: String,
        /// What the key takes.
        expected: &'static str,
    },
    /// Two commas in a row, or one at an end.
    #[error("there is nothing between two commas, or after the last")]
    Empty,
    /// A queue waits before a bottleneck, and there is none.
    #[error("`queue` needs `rate`: without a bottleneck nothing waits")]
    QueueWithoutRate,
    /// A queue that is managed waits before a bottleneck, and there is none.
    #[error("`aqm` needs `rate`: without a bottleneck nothing waits")]
    AqmWithoutRate,
    /// Others fill a bottleneck, and there is none.
    #[error("`cross` needs `rate`: without a bottleneck nobody is in the way")]
    CrossWithoutRate,
    /// The order is that of the times, and all take the same.
    #[error("`order=free` needs `jitter`: all take the same time otherwise")]
    OrderWithoutJitter,
    /// Some of a burst is lost, and there are no bursts.
    #[error("`{key}` needs `burst`: it says what is lost in one, or between two")]
    NeedsBurst {
        /// As given.
        key: &'static str,
    },
    /// Not so much is lost if only that share of the bad datagrams is.
    #[error("`within` has to be larger than `loss`, which is all that is lost in bursts")]
    LossAboveWithin,
    /// Bursts need a loss to be made of.
    #[error("`burst` needs `loss`: it says how many are lost in a row")]
    BurstWithoutLoss,
    /// With bursts this short, so many cannot be lost.
    #[error(
        "so much loss does not come in bursts of {burst} on average: at least {needed} are needed"
    )]
    BurstTooShort {
        /// As given.
        burst: u32,
        /// The smallest that does.
        needed: u32,
    },
    /// Checksums are switched off for damaged datagrams, and none will be damaged.
    #[error(
        "`checksum=off` needs `corrupt` or `truncate`: otherwise there is no damage to deliver"
    )]
    ChecksumWithoutDamage,
}

impl FromStr for Profile {
    type Err = ParseError;

    /// Reads `key=value` pairs joined by commas; the keys are in the table at [`Profile`]. Spaces around pairs do not matter. The
    /// empty text is the perfect path.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut profile = Self::default();
        if text.trim().is_empty() {
            return Ok(profile);
        }
        let mut seen = Vec::new();
        for pair in text.split(',').map(str::trim) {
            if pair.is_empty() {
                return Err(ParseError::Empty);
            }
            let (key, value) = match pair.split_once('=') {
                Some((key, value)) => (key.trim_end(), Some(value.trim_start())),
                None => (pair, None),
            };
            let Some(kind) = KINDS.iter().find(|kind| kind.key == key) else {
                return Err(ParseError::UnknownKey { key: key.into() });
            };
            if seen.contains(&key) {
                return Err(ParseError::Repeated { key: key.into() });
            }
            seen.push(key);
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                return Err(ParseError::MissingValue {
                    key: key.into(),
                    example: kind.example,
                });
            };
            (kind.read)(&mut profile, value).ok_or_else(|| ParseError::BadValue {
                key: key.into(),
                value: value.into(),
                expected: kind.expected,
            })?;
        }
        check_together(&profile)?;
        Ok(profile)
    }
}

/// What makes sense for each key alone can still be nonsense together.
fn check_together(profile: &Profile) -> Result<(), ParseError> {
    if profile.queue.is_some() && profile.rate.is_none() {
        return Err(ParseError::QueueWithoutRate);
    }
    if !profile.checksum && profile.corrupt == Share::NONE && profile.truncate == Share::NONE {
        return Err(ParseError::ChecksumWithoutDamage);
    }
    if profile.aqm != Aqm::DropTail && profile.rate.is_none() {
        return Err(ParseError::AqmWithoutRate);
    }
    if profile.cross.is_some() && profile.rate.is_none() {
        return Err(ParseError::CrossWithoutRate);
    }
    if !profile.keeps_order && profile.jitter.is_zero() {
        return Err(ParseError::OrderWithoutJitter);
    }
    let Some(burst) = profile.burst else {
        return match (profile.within, profile.stray) {
            (Share::ALL, Share::NONE) => Ok(()),
            (Share::ALL, _) => Err(ParseError::NeedsBurst { key: "stray" }),
            _ => Err(ParseError::NeedsBurst { key: "within" }),
        };
    };
    if profile.loss == Share::NONE {
        return Err(ParseError::BurstWithoutLoss);
    }
    // Between two bursts lies one good datagram at least, so at most burst / (burst + 1) are bad, of which `within` is lost.
    let lost = profile.loss.millionths();
    let within = profile.within.millionths();
    let Some(not_bad) = within.checked_sub(lost) else {
        return Err(ParseError::LossAboveWithin);
    };
    let needed = if not_bad == 0 {
        0 // all are bad, and the lengths of bursts mean nothing
    } else {
        lost.div_ceil(not_bad)
    };
    if burst < needed {
        return Err(ParseError::BurstTooShort { burst, needed });
    }
    Ok(())
}

struct Kind {
    key: &'static str,
    example: &'static str,
    expected: &'static str,
    read: fn(&mut Profile, &str) -> Option<()>,
}

const KEYS: &str = "loss, burst, within, stray, delay, jitter, order, spike, reorder, duplicate, corrupt, truncate, rate, queue, aqm, cross, mtu, blackout, checksum, seed";
const SHARE: &str = "a share from 0% to 100% in steps of 0.0001%, such as 2%";
const TIME: &str = "a time from 0s to 1000s, such as 20ms (units ns, us, ms, s)";

const KINDS: &[Kind] = &[
    Kind {
        key: "loss",
        example: "2%",
        expected: SHARE,
        read: |p, v| set(&mut p.loss, share(v)),
    },
    Kind {
        key: "burst",
        example: "4",
        expected: "a mean number of datagrams from 1 to 1000000",
        read: |p, v| set(&mut p.burst, whole(v, 1, 1_000_000).map(Some)),
    },
    Kind {
        key: "within",
        example: "60%",
        expected: SHARE,
        read: |p, v| set(&mut p.within, share(v)),
    },
    Kind {
        key: "stray",
        example: "0.1%",
        expected: SHARE,
        read: |p, v| set(&mut p.stray, share(v)),
    },
    Kind {
        key: "delay",
        example: "20ms",
        expected: TIME,
        read: |p, v| set(&mut p.delay, time(v)),
    },
    Kind {
        key: "jitter",
        example: "5ms",
        expected: TIME,
        read: |p, v| set(&mut p.jitter, time(v)),
    },
    Kind {
        key: "order",
        example: "free",
        expected: "kept or free",
        read: |p, v| {
            set(
                &mut p.keeps_order,
                match v {
                    "kept" => Some(true),
                    "free" => Some(false),
                    _ => None,
                },
            )
        },
    },
    Kind {
        key: "spike",
        example: "5s+500ms:2s",
        expected: "a beginning, a length and what it adds, such as 5s+500ms:2s, several joined by /",
        read: |p, v| set(&mut p.spikes, v.split('/').map(spike).collect()),
    },
    Kind {
        key: "reorder",
        example: "1%",
        expected: SHARE,
        read: |p, v| set(&mut p.reorder, share(v)),
    },
    Kind {
        key: "duplicate",
        example: "1%",
        expected: SHARE,
        read: |p, v| set(&mut p.duplicate, share(v)),
    },
    Kind {
        key: "corrupt",
        example: "0.1%",
        expected: SHARE,
        read: |p, v| set(&mut p.corrupt, share(v)),
    },
    Kind {
        key: "truncate",
        example: "0.1%",
        expected: SHARE,
        read: |p, v| set(&mut p.truncate, share(v)),
    },
    Kind {
        key: "rate",
        example: "50mbit",
        expected: "bits per second from 1kbit to 1000gbit, such as 50mbit (units bit, kbit, mbit, gbit)",
        read: |p, v| set(&mut p.rate, rate(v).map(Some)),
    },
    Kind {
        key: "queue",
        example: "100ms",
        expected: "a time such as 100ms or a size such as 64kib (units b, kb, mb, kib, mib), up to 1000s or 1000mb",
        read: |p, v| set(&mut p.queue, queue(v).map(Some)),
    },
    Kind {
        key: "aqm",
        example: "codel",
        expected: "codel or tail",
        read: |p, v| {
            set(
                &mut p.aqm,
                match v {
                    "codel" => Some(Aqm::Codel),
                    "tail" => Some(Aqm::DropTail),
                    _ => None,
                },
            )
        },
    },
    Kind {
        key: "cross",
        example: "5mbit",
        expected: "a rate such as 5mbit, or with times on and off such as 5mbit:200ms+300ms, of 1ms at least",
        read: |p, v| set(&mut p.cross, cross(v).map(Some)),
    },
    Kind {
        key: "mtu",
        example: "1500",
        expected: "bytes from 68 to 65535, IP and UDP headers included",
        read: |p, v| set(&mut p.mtu, whole(v, 68, 65_535).map(Some)), // RFC 791: 68 passes everywhere
    },
    Kind {
        key: "blackout",
        example: "5s+2s",
        expected: "a beginning and a length, such as 5s+2s, several joined by /",
        read: |p, v| set(&mut p.blackouts, v.split('/').map(blackout).collect()),
    },
    Kind {
        key: "checksum",
        example: "off",
        expected: "on or off",
        read: |p, v| {
            set(
                &mut p.checksum,
                match v {
                    "on" => Some(true),
                    "off" => Some(false),
                    _ => None,
                },
            )
        },
    },
    Kind {
        key: "seed",
        example: "7",
        expected: "a whole number below 2^64",
        read: |p, v| set(&mut p.seed, whole(v, 0, u64::MAX)),
    },
];

fn set<T>(field: &mut T, value: Option<T>) -> Option<()> {
    *field = value?;
    Some(())
}

fn whole<T: TryFrom<u64>>(text: &str, low: u64, high: u64) -> Option<T> {
    let number = decimal(text, 1)?;
    if !(low..=high).contains(&number) {
        return None;
    }
    T::try_from(number).ok()
}

fn share(text: &str) -> Option<Share> {
    let millionths = match text.strip_suffix('%') {
        Some(percent) => decimal(percent.trim_end(), 10_000)?,
        None if text == "0" => 0,
        // "2" and "0.02" are both read as either by somebody: the sign is asked for.
        None => return None,
    };
    (millionths <= Share::ALL.millionths().into())
        .then(|| Share::from_millionths(u32::try_from(millionths).unwrap_or(u32::MAX)))
}

fn time(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let units = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
    ];
    let time = Duration::from_nanos(with_unit(text, &units)?);
    (time <= Duration::from_secs(1000)).then_some(time)
}

fn rate(text: &str) -> Option<u64> {
    let units = [
        ("kbit", 1_000),
        ("mbit", 1_000_000),
        ("gbit", 1_000_000_000),
        ("bit", 1),
    ];
    let rate = with_unit(text, &units)?;
    (1_000..=1_000_000_000_000).contains(&rate).then_some(rate)
}

fn queue(text: &str) -> Option<Queue> {
    if let Some(time) = time(text) {
        return Some(Queue::Time(time));
    }
    let units = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("b", 1),
    ];
    let bytes = with_unit(text, &units)?;
    (bytes <= 1_000_000_000).then_some(Queue::Bytes(bytes))
}

fn blackout(text: &str) -> Option<Blackout> {
    let (from, length) = text.split_once('+')?;
    Some(Blackout {
        from: time(from)?,
        length: time(length)?,
    })
}

fn spike(text: &str) -> Option<Spike> {
    let (when, adds) = text.split_once(':')?;
    Some(Spike {
        time: blackout(when)?,
        adds: time(adds)?,
    })
}

fn cross(text: &str) -> Option<Cross> {
    let Some((each, bursts)) = text.split_once(':') else {
        return Some(Cross {
            rate: rate(text)?,
            bursts: None,
        });
    };
    let (on, off) = bursts.split_once('+')?;
    let (on, off) = (time(on)?, time(off)?);
    // Shorter than that is no burst, and would only take time.
    (on.min(off) >= Duration::from_millis(1)).then_some(Cross {
        rate: rate(each)?,
        bursts: Some((on, off)),
    })
}

/// The first unit that the text ends with counts: longer names stand before those that end them.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, scale) = units
        .iter()
        .find_map(|&(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    decimal(number.trim_end(), scale)
}

/// A decimal number times `scale`, exactly; `None` if that is not whole or does not fit.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| {
        (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u64>().ok())
            .flatten()
    };
    let base = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = digits(fraction)?.checked_mul(scale)?;
    if !scaled.is_multiple_of(base) {
        return None;
    }
    digits(whole)?
        .checked_mul(scale)?
        .checked_add(scaled / base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_named_in_the_error_that_lists_them() {
        let listed: Vec<&str> = KEYS.split(", ").collect();
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.key).collect();
        assert_eq!(listed, known);
    }

    #[test]
    fn every_example_is_accepted() {
        for kind in KINDS {
            let mut profile = Profile::default();
            assert!(
                (kind.read)(&mut profile, kind.example).is_some(),
                "{}",
                kind.key
            );
            assert_ne!(profile, Profile::default(), "{}", kind.key);
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal("2", 10_000), Some(20_000));
        assert_eq!(decimal("0.07", 10_000), Some(700));
        assert_eq!(decimal("1.50", 10), Some(15));
        assert_eq!(decimal("18446744073709551615", 1), Some(u64::MAX));
        for refused in [
            "",
            ".",
            ".5",
            "5.",
            "-1",
            "+1",
            "1e3",
            "0x1",
            " 1",
            "0.00001",
            "1.2.3",
            "18446744073709551616",
        ] {
            assert_eq!(decimal(refused, 10_000), None, "{refused}");
        }
    }
}
