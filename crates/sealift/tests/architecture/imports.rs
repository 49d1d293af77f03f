//! Who imports whom: the files that each file of a crate takes names from, re-exports followed to
//! the file that defines the name, and the circles that these arrows form.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

use crate::source::Source;

type Path = Vec<String>;

/// The arrows of one crate: from each file to the files that it takes names from, with the names.
pub(crate) type Arrows = BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>>;

/// A module: a file's, or one that is written out within a file.
struct Module {
    file: usize,
    /// Names that `use` brings in, with what they stand for, and whether they are handed on.
    names: BTreeMap<String, Name>,
    /// Paths of two or more names, as they stand in the code.
    paths: Vec<Path>,
    /// Every name in the code outside of `use`.
    words: BTreeSet<String>,
}

struct Name {
    path: Path,
    exported: bool,
}

/// The modules of one crate.
#[derive(Default)]
struct Tree(BTreeMap<Path, Module>);

/// Finds the arrows between the files of one crate; the keys are positions in `sources`.
pub(crate) fn arrows(sources: &[Source], krate: &str) -> Arrows {
    let mut tree = Tree::default();
    for (file, source) in sources.iter().enumerate() {
        let binary = source
            .module
            .first()
            .is_some_and(|name| name == "bin" || name == "main");
        if source.krate == krate && !binary {
            tree.add(file, &source.module, &source.items);
        }
    }
    let mut arrows = Arrows::new();
    for (here, module) in &tree.0 {
        for path in module.uses() {
            let Some(path) = tree.absolute(here, path) else {
                continue;
            };
            if let Some(file) = tree.definer(&path, 0)
                && file != module.file
            {
                let name = path[path.len() - 1].clone();
                let names = arrows
                    .entry(module.file)
                    .or_default()
                    .entry(file)
                    .or_default();
                names.insert(name);
            }
        }
    }
    arrows
}

impl Tree {
    fn add(&mut self, file: usize, path: &[String], items: &[syn::Item]) {
        let mut reader = Reader::default();
        for item in items {
            if let syn::Item::Mod(module) = item {
                if let Some((_, inner)) = &module.content {
                    let mut path = path.to_vec();
                    path.push(module.ident.to_string());
                    self.add(file, &path, inner);
                }
                continue;
            }
            reader.visit_item(item);
            reader.tokens(quote::ToTokens::to_token_stream(item));
        }
        let module = Module {
            file,
            names: reader.names,
            paths: reader.paths,
            words: reader.words,
        };
        self.0.insert(path.to_vec(), module);
    }

    /// A path from the crate's root; `None` for what other crates define.
    fn absolute(&self, here: &[String], path: &[String]) -> Option<Path> {
        let mut base = here.to_vec();
        let mut rest = path;
        match rest[0].as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
                base.extend_from_slice(rest);
                return Some(base);
            }
            first => {
                base.push(first.to_owned());
                if !self.0.contains_key(&base) {
                    let name = self.0[here].names.get(first)?;
                    // `use x::x` and the like name other crates.
                    if name.path[0] == first {
                        return None;
                    }
                    base = self.absolute(here, &name.path)?;
                }
            }
        }
        base.extend_from_slice(&rest[1..]);
        Some(base)
    }

    /// The file that defines what an absolute path names; `None` for a module, which is no
    /// import before a name is taken from it.
    fn definer(&self, path: &[String], depth: usize) -> Option<usize> {
        let mut module: Path = Vec::new();
        for (position, name) in path.iter().enumerate() {
            let last = position + 1 == path.len();
            let exported = self.0.get(&module)?.names.get(name);
            module.push(name.clone());
            if self.0.contains_key(&module) && !(last && exported.is_some()) {
                continue;
            }
            module.pop();
            let Some(target) = exported.filter(|_| depth < 8) else {
                return Some(self.0[&module].file);
            };
            let mut target = self.absolute(&module, &target.path)?;
            target.extend_from_slice(&path[position + 1..]);
            return self.definer(&target, depth + 1);
        }
        None
    }
}

impl Module {
    /// The paths that make an arrow: all but the re-exports that the file itself does not use.
    fn uses(&self) -> impl Iterator<Item = &Path> {
        let names = self.names.iter();
        let used = names.filter(|(name, to)| !to.exported || self.words.contains(*name));
        used.map(|(_, name)| &name.path).chain(&self.paths)
    }
}

#[derive(Default)]
struct Reader {
    names: BTreeMap<String, Name>,
    paths: Vec<Path>,
    words: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            let exported = !matches!(item.vis, syn::Visibility::Inherited);
            self.tree(&item.tree, &mut Vec::new(), exported);
        }
    }
}

impl Reader {
    fn tree(&mut self, tree: &syn::UseTree, before: &mut Path, exported: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before, exported);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before, exported);
                }
            }
            syn::UseTree::Name(name) => self.name(before, &name.ident, &name.ident, exported),
            syn::UseTree::Rename(name) => self.name(before, &name.ident, &name.rename, exported),
            // Forbidden by a lint; where it stands nevertheless, it counts as the module's own.
            syn::UseTree::Glob(_) => {}
        }
    }

    fn name(&mut self, before: &[String], ident: &syn::Ident, alias: &syn::Ident, exported: bool) {
        let mut path = before.to_vec();
        let mut alias = alias.to_string();
        if ident == "self" {
            if alias == "self" {
                alias = path[path.len() - 1].clone();
            }
        } else {
            path.push(ident.to_string());
        }
        self.names.insert(alias, Name { path, exported });
    }

    /// Collects paths from the code, macros' arguments included.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Path = Vec::new();
        let mut colons = 0;
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                // An import, not `use<'a>` in a type.
                TokenTree::Ident(word) if word == "use" && !is_mark(tokens.peek(), '<') => {
                    while tokens
                        .next()
                        .is_some_and(|token| !is_mark(Some(&token), ';'))
                    {}
                    continue;
                }
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.path(&mut path);
                    }
                    colons = 0;
                    self.words.insert(word.to_string());
                    path.push(word.to_string());
                    continue;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            self.path(&mut path);
            colons = 0;
        }
        self.path(&mut path);
    }

    fn path(&mut self, path: &mut Path) {
        if path.len() > 1 {
            self.paths.push(std::mem::take(path));
        }
        path.clear();
    }
}

fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(found)) if found.as_char() == mark)
}
