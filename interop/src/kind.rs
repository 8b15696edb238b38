//! The implementations that the table knows.

use crate::plan::Choice;
use gapless_lab::peers::{self, dart::Release};

/// An implementation that ours talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This one, in another process.
    Own,
    /// The lab's model of a foreign one.
    Model(peers::Kind),
    /// A foreign one itself.
    Program(Go),
}

/// A version of go-udx, itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    V3,
    V2Early,
    V2Late,
}

impl Go {
    const ALL: [Self; 3] = [Self::V3, Self::V2Late, Self::V2Early];
}

/// Models that the lab has for the sake of one defect. Nobody in the field speaks so (UDX2 1), and the lab shows what becomes of them.
const ONLY_FOR_THE_LAB: [Release; 2] = [Release::Before200, Release::V203Probing];

impl Kind {
    pub(crate) fn all() -> Vec<Self> {
        let models = peers::Kind::all().filter(|kind| match kind {
            peers::Kind::Dart(release) => !ONLY_FOR_THE_LAB.contains(release),
            _ => true,
        });
        [Self::Own]
            .into_iter()
            .chain(Go::ALL.into_iter().map(Self::Program))
            .chain(models.map(Self::Model))
            .collect()
    }

    pub(crate) fn name(self) -> String {
        let name = match self {
            Self::Own => "gapless",
            Self::Program(Go::V3) => "go-udx-v3",
            Self::Program(Go::V2Late) => "go-udx-v2-late",
            Self::Program(Go::V2Early) => "go-udx-v2-early",
            Self::Model(kind) => return format!("model-{}", kind.name()),
        };
        name.to_owned()
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|kind| kind.name() == name)
    }

    /// The version of the wire that it speaks; our own kind speaks both.
    pub(crate) fn wire(self) -> &'static [Choice] {
        match self {
            Self::Own => &[Choice::V3, Choice::V2],
            Self::Program(Go::V3) => &[Choice::V3],
            Self::Program(Go::V2Late | Go::V2Early) => &[Choice::V2],
            Self::Model(kind) if kind.version() == 2 => &[Choice::V2],
            Self::Model(_) => &[Choice::V3],
        }
    }
}
