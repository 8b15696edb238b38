//! What a linked library tells about itself: its functions, who calls whom, and from which line.

use crate::workspace;
use anyhow::{Context, Result, anyhow, bail};
use object::{
    Architecture, File, Object, ObjectSection, ObjectSymbol, Relocation, RelocationTarget,
    SectionKind, Symbol, SymbolKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What the panic handler of the library calls; see `xtask/no-panic/src/lib.rs`.
const MARKER: &str = "gapless_panic_reached";

/// What a library without `std` may import: what the compiler itself calls, and the two functions
/// of the allocator in `xtask/no-panic/src/lib.rs`. Weak imports are the C start files' business.
const IMPORTS: [&str; 8] = [
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "gapless_allocate",
    "gapless_free",
    MARKER,
];

/// Where the projects' own code lies, from the root: a finding is blamed on a line there.
const OWN: [&str; 2] = ["crates/", "xtask/no-panic/"];

/// A linked library, its relocations kept.
pub(super) struct Artefact {
    path: PathBuf,
    root: PathBuf,
    imports: BTreeSet<String>,
    exports: Vec<String>,
    /// Every reference from inside one function or table to another, by who is referred to.
    references: BTreeMap<String, Vec<Reference>>,
}

/// One place that refers to a function.
struct Reference {
    from: String,
    address: u64,
}

/// A line of ours that leads to a panic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// What panics, as the compiler names it.
    panics: String,
    /// The calls that were inlined into one function, innermost first, then that function.
    frames: Vec<Frame>,
    /// The linked function that has the call.
    within: String,
}

/// A function and the line in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    function: String,
    place: String,
    own: bool,
}

impl Artefact {
    pub(super) fn load(path: &Path) -> Result<Self> {
        let data = fs::read(path).with_context(|| path.display().to_string())?;
        let file = File::parse(&*data)?;
        let undefined = file
            .symbols()
            .filter(|symbol| symbol.is_undefined() && !symbol.is_weak());
        let imports = undefined.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
        let exported = file.dynamic_symbols().filter(ObjectSymbol::is_definition);
        let exports = exported.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
        Ok(Self {
            path: path.to_path_buf(),
            root: workspace::root()?,
            imports: imports.filter(|name| !name.is_empty()).collect(),
            exports: exports.collect(),
            references: references(&file)?,
        })
    }

    /// The functions that the library offers.
    pub(super) fn exports(&self) -> &[String] {
        &self.exports
    }

    /// Imports that a library without `std` has no need of.
    pub(super) fn foreign_imports(&self) -> Vec<&str> {
        let foreign = self
            .imports
            .iter()
            .filter(|name| !IMPORTS.contains(&name.as_str()));
        foreign.map(String::as_str).collect()
    }

    /// Every line of ours from which the panic handler can be reached.
    pub(super) fn panics(&self) -> Result<BTreeSet<Finding>> {
        if !self.imports.contains(MARKER) {
            return Ok(BTreeSet::new());
        }
        let lines = addr2line::Loader::new(&self.path)
            .map_err(|error| anyhow!("no debug information: {error}"))?;
        let mut findings = BTreeSet::new();
        let mut seen = BTreeSet::from([MARKER]);
        let mut open = vec![MARKER];
        while let Some(panicking) = open.pop() {
            for reference in self.references.get(panicking).into_iter().flatten() {
                let frames = self.frames(&lines, reference.address)?;
                if frames.iter().any(|frame| frame.own) && !is_handler(&reference.from) {
                    findings.insert(Finding {
                        panics: panicking.to_owned(),
                        frames,
                        within: reference.from.clone(),
                    });
                } else if seen.insert(&reference.from) {
                    open.push(&reference.from);
                }
            }
        }
        if findings.is_empty() {
            bail!("a panic is reachable, but none of our lines leads to it: {seen:?}");
        }
        Ok(findings)
    }

    /// The functions that `address` was inlined through, innermost first.
    fn frames(&self, lines: &addr2line::Loader, address: u64) -> Result<Vec<Frame>> {
        let failed = |error| anyhow!("cannot read the debug information: {error}");
        let mut found = lines.find_frames(address).map_err(failed)?;
        let mut frames = Vec::new();
        while let Some(frame) = found.next()? {
            let function = frame.function.map(|function| {
                function
                    .demangle()
                    .map(|name| name.into_owned())
                    .unwrap_or_default()
            });
            let location = frame.location.as_ref();
            let file = location.and_then(|location| location.file).unwrap_or("?");
            let file = shorten(Path::new(file), &self.root);
            let line = location
                .and_then(|location| location.line)
                .unwrap_or_default();
            frames.push(Frame {
                function: function.unwrap_or_else(|| "?".to_owned()),
                place: format!("{}:{line}", file.display()),
                own: OWN.iter().any(|own| file.starts_with(own)),
            });
        }
        Ok(frames)
    }
}

