//! Reads the crates' sources: every file with its place in its crate, its text and its items, tests
//! left out of both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::Span;
use syn::spanned::Spanned;

/// One source file without its tests.
pub(crate) struct Source {
    /// From the root of the repository.
    pub(crate) path: String,
    /// The crate's folder.
    pub(crate) krate: String,
    /// The module that the file is: `a::b` is `["a", "b"]`.
    pub(crate) module: Vec<String>,
    /// The text, with the lines of tests left empty.
    pub(crate) text: String,
    /// How many lines are no tests.
    pub(crate) lines: usize,
    /// The items that are no tests.
    pub(crate) items: Vec<syn::Item>,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Every source file of the crates `names`, files that hold only tests left out.
pub(crate) fn read(names: &[&str]) -> Vec<Source> {
    let root = root();
    let mut paths = Vec::new();
    for name in names {
        walk(&root.join("crates").join(name).join("src"), &mut paths);
    }
    let texts = paths.into_iter().filter_map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        let rust = name.ends_with(".rs");
        rust.then(|| (name.to_owned(), std::fs::read_to_string(&path).unwrap()))
    });
    parse(texts)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Parses files given as (path from the root, text), in the order of their paths.
pub(crate) fn parse(texts: impl IntoIterator<Item = (String, String)>) -> Vec<Source> {
    let mut tests = BTreeSet::new();
    let mut sources = Vec::new();
    for (path, text) in texts {
        let (source, modules) = source(path, &text);
        for name in modules {
            let mut module = source.module.clone();
            module.push(name);
            tests.insert((source.krate.clone(), module));
        }
        sources.push(source);
    }
    sources.retain(|source| {
        (1..=source.module.len()).all(|length| {
            !tests.contains(&(source.krate.clone(), source.module[..length].to_vec()))
        })
    });
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    sources
}

fn source(path: String, text: &str) -> (Source, Vec<String>) {
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut cut = Cut::default();
    let items = cut.items(file.items);
    let (krate, inside) = path
        .strip_prefix("crates/")
        .and_then(|rest| rest.split_once("/src/"))
        .unwrap_or_else(|| panic!("{path} is not of the form crates/NAME/src/FILE.rs"));
    let mut module: Vec<String> = inside
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if ["mod", "lib"].contains(&module[module.len() - 1].as_str()) {
        module.pop();
    }
    let kept = |number: usize| !cut.lines.contains(&(number + 1));
    let source = Source {
        krate: krate.to_owned(),
        module,
        text: text
            .lines()
            .enumerate()
            .map(|(number, line)| if kept(number) { line } else { "" })
            .collect::<Vec<_>>()
            .join("\n"),
        lines: text.lines().count() - cut.lines.len(),
        items,
        path,
    };
    (source, cut.modules)
}

/// What was cut off as tests.
#[derive(Default)]
struct Cut {
    lines: BTreeSet<usize>,
    /// Modules in files of their own.
    modules: Vec<String>,
}

impl Cut {
    fn items(&mut self, items: Vec<syn::Item>) -> Vec<syn::Item> {
        let mut kept = Vec::new();
        for mut item in items {
            if is_test(attributes(&item)) {
                self.span(item.span());
                if let syn::Item::Mod(module) = &item
                    && module.content.is_none()
                {
                    self.modules.push(module.ident.to_string());
                }
                continue;
            }
            match &mut item {
                syn::Item::Mod(module) => {
                    if let Some((brace, inner)) = module.content.take() {
                        module.content = Some((brace, self.items(inner)));
                    }
                }
                syn::Item::Impl(block) => block.items.retain(|item| {
                    let test = matches!(item, syn::ImplItem::Fn(method) if is_test(&method.attrs));
                    if test {
                        self.span(item.span());
                    }
                    !test
                }),
                _ => {}
            }
            kept.push(item);
        }
        kept
    }

    fn span(&mut self, span: Span) {
        self.lines.extend(span.start().line..=span.end().line);
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Meta>()
                .is_ok_and(|meta| only_in_tests(&meta))
    })
}

/// Whether a condition holds in tests alone.
fn only_in_tests(condition: &syn::Meta) -> bool {
    let syn::Meta::List(list) = condition else {
        return condition.path().is_ident("test");
    };
    let Ok(inner) = list.parse_args_with(
        syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated,
    ) else {
        return false;
    };
    if list.path.is_ident("all") {
        inner.iter().any(only_in_tests)
    } else {
        list.path.is_ident("any") && inner.iter().all(only_in_tests)
    }
}
