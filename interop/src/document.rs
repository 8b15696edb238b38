//! Tables in documents: what stands between two marks is written anew from a run.

use crate::overview;
use crate::table::Results;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::Path;

/// Makes a part of a document.
type Part = fn(&Results) -> String;

/// Marks, and what stands between them.
const PARTS: [(&str, Part); 2] = [
    ("interop overview", overview::in_document),
    ("interop table", |results| in_document(&results.markdown())),
];

/// Writes the tables that a document has marks for.
pub(crate) fn write(path: &Path, results: &Results, commits: &BTreeSet<String>) -> Result<()> {
    let shown = path.display();
    let mut text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let commits: Vec<_> = commits.iter().map(|commit| format!("`{commit}`")).collect();
    let source = format!(
        "{}; found on commit {}.",
        results.counts(),
        commits.join(" and ")
    );
    let mut any = false;
    for (name, part) in PARTS {
        if let Some(found) = replace(&text, name, &format!("{source}\n\n{}", part(results))) {
            text = found;
            any = true;
        }
    }
    ensure!(any, "{shown} has no marks for a table");
    std::fs::write(path, text).with_context(|| format!("writing {shown}"))
}

/// The text with something else between the marks of this name.
fn replace(text: &str, name: &str, new: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- {name} -->"),
        format!("<!-- end of {name} -->"),
    );
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", new.trim()))
}

/// References as the document itself has them: a section of its own, or of its part on version 2.
pub(crate) fn in_document(text: &str) -> String {
    text.replace("UDX2 ", "version 2: ").replace("(UDX ", "(")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = "one\n<!-- a -->\nold\n<!-- end of a -->\ntwo";
        let new = replace(text, "a", "\n| new |\n").unwrap();
        assert_eq!(new, "one\n<!-- a -->\n| new |\n<!-- end of a -->\ntwo");
        assert_eq!(replace(&new, "a", "| new |").unwrap(), new);
        assert!(replace(text, "b", "").is_none());
    }

    #[test]
    fn references_are_the_documents_own() {
        assert_eq!(
            in_document("for (UDX2 H8, D16) or (UDX 8.3)"),
            "for (version 2: H8, D16) or (8.3)"
        );
    }
}
