//! A disk that is too small for a pull. Needs root, for a small file system of its own.

use sealift_test_support::{FaultPlan, Kind, Outcome, random_image};

use crate::harbor::Harbor;

const PLATFORM: &str = "--platform linux/amd64 --progress plain";

/// Checks that a run said, in these words alone, that there is no room.
#[track_caller]
fn assert_no_room(harbor: &Harbor, outcome: &Outcome, (image, needed): (&str, &str)) {
    assert_eq!(outcome.code, Some(16), "{}", outcome.stderr);
    let (_, error) = outcome.stderr.split_once("error: ").unwrap();
    let store = harbor.sealift.store_home().join("store");
    let start = format!("not enough space for {image}: {needed} are still to come, ");
    let end = format!(
        " MB are free at {}\n  \
         try: free some space: sealift store rm IMAGE, then sealift store gc\n  \
         try: or use another disk: SEALIFT_HOME=FOLDER\n",
        store.display()
    );
    let free = error
        .strip_prefix(&start)
        .and_then(|rest| rest.strip_suffix(&end));
    let free: f64 = free.expect(error).parse().expect(error);
    assert!(free < 8.0, "{error}");
}

#[test]
fn images_that_fit_one_by_one_but_not_together_are_refused_before_a_byte_of_them_comes() {
    let harbor = Harbor::open();
    harbor.disk_of(7);
    let layers = [1_000_000, 3_000_000];
    let one = harbor.publish(&random_image(1, &["linux/amd64"], &layers), "a/one:1");
    let two = harbor.publish(&random_image(2, &["linux/amd64"], &layers), "a/two:1");
    let both = format!("pull {one} {two} {PLATFORM}");
    assert_no_room(&harbor, &harbor.run(&both), ("the images", "8.0 MB"));
    assert_eq!(harbor.proxy.count(Kind::Blob), 0);
    harbor.verify();
    assert_eq!(harbor.run("store ls").success().stdout.lines().count(), 1);

    // Each by itself has room, the first one makes the second one too large.
    harbor.run(&format!("pull {one} {PLATFORM}")).success();
    harbor.proxy.forget_seen();
    assert_no_room(&harbor, &harbor.run(&both), (&two, "4.0 MB"));
    assert_eq!(harbor.proxy.count(Kind::Blob), 0);
    harbor.verify();

    // With more room it goes on, and what is there is not fetched again.
    harbor.disk_of(16);
    harbor.run(&both).success();
    assert!(harbor.proxy.bytes(Kind::Blob) < 4_100_000);
    harbor.verify();
}

#[test]
fn what_partial_files_hold_is_counted() {
    let harbor = Harbor::open();
    harbor.disk_of(8);
    let image = random_image(3, &["linux/amd64"], &[5_000_000]);
    let name = harbor.publish(&image, "a/b:1");
    harbor
        .proxy
        .set_plan(FaultPlan::none().bytes_per_second(1_000_000));
    let line = format!("pull {name} {PLATFORM}");
    let stopped = harbor.stop(&line, "-INT", || harbor.proxy.bytes(Kind::Blob) > 1_500_000);
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);

    // The disk has less left than the whole layer needs, and enough for the rest of it.
    let other = harbor.publish(&random_image(4, &["linux/amd64"], &[4_000_000]), "c/d:1");
    harbor.proxy.set_plan(FaultPlan::none());
    assert_no_room(
        &harbor,
        &harbor.run(&format!("pull {other} {PLATFORM}")),
        (&other, "4.0 MB"),
    );
    harbor.proxy.forget_seen();
    harbor.run(&line).success();
    assert!(harbor.proxy.bytes(Kind::Blob) < 4_000_000);
    harbor.verify();
}

#[test]
fn a_disk_that_others_fill_meanwhile_ends_the_run_and_spoils_nothing() {
    let harbor = Harbor::open();
    harbor.disk_of(8);
    // Layers so small that no room is reserved for them.
    let layers = [900_000, 910_000, 920_000];
    let name = harbor.publish(&random_image(5, &["linux/amd64"], &layers), "a/b:1");
    harbor
        .proxy
        .set_plan(FaultPlan::none().bytes_per_second(300_000));
    let filler = harbor.sealift.store_home().join("filler");
    let fill = || {
        let begun = harbor.proxy.bytes(Kind::Blob) > 300_000;
        if begun {
            std::fs::write(&filler, vec![0; 16 << 20]).unwrap_err();
        }
        begun
    };
    let line = format!("pull {name} {PLATFORM}");
    let outcome = harbor.watch(&line, fill);
    assert_eq!(outcome.code, Some(16), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("\nFailed after "),
        "{}",
        outcome.stderr
    );
    let hint = "try: The disk is full: free some space, or move the store with SEALIFT_HOME.\n";
    assert!(outcome.stderr.ends_with(hint), "{}", outcome.stderr);
    harbor.verify();

    std::fs::remove_file(&filler).unwrap();
    harbor.proxy.set_plan(FaultPlan::none());
    harbor.proxy.forget_seen();
    harbor.run(&line).success();
    assert!(harbor.proxy.bytes(Kind::Blob) < 2_700_000);
    harbor.verify();
}
