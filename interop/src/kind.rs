//! The implementations that the table knows.

use crate::plan::Choice;
use gapless_lab::peers;

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

/// A model, with its name in the table and the version of the wire that it speaks.
type Model = (peers::Kind, &'static str, Choice);

/// The models.
const MODELS: [Model; 4] = [
    (peers::Kind::GoV3, "model-go-v3", Choice::V3),
    (peers::Kind::GoV3Old, "model-go-v3-old", Choice::V3),
    (peers::Kind::GoV2Late, "model-go-v2-late", Choice::V2),
    (peers::Kind::GoV2Early, "model-go-v2-early", Choice::V2),
];

fn model(kind: peers::Kind) -> Option<&'static Model> {
    MODELS.iter().find(|(known, _, _)| *known == kind)
}

impl Kind {
    pub(crate) fn all() -> Vec<Self> {
        let models = MODELS.iter().map(|(kind, _, _)| Self::Model(*kind));
        [Self::Own]
            .into_iter()
            .chain(Go::ALL.into_iter().map(Self::Program))
            .chain(models)
            .collect()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "gapless",
            Self::Program(Go::V3) => "go-udx-v3",
            Self::Program(Go::V2Late) => "go-udx-v2-late",
            Self::Program(Go::V2Early) => "go-udx-v2-early",
            Self::Model(kind) => model(kind).map_or("model", |(_, name, _)| name),
        }
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
            Self::Model(kind) => model(kind).map_or(&[], |(_, _, wire)| std::slice::from_ref(wire)),
        }
    }
}
