//! `README.md` beside this lists every entry with its tests, and no test that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The kinds of entries, and how many there are of each.
const KINDS: [(char, u32); 13] = [
    ('R', 24),
    ('S', 5),
    ('A', 14),
    ('B', 12),
    ('C', 36),
    ('D', 8),
    ('W', 8),
    ('G', 19),
    ('H', 10),
    ('Y', 6),
    ('N', 1),
    ('U', 32),
    ('M', 6),
];

/// Where tests are that entries may name, and what the name begins with.
const PLACES: [(&str, &[&str]); 3] = [
    ("", &["src", "tests"]),
    ("recovery::", &["../recovery/src", "../recovery/tests"]),
    ("seq::", &["../seq/src", "../seq/tests"]),
];

#[test]
fn the_index_names_every_entry_and_every_test_of_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for (prefix, folders) in PLACES {
        for folder in folders {
            collect(&root.join(folder), prefix, &mut tests);
        }
    }
    let index = include_str!("README.md");
    let mut rows: BTreeMap<&str, &str> = BTreeMap::new();
    for line in index.lines().filter_map(|line| line.strip_prefix("| ")) {
        let mut columns = line.trim_end_matches(" |").splitn(3, " | ");
        if let (Some(entry), Some(what), Some(named)) =
            (columns.next(), columns.next(), columns.next())
        {
            assert!(!what.is_empty(), "{entry} says nothing");
            assert_eq!(
                rows.insert(entry, named),
                None,
                "{entry} stands there twice"
            );
        }
    }
    rows.remove("Entry");
    let expected: BTreeSet<String> = KINDS
        .iter()
        .flat_map(|(kind, count)| (1..=*count).map(move |n| format!("{kind}{n}")))
        .collect();
    for entry in &expected {
        let row = rows.get(entry.as_str());
        let row = row.unwrap_or_else(|| panic!("{entry} is missing"));
        let named: BTreeSet<&str> = row.split('`').skip(1).step_by(2).collect();
        let has_reason = row.starts_with("not TCP: ");
        assert!(
            has_reason != named.iter().any(|name| !name.contains('/')),
            "{entry}: {row}"
        );
        for name in named.iter().filter(|name| !name.contains('/')) {
            assert!(tests.contains(*name), "{entry} names {name}");
        }
        let code = format!("{}_", entry.to_ascii_lowercase());
        for test in tests.iter().filter(|test| test.starts_with(&code)) {
            assert!(
                named.contains(test.as_str()),
                "{entry} does not name {test}"
            );
        }
    }
    assert_eq!(rows.len(), expected.len());
}

/// Every function below a folder that has `#[test]` above it, or stands in `proptest!`.
fn collect(folder: &Path, prefix: &str, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, prefix, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line == "#[test]" {
                    is_test = true;
                } else if let Some(rest) = line.strip_prefix("fn ") {
                    if core::mem::take(&mut is_test) {
                        let name = rest.split('(').next().unwrap_or(rest);
                        into.insert(format!("{prefix}{name}"));
                    }
                } else if !line.starts_with("#[") {
                    is_test = false;
                }
            }
        }
    }
}
