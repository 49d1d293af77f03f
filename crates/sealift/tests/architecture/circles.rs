//! Circles of imports. A folder's `mod.rs` and the files beside it may use each other; anything else
//! that leads back to where it began is a fault.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{self, Arrows};
use crate::source::Source;

/// The circles of one crate, each as its files and the arrows that tie it, readable.
pub(crate) fn of(sources: &[Source], krate: &str) -> Vec<String> {
    let all = imports::arrows(sources, krate);
    let mut without_parents = all.clone();
    for (from, to) in &mut without_parents {
        to.retain(|to, _| !is_parent(&sources[*to], &sources[*from]));
    }
    let mut circles = components(&without_parents);
    for circle in components(&all) {
        let under_one_folder = circle.iter().any(|top| {
            is_folder(&sources[*top])
                && circle
                    .iter()
                    .all(|file| sources[*file].module.starts_with(&sources[*top].module))
        });
        if !under_one_folder && circles.iter().all(|known| known.is_disjoint(&circle)) {
            circles.push(circle);
        }
    }
    circles
        .iter()
        .map(|circle| describe(sources, &all, circle))
        .collect()
}

fn is_folder(source: &Source) -> bool {
    source.path.ends_with("/mod.rs") || source.path.ends_with("/lib.rs")
}

/// Whether `parent` is the `mod.rs` or `lib.rs` of the folder that `child` lies in.
fn is_parent(parent: &Source, child: &Source) -> bool {
    let folder = &child.module[..child.module.len().saturating_sub(1)];
    is_folder(parent) && parent.path != child.path && parent.module == folder
}

fn describe(sources: &[Source], arrows: &Arrows, circle: &BTreeSet<usize>) -> String {
    let mut text = String::from("a circle of imports:");
    for from in circle {
        for (to, names) in arrows.get(from).into_iter().flatten() {
            if circle.contains(to) && !is_parent(&sources[*to], &sources[*from]) {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                text += &format!(
                    "\n    {} -> {}: {}",
                    sources[*from].path,
                    sources[*to].path,
                    names.join(", ")
                );
            }
        }
    }
    text
}

/// The sets of two or more files that reach each other.
fn components(arrows: &Arrows) -> Vec<BTreeSet<usize>> {
    let reach: BTreeMap<usize, BTreeSet<usize>> = arrows
        .keys()
        .map(|file| (*file, reachable(arrows, *file)))
        .collect();
    let mut found: Vec<BTreeSet<usize>> = Vec::new();
    for (file, reached) in &reach {
        if reached.contains(file) && found.iter().all(|circle| !circle.contains(file)) {
            let back = |other: &usize| reach.get(other).is_some_and(|set| set.contains(file));
            found.push(reached.iter().copied().filter(back).collect());
        }
    }
    found
}

fn reachable(arrows: &Arrows, file: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(next) = open.pop() {
        for to in arrows.get(&next).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(*to) {
                open.push(*to);
            }
        }
    }
    reached
}
