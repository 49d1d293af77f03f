//! Processes that are killed while they write, and processes that write the same at once. This
//! program is both the test and, started again with arguments, the process that it kills.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that prints its own result"
)]

mod kills;
mod race;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, rest @ ..] = arguments.as_slice()
        && role == worker::ROLE
    {
        return worker::run(rest);
    }
    // The filter that cargo test passes on; its options begin with a dash.
    let filter = arguments.iter().find(|text| !text.starts_with('-'));
    let tests: [(&str, fn()); 4] = [
        ("kills_leave_a_sound_store", kills::leave_a_sound_store),
        ("race_for_one_digest", race::for_one_digest),
        ("race_for_index_json", race::for_index_json),
        ("race_for_one_name", race::for_one_name),
    ];
    if arguments.iter().any(|text| text == "--list") {
        for (name, _) in tests {
            println!("{name}: test");
        }
        return;
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in tests {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let good = catch_unwind(AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        if good { passed += 1 } else { failed += 1 }
    }
    println!("\n{passed} passed, {failed} failed");
    assert_eq!(failed, 0);
}
