//! What can be said of a file without compiling it.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Above so many lines of code a file is mentioned: it probably holds two rooms.
const LONG: usize = 600;

/// Above so many lines of code a file breaks the rule.
const TOO_LONG: usize = 700;

/// Files that may be longer than [`TOO_LONG`], each with its reason.
const MAY_BE_LONG: [(&str, &str); 0] = [];

/// No tracked file tells on whose machine it was written.
pub(super) fn paths() -> Result<()> {
    let root = workspace::root()?;
    // In two parts, so that this file passes.
    let mut private = vec![
        ["/ro", "ot/"].concat(),
        ["/wo", "rk/"].concat(),
        ["/Us", "ers/"].concat(),
    ];
    private.extend(
        env::var("HOME")
            .ok()
            .filter(|home| is_telling(Path::new(home))),
    );
    private.extend(
        root.to_str()
            .filter(|_| is_telling(&root))
            .map(str::to_owned),
    );
    let mut found = Vec::new();
    for file in tracked(&root)? {
        let bytes = fs::read(root.join(&file)).with_context(|| file.clone())?;
        // Recorded packets and images hold any bytes.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if private.iter().any(|path| mentions(line, path)) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    if !found.is_empty() {
        bail!("paths of a machine:\n{}", found.join("\n"));
    }
    Ok(())
}

/// No file has more code than one can keep in mind. Tests do not count.
pub(super) fn length() -> Result<()> {
    let root = workspace::root()?;
    let mut too_long = Vec::new();
    for file in tracked(&root)? {
        if !file.ends_with(".rs") || file.split('/').any(|part| part == "tests") {
            continue;
        }
        let source = fs::read_to_string(root.join(&file)).with_context(|| file.clone())?;
        let lines = code_lines(&source);
        if lines > TOO_LONG && !MAY_BE_LONG.iter().any(|(listed, _)| *listed == file) {
            too_long.push(format!("{file}: {lines} lines"));
        } else if lines > LONG {
            println!("  {file}: {lines} lines");
        }
    }
    if !too_long.is_empty() {
        bail!(
            "more than {TOO_LONG} lines of code:\n{}",
            too_long.join("\n")
        );
    }
    Ok(())
}

/// Whether a path is special enough to be searched for: `/src` is on many machines.
fn is_telling(path: &Path) -> bool {
    path.components().count() > 2
}

/// Whether `path` begins somewhere in `line`, not only in the middle of a longer path.
fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-/".contains(before))
    })
}

/// The lines of `source` before its tests.
fn code_lines(source: &str) -> usize {
    let mut lines = source.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let opens = lines
            .peek()
            .is_some_and(|(_, next)| next.starts_with("mod ") && next.ends_with('{'));
        if line == "#[cfg(test)]" && opens {
            return number;
        }
    }
    source.lines().count()
}

/// The files that git tracks, or would if they were added, from the root.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let listed = workspace::output(&mut git)?;
    let files = listed.split('\0').filter(|file| !file.is_empty());
    // A file that was deleted but not yet committed is listed, too.
    Ok(files
        .filter(|file| root.join(file).is_file())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_ends_where_the_tests_begin() {
        assert_eq!(code_lines("fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(code_lines("#[cfg(test)]\nuse x;\nfn a() {}\n"), 3);
        assert_eq!(code_lines(""), 0);
    }

    #[test]
    fn a_path_is_found_at_its_beginning_only() {
        assert!(mentions("see /home/me/notes", "/home/me"));
        assert!(mentions("(/home/me/x)", "/home/me"));
        assert!(!mentions("backup/home/me", "/home/me"));
        assert!(!mentions("/home/you", "/home/me"));
    }
}
