//! What the code cites is in the document, and what the document cites is in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{cells, crates, source, text};

#[test]
fn every_section_and_row_that_the_code_cites_exists() {
    let known = known(&text());
    let mut missing = BTreeSet::new();
    for folder in [
        "udx",
        "recovery",
        "seq",
        "gapless",
        "libp2p",
        "lab",
        "cli",
        "git",
        "../interop",
        "../bench",
        "../xtask",
    ] {
        rust_files(&crates().join(folder), &mut |path, code| {
            for cited in citations(code).difference(&known) {
                missing.insert(format!("{}: {cited}", path.display()));
            }
        });
    }
    assert!(
        missing.is_empty(),
        "cited, but not in docs/udx.md: {missing:#?}"
    );
}

#[test]
fn the_search_for_citations_finds_them() {
    let found = citations(
        "// UDX 8.3, V12: so. UDX2 9.3, UDX2 H4 and UDX2 D10. RFC 9000 5.1 not, nor V3X or XD3.",
    );
    let expected = ["UDX 8.3", "V12", "UDX2 9.3", "UDX2 H4", "UDX2 D10"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[test]
fn every_file_and_name_that_the_document_cites_exists() {
    let text = text();
    let mut checked = 0;
    let mut file: Option<(&str, String)> = None;
    // Odd parts stand in backticks, even ones between them.
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 0 {
            if !matches!(part.trim(), "" | ":" | ",") {
                file = None;
            }
        } else if part.ends_with(".rs") {
            let code = source(part).unwrap_or_else(|| panic!("no file {part}"));
            file = Some((part, code));
        } else if let Some((path, code)) = &file {
            let name = part.rsplit("::").next().unwrap();
            assert!(code.contains(name), "{path} has no {part}");
            checked += 1;
        }
    }
    assert!(
        checked >= 80,
        "the citations were not recognised: {checked}"
    );
}

#[test]
fn the_rows_of_the_tables_are_complete() {
    let known = known(&text());
    let rows = |prefix: &str, last: u32| {
        (1..=last)
            .map(|n| format!("{prefix}{n}"))
            .collect::<Vec<_>>()
    };
    for row in [
        rows("V", 21),
        rows("D", 24),
        rows("UDX2 H", 27),
        rows("UDX2 D", 22),
    ]
    .concat()
    {
        assert!(known.contains(&row), "no row {row}");
    }
}

/// Sections by their headings and rows by their first cells, as the code cites them.
fn known(text: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let mut part = "UDX";
    for line in text.lines() {
        if line.starts_with("# Part II") {
            part = "UDX2";
        }
        let heading = line.strip_prefix("## ").or(line.strip_prefix("### "));
        if let Some(number) = heading.and_then(|heading| heading.split(' ').next()) {
            known.insert(format!("{part} {}", number.trim_end_matches('.')));
        }
        if let Some(name) = cells(line).and_then(|cells| cells.first().copied()) {
            let row = if part == "UDX" {
                name.to_owned()
            } else {
                format!("{part} {name}")
            };
            known.insert(row);
        }
    }
    known
}

/// `UDX 8.3`, `V12`, `UDX2 H4` and the like in a text.
fn citations(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let words: Vec<&str> = code
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
        .map(|word| word.trim_end_matches('.'))
        .collect();
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| words[before]);
        let of_version = matches!(before, "UDX" | "UDX2");
        if of_version && word.starts_with(|c: char| c.is_ascii_digit()) {
            found.insert(format!("{before} {word}"));
        } else if is_row(word, &['H']) && before == "UDX2" || is_row(word, &['D']) && of_version {
            let prefix = if before == "UDX2" { "UDX2 " } else { "" };
            found.insert(format!("{prefix}{word}"));
        } else if is_row(word, &['V', 'D']) {
            found.insert((*word).to_owned());
        }
    }
    found
}

fn is_row(word: &str, letters: &[char]) -> bool {
    let number = word.strip_prefix(letters).unwrap_or_default();
    (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn rust_files(folder: &Path, visit: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
