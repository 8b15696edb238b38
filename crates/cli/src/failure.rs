//! What can go wrong, as a person and a script see it: cause, cure, exit code.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// A failed command.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which kind of failure.
    pub kind: Kind,
    /// What happened, and to what.
    pub cause: String,
    /// What to do about it.
    pub cure: Option<String>,
}

/// Kinds of failure, each with its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing below: a bug, or the system failed in an unusual way.
    Other,
    /// A URL, multiaddr or repository argument that cannot be used, or one without the peer's identity.
    Address,
    /// The identity file cannot be read, made or trusted.
    Identity,
    /// A local address that cannot be bound, or a host name that cannot be resolved.
    Network,
    /// Nobody answered.
    NoAnswer,
    /// The other side speaks no common version of UDX.
    Version,
    /// Somebody else answered than the URL names.
    WrongPeer,
    /// The peer does not offer what was asked for.
    Unsupported,
    /// The peer serves no repository of that name.
    UnknownRepository,
    /// The peer does not let us push.
    PushNotAllowed,
    /// The peer has no free slot.
    Busy,
    /// A `git` program is needed and missing, here or there.
    NoGit,
    /// The target directory exists and is not empty, or cannot be written.
    Target,
    /// The connection was lost in the middle.
    Connection,
    /// What was received is no sound repository, or git failed.
    Repository,
    /// A run of the lab broke one of its rules.
    Rule,
    /// Ctrl-C.
    Interrupted,
}

impl Kind {
    /// All kinds, in the order of their exit codes.
    pub const ALL: [Self; 17] = [
        Self::Other,
        Self::Address,
        Self::Identity,
        Self::Network,
        Self::NoAnswer,
        Self::Version,
        Self::WrongPeer,
        Self::Unsupported,
        Self::UnknownRepository,
        Self::PushNotAllowed,
        Self::Busy,
        Self::NoGit,
        Self::Target,
        Self::Connection,
        Self::Repository,
        Self::Rule,
        Self::Interrupted,
    ];

    /// The program's exit code. 0 is success, 2 a mistake in the command line (clap's).
    pub const fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Address => 3,
            Self::Identity => 4,
            Self::Network => 5,
            Self::NoAnswer => 6,
            Self::Version => 7,
            Self::WrongPeer => 8,
            Self::Unsupported => 9,
            Self::UnknownRepository => 10,
            Self::PushNotAllowed => 11,
            Self::Busy => 12,
            Self::NoGit => 13,
            Self::Target => 14,
            Self::Connection => 15,
            Self::Repository => 16,
            Self::Rule => 17,
            // As shells report a program that SIGINT ended.
            Self::Interrupted => 130,
        }
    }

    /// The name in `--json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Address => "address",
            Self::Identity => "identity",
            Self::Network => "network",
            Self::NoAnswer => "no-answer",
            Self::Version => "version",
            Self::WrongPeer => "wrong-peer",
            Self::Unsupported => "unsupported",
            Self::UnknownRepository => "unknown-repository",
            Self::PushNotAllowed => "push-not-allowed",
            Self::Busy => "busy",
            Self::NoGit => "no-git",
            Self::Target => "target",
            Self::Connection => "connection",
            Self::Repository => "repository",
            Self::Rule => "rule",
            Self::Interrupted => "interrupted",
        }
    }

    /// What the help says about the code.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Other => "any other failure",
            Self::Address => "an address cannot be used, or lacks the peer's identity",
            Self::Identity => "the identity file cannot be read, made or trusted",
            Self::Network => "a local address cannot be bound, or a name not resolved",
            Self::NoAnswer => "nobody answered",
            Self::Version => "the other side speaks no common version of UDX",
            Self::WrongPeer => "another peer answered than the one named",
            Self::Unsupported => "the peer does not offer what was asked for",
            Self::UnknownRepository => "the peer serves no repository of that name",
            Self::PushNotAllowed => "the peer does not allow the push",
            Self::Busy => "the peer is too busy",
            Self::NoGit => "no git is installed, here or there",
            Self::Target => "the target directory is not empty, or cannot be written",
            Self::Connection => "the connection was lost",
            Self::Repository => "what came is no sound repository, or git failed",
            Self::Rule => "a rule was broken in the lab",
            Self::Interrupted => "interrupted by Ctrl-C",
        }
    }
}

impl Failure {
    /// A failure for which there is nothing to advise.
    pub fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            cure: None,
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        self.kind.code().into()
    }

    /// One line for `--json`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "event": "error",
            "kind": self.kind.name(),
            "code": self.kind.code(),
            "cause": self.cause,
            "cure": self.cure,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.cause)?;
        match &self.cure {
            Some(cure) => write!(f, "\n       {cure}"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {}

/// An error and all its causes in one line, each only once: many errors repeat their source's words in their own.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = error.source();
    }
    text
}

/// What lies at the bottom of nested errors: the network layers wrap one in the other, and only the innermost says what happened.
pub fn deepest(error: &(dyn Error + 'static)) -> String {
    let words = chain(error).map(ToString::to_string);
    words
        .filter(|words| !words.is_empty())
        .last()
        .unwrap_or_default()
}

/// The error and what it contains. `io::Error` names the source of what it wraps, not the wrapped error itself.
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error))
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The table of exit codes, for the help.
pub fn exit_codes() -> String {
    let mut table =
        String::from("Exit codes:\n    0  success\n    2  a mistake in the command line\n");
    let mut kinds = Kind::ALL;
    kinds.sort_by_key(|kind| kind.code());
    for kind in kinds {
        table.push_str(&format!("  {:>3}  {}\n", kind.code(), kind.meaning()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_error_speaks() {
        let timeout = io::Error::new(io::ErrorKind::TimedOut, "nothing heard");
        let nested = io::Error::other(io::Error::other(timeout));
        assert_eq!(deepest(&nested), "nothing heard");
        assert_eq!(deepest(&fmt::Error), fmt::Error.to_string());
    }

    #[test]
    fn codes_and_names_are_distinct() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert!(![0, 2].contains(&kind.code()));
            for other in &Kind::ALL[index + 1..] {
                assert_ne!(kind.code(), other.code());
                assert_ne!(kind.name(), other.name());
            }
        }
    }

    #[test]
    fn the_readme_has_the_same_codes() {
        let readme = include_str!("../README.md");
        for kind in Kind::ALL {
            let row = format!(
                "| {} | `{}` | {} |",
                kind.code(),
                kind.name(),
                kind.meaning()
            );
            assert!(readme.contains(&row), "missing: {row}");
        }
    }

    #[test]
    fn causes_are_not_repeated() {
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "reading failed: {}", self.0)
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(with_causes(&error), "reading failed: disk on fire");
    }
}
