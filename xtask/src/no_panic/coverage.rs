//! Whether the library that is inspected calls all that is to be proved.

use anyhow::{Context, Result, anyhow, bail};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemMod, Visibility};

/// Fails when a public function under the `proved` directories is not named by the library's source.
///
/// Names are compared, not paths: that is enough to notice a function that was added and forgotten.
pub(super) fn check(root: &Path, proved: &[&str]) -> Result<()> {
    let mut called = BTreeSet::new();
    for file in rust_files(&root.join("xtask/no-panic/src"))? {
        called.append(&mut words(&read(&file)?)?);
    }
    let mut forgotten = Vec::new();
    for directory in proved {
        for file in rust_files(&root.join(directory))? {
            let public = public_functions(&read(&file)?);
            let public = public.with_context(|| file.display().to_string())?;
            let place = file.strip_prefix(root).unwrap_or(&file).display();
            let missing = public.difference(&called);
            forgotten.extend(missing.map(|name| format!("{place}: {name}")));
        }
    }
    if !forgotten.is_empty() {
        bail!(
            "xtask/no-panic/src does not call every public function:\n  {}",
            forgotten.join("\n  ")
        );
    }
    Ok(())
}

/// The names of the functions in `source` that a user of the crate can call.
fn public_functions(source: &str) -> Result<BTreeSet<String>> {
    let mut public = PublicFunctions::default();
    public.visit_file(&syn::parse_file(source)?);
    Ok(public.names)
}

/// Every identifier in `source`.
fn words(source: &str) -> Result<BTreeSet<String>> {
    let tokens: TokenStream = source.parse().map_err(|error| anyhow!("{error}"))?;
    let mut words = BTreeSet::new();
    identifiers(tokens, &mut words);
    Ok(words)
}

/// The names of `pub fn`s, free and in `impl` blocks, that a user of the crate can see.
#[derive(Default)]
struct PublicFunctions {
    names: BTreeSet<String>,
}

impl PublicFunctions {
    fn add(&mut self, visibility: &Visibility, attributes: &[Attribute], name: &syn::Ident) {
        if matches!(visibility, Visibility::Public(_)) && !is_excepted(attributes) {
            self.names.insert(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for PublicFunctions {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.add(&item.vis, &item.attrs, &item.sig.ident);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.add(&item.vis, &item.attrs, &item.sig.ident);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_excepted(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }
}

/// Whether an item is for tests, or hidden because only a macro of the crate uses it.
fn is_excepted(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let mut words = BTreeSet::new();
        if let syn::Meta::List(list) = &attribute.meta {
            identifiers(list.tokens.clone(), &mut words);
        }
        let path = attribute.path();
        (path.is_ident("cfg") && words.contains("test"))
            || (path.is_ident("doc") && words.contains("hidden"))
    })
}

fn identifiers(tokens: TokenStream, names: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => drop(names.insert(name.to_string())),
            TokenTree::Group(group) => identifiers(group.stream(), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_user_can_call_and_nothing_else() {
        let public = public_functions(
            r#"
            pub fn free() {}
            fn private() {}
            pub(crate) fn inner() {}
            #[doc(hidden)] pub fn of_a_macro() {}
            impl Thing { pub const fn method(&self) {} fn helper(&self) {} }
            impl Iterator for Thing { fn next(&mut self) {} }
            pub mod deeper { pub fn nested() {} }
            #[cfg(test)] mod tests { pub fn tool() {} }
            "#,
        );
        let public: Vec<_> = public.unwrap().into_iter().collect();
        assert_eq!(public, ["free", "method", "nested"]);
    }

    #[test]
    fn a_name_in_a_comment_or_a_string_calls_nothing() {
        let words = words(r#"fn proof() { call(set.insert(1)); /* remove */ "clear"; }"#).unwrap();
        assert!(words.contains("insert"));
        assert!(!words.contains("remove") && !words.contains("clear"));
    }
}
