//! What the random histories reach: a kind that is never made is not tested. Apart from the
//! properties themselves, which `cargo xtask prove` counts.

use std::collections::BTreeMap;

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::judge::histories::nature::kinds;

#[test]
fn random_histories_are_of_all_kinds() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeMap::new();
    for _ in 0..2000 {
        let tree = kinds().new_tree(&mut runner).expect("kinds");
        for kind in tree.current() {
            *reached.entry(kind).or_insert(0_u32) += 1;
        }
    }
    assert_eq!(reached.len(), 11, "{reached:?}");
    assert!(reached.values().all(|count| *count > 50), "{reached:?}");
}