impl Finding {
    /// The linked function that has the call.
    pub(super) fn outermost(&self) -> &str {
        &self.within
    }
}

impl fmt::Display for Finding {
    /// The line to blame first: the innermost of ours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.frames.iter().position(|frame| frame.own).unwrap_or(0);
        let blamed = self.frames.get(inner);
        let (function, place) = blamed.map_or(("?", "?"), |frame| (&frame.function, &frame.place));
        writeln!(f, "{place}: {function} may panic: {}", self.panics)?;
        for library in self.frames.iter().take(inner).rev() {
            writeln!(f, "    through {} ({})", library.function, library.place)?;
        }
        for outer in self.frames.iter().skip(inner + 1) {
            writeln!(f, "    inlined into {} ({})", outer.function, outer.place)?;
        }
        write!(f, "    in the linked function {}", self.within)
    }
}

/// A path from the root of the project, or of the standard library.
fn shorten<'a>(file: &'a Path, root: &Path) -> &'a Path {
    let inside = file.strip_prefix(root).ok();
    let library = || file.ancestors().find(|part| part.ends_with("library"));
    inside
        .or_else(|| file.strip_prefix(library()?).ok())
        .unwrap_or(file)
}

/// The panic handler itself lies in our files, but blames nobody.
fn is_handler(name: &str) -> bool {
    name.contains("rust_begin_unwind")
}

/// Who refers to whom, from the relocations that `--emit-relocs` keeps.
fn references(file: &File<'_>) -> Result<BTreeMap<String, Vec<Reference>>> {
    let symbols = defined_symbols(file);
    let mut references: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    let mut any = false;
    for section in file
        .sections()
        .filter(|section| holds_references(section.kind()))
    {
        for (address, relocation) in section.relocations() {
            any = true;
            let from =
                symbol_at(&symbols, address).unwrap_or_else(|| format!("data at {address:#x}"));
            if let Some(to) = target(file, &symbols, &relocation)? {
                references
                    .entry(to)
                    .or_default()
                    .push(Reference { from, address });
            }
        }
    }
    if !any {
        bail!("the linker has kept no relocations: nothing can be said");
    }
    Ok(references)
}

fn holds_references(kind: SectionKind) -> bool {
    matches!(
        kind,
        SectionKind::Text | SectionKind::Data | SectionKind::ReadOnlyData
    ) || matches!(kind, SectionKind::ReadOnlyDataWithRel)
}

/// The functions and tables with their addresses, ascending.
fn defined_symbols(file: &File<'_>) -> Vec<(u64, u64, String)> {
    let named = |symbol: &Symbol<'_, '_>| {
        let kind = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data);
        kind && symbol.is_definition()
    };
    let mut symbols: Vec<_> = file
        .symbols()
        .filter(named)
        .map(|symbol| {
            (
                symbol.address(),
                symbol.size(),
                name_of(symbol.name_bytes().unwrap_or(b"?")),
            )
        })
        .collect();
    symbols.sort();
    symbols
}

/// The function or table that `address` lies in.
fn symbol_at(symbols: &[(u64, u64, String)], address: u64) -> Option<String> {
    let behind = symbols.partition_point(|&(start, _, _)| start <= address);
    let (start, size, name) = symbols.get(behind.checked_sub(1)?)?;
    (address - start < *size).then(|| name.clone())
}

/// What `relocation` points to: by name, or by address where the compiler named only the section.
fn target(
    file: &File<'_>,
    symbols: &[(u64, u64, String)],
    relocation: &Relocation,
) -> Result<Option<String>> {
    let RelocationTarget::Symbol(index) = relocation.target() else {
        return Ok(None);
    };
    let symbol = file.symbol_by_index(index)?;
    if symbol.kind() != SymbolKind::Section {
        return Ok(Some(name_of(symbol.name_bytes()?)));
    }
    // On x86 a relative reference counts from behind its own four bytes.
    let relative = relocation.kind() != object::RelocationKind::Absolute;
    let x86 = file.architecture() == Architecture::X86_64;
    let bias = if relative && x86 && relocation.size() == 32 {
        4
    } else {
        0
    };
    let address = symbol
        .address()
        .wrapping_add_signed(relocation.addend() + bias);
    Ok(symbol_at(symbols, address))
}

/// A symbol's name as in the source, without the compiler's hash.
fn name_of(mangled: &[u8]) -> String {
    format!(
        "{:#}",
        rustc_demangle::demangle(&String::from_utf8_lossy(mangled))
    )
}
