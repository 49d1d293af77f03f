//! Every case of the corpus, and thousands that a generator makes, through BuildKit's own
//! frontend and through this crate.

use crate::comparison::compare;
use crate::corpus::{Case, written};
use crate::generator::Generator;
use crate::oracle::Oracle;

const SEED: u64 = 0x5ea1_1f7d;
const GENERATED: usize = 2000;
const MUTATED: usize = 2000;

fn agree(cases: &[Case]) {
    let mut oracle = Oracle::start();
    let mut asked = 0;
    let mut failures = Vec::new();
    for case in cases {
        let (questions, differences) = compare(&mut oracle, case);
        asked += questions;
        if !differences.is_empty() {
            let differences = differences.join("\n  ");
            let query = &case.query;
            failures.push(format!(
                "{}\n  {differences}\n  {query:?}\n{}\n",
                case.name, case.text
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases ({asked} questions) differ:\n{}",
        failures.len(),
        cases.len(),
        failures.iter().take(20).cloned().collect::<String>()
    );
}

#[test]
fn the_corpus_agrees_with_buildkit() {
    let cases = written();
    assert!(cases.len() >= 300, "the corpus has {} cases", cases.len());
    agree(&cases);
}

#[test]
fn generated_dockerfiles_agree_with_buildkit() {
    let mut generator = Generator::new(SEED);
    let cases: Vec<Case> = (0..GENERATED)
        .map(|number| generator.case(number))
        .collect();
    agree(&cases);
}

#[test]
fn damaged_dockerfiles_agree_with_buildkit() {
    let mut generator = Generator::new(SEED + 1);
    let written = written();
    let cases: Vec<Case> = (0..MUTATED)
        .map(|number| generator.damaged(&written[number % written.len()]))
        .collect();
    agree(&cases);
}
