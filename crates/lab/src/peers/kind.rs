//! The implementations that have a model, by name.

use super::Foreign;
use super::dart::{Dart, Release};
use super::go::{Generation, Go};
use super::js::{Js, Options};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// An implementation and its state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// go-udx of version 2, to 2026-02-28.
    GoV2Early,
    /// go-udx of version 2, about August 2026.
    GoV2Late,
    /// go-udx of version 3, to v0.1.2: it does not acknowledge PING.
    GoV3Old,
    /// go-udx of version 3, from v0.1.3.
    GoV3,
    /// dart-udx, of either version.
    Dart(Release),
    /// js-udx, October 2026, with its defaults: no keep-alive, no stateless resets.
    Js,
}

/// A socket of that kind. The seed gives its IDs.
pub fn foreign(kind: Kind, seed: u64) -> Box<dyn Foreign + Send> {
    let go = |generation| Box::new(Go::new(generation, seed));
    match kind {
        Kind::GoV2Early => go(Generation::V2Early),
        Kind::GoV2Late => go(Generation::V2Late),
        Kind::GoV3Old => go(Generation::V3 {
            acknowledges_ping: false,
        }),
        Kind::GoV3 => go(Generation::V3 {
            acknowledges_ping: true,
        }),
        Kind::Dart(release) => Box::new(Dart::new(release, seed)),
        Kind::Js => Box::new(Js::new(Options::default(), seed)),
    }
}

impl Kind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|&(kind, _)| kind)
    }

    /// As on the command line.
    pub fn name(self) -> &'static str {
        let named = NAMES.iter().find(|&&(kind, _)| kind == self);
        named.map_or("?", |&(_, name)| name)
    }

    /// The wire version it speaks.
    pub fn version(self) -> u32 {
        match self {
            Self::GoV2Early | Self::GoV2Late => 2,
            Self::GoV3Old | Self::GoV3 | Self::Js => 3,
            Self::Dart(release) => release.version(),
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let named = NAMES.iter().find(|&&(_, name)| name == text);
        named.map(|&(kind, _)| kind).ok_or(UnknownKind)
    }
}

/// No implementation is called so. Its words list those that are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownKind;

impl Display for UnknownKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Kind::all().map(Kind::name).collect();
        write!(f, "there is no such peer; there are {}", names.join(", "))
    }
}

impl std::error::Error for UnknownKind {}

const NAMES: &[(Kind, &str)] = &[
    (Kind::GoV2Early, "go-v2-early"),
    (Kind::GoV2Late, "go-v2-late"),
    (Kind::GoV3Old, "go-v3-old"),
    (Kind::GoV3, "go-v3"),
    (Kind::Dart(Release::Before200), "dart-before-2.0.0"),
    (Kind::Dart(Release::V200), "dart-2.0.0"),
    (Kind::Dart(Release::V201), "dart-2.0.1"),
    (Kind::Dart(Release::V202), "dart-2.0.2"),
    (Kind::Dart(Release::V203), "dart-2.0.3"),
    (Kind::Dart(Release::V203Repaired), "dart-2.0.3-repaired"),
    (Kind::Dart(Release::V203Probing), "dart-2.0.3-probing"),
    (Kind::Dart(Release::V300), "dart-3.0.0"),
    (Kind::Dart(Release::V310), "dart-3.1.0"),
    (Kind::Js, "js"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        for kind in Kind::all() {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("node".parse::<Kind>(), Err(UnknownKind));
        assert!(UnknownKind.to_string().contains("go-v2-early, go-v2-late"));
    }
}
