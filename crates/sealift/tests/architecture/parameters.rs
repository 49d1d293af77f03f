//! Functions that take a tuple, which only dodges the limit of arguments: a struct has names.

use syn::visit::Visit;

use crate::source::Source;

/// One line a parameter that is a tuple or a reference to one.
pub(crate) fn tuples(source: &Source) -> Vec<String> {
    let mut finder = Finder {
        path: &source.path,
        found: Vec::new(),
    };
    for item in &source.items {
        finder.visit_item(item);
    }
    finder.found
}

struct Finder<'a> {
    path: &'a str,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        for input in &signature.inputs {
            if let syn::FnArg::Typed(input) = input
                && is_tuple(&input.ty)
            {
                let line = signature.ident.span().start().line;
                self.found.push(format!(
                    "{}:{line}: {} takes a tuple",
                    self.path, signature.ident
                ));
            }
        }
    }
}

fn is_tuple(ty: &syn::Type) -> bool {
    match ty {
        syn::Type::Tuple(tuple) => !tuple.elems.is_empty(),
        syn::Type::Reference(inner) => is_tuple(&inner.elem),
        syn::Type::Paren(inner) => is_tuple(&inner.elem),
        _ => false,
    }
}
