//! What a run costs a registry in requests, with what earlier runs left.

use sealift_test_support::{Kind, random_image};

use crate::harbor::Harbor;

#[test]
fn a_later_run_needs_no_refusal_and_no_new_token() {
    let harbor = Harbor::with_tokens();
    let name = harbor.publish(&random_image(1, &["linux/amd64"], &[2000]), "a/b:1");
    let line = format!("pull {name} --platform linux/amd64");
    // The index, the manifest, the configuration and one layer.
    for (requests, refused, tokens) in [(6, 1, 1), (4, 0, 0)] {
        harbor.proxy.forget_seen();
        harbor.run(&line).success();
        let seen = harbor.proxy.seen();
        let found = seen.iter().filter(|one| one.status == 401).count();
        assert_eq!(
            (seen.len(), found, harbor.proxy.count(Kind::Token)),
            (requests, refused, tokens),
            "{seen:?}"
        );
        std::fs::remove_dir_all(harbor.sealift.store_home().join("store")).unwrap();
    }
}
