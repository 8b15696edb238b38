//! `tests/README.md` lists every hazard and difference with its tests, and no test that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where tests are that name a hazard.
const SOURCES: [&str; 4] = ["src", "tests", "../recovery/src", "../recovery/tests"];

/// The headings of the tables, which codes each has, and how many.
const TABLES: [(&str, char, u32); 5] = [
    ("Version 3: hazards", 'V', 21),
    ("Version 3: differences", 'D', 24),
    ("Version 2: hazards", 'H', 27),
    ("Version 2: differences", 'D', 22),
    ("Failures of others", 'U', 19),
];

#[test]
fn the_index_names_every_test_of_a_hazard() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for folder in SOURCES {
        collect(&root.join(folder), &mut tests);
    }
    let index = std::fs::read_to_string(root.join("tests/README.md")).unwrap();
    let listed = tables(&index);
    for (heading, kind, count) in TABLES {
        let rows = &listed[heading];
        for n in 1..=count {
            let row = rows.get(&format!("{kind}{n}"));
            let row = row.unwrap_or_else(|| panic!("{heading}: {kind}{n} is missing"));
            let named: BTreeSet<&str> = row.split('`').skip(1).step_by(2).collect();
            assert!(!row.trim().is_empty(), "{heading}: {kind}{n} says nothing");
            for name in named.iter().filter(|name| !name.contains('/')) {
                let exists = tests.iter().any(|(_, test)| test == name);
                assert!(exists, "{heading}: {kind}{n} names {name}");
            }
            let prefix = format!("{}{n:02}", kind.to_ascii_lowercase());
            let version2 = heading.starts_with("Version 2");
            let of_this = tests
                .iter()
                .filter(|(of_version2, test)| {
                    (kind == 'U' || *of_version2 == version2)
                        && codes(test).any(|code| code == prefix)
                })
                .map(|(_, test)| test.as_str());
            for test in of_this {
                assert!(
                    named.contains(test),
                    "{heading}: {kind}{n} does not name {test}"
                );
            }
        }
        assert_eq!(rows.len(), count as usize, "{heading}");
    }
}

/// The codes at the front of a test's name: `h02_h03_an_…` has two.
fn codes(test: &str) -> impl Iterator<Item = &str> {
    let is_code = |part: &&str| {
        part.len() == 3
            && part.starts_with(['v', 'd', 'h', 'u'])
            && part[1..].bytes().all(|byte| byte.is_ascii_digit())
    };
    test.split('_').take_while(is_code)
}

/// Every function's name below a folder, and whether its file is of version 2.
fn collect(folder: &Path, into: &mut BTreeSet<(bool, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let version2 = path.to_string_lossy().contains("version2");
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| {
                let (_, rest) = line.split_once("fn ")?;
                Some(rest.split('(').next()?.to_owned())
            });
            // `u16` alone is no test.
            let names = names.filter(|name| name.contains('_'));
            into.extend(names.map(|name| (version2, name)));
        }
    }
}

/// By heading, by code: the last column.
fn tables(index: &str) -> BTreeMap<&str, BTreeMap<String, &str>> {
    let mut tables: BTreeMap<&str, BTreeMap<String, &str>> = BTreeMap::new();
    let mut heading = "";
    for line in index.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title;
        }
        let mut columns = line
            .strip_prefix("| ")
            .into_iter()
            .flat_map(|row| row.split(" | "));
        let (Some(code), Some(_), Some(tests)) = (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        if TABLES.iter().any(|(known, ..)| *known == heading) {
            tables
                .entry(heading)
                .or_default()
                .insert(code.to_owned(), tests.trim_end_matches('|'));
        }
    }
    tables
}
