//! A tenure that cannot recover what a dead writer left: its token must not say that the store is whole.

mod fleet;

use std::fs;

use tirastore::Error;

use fleet::reader::Reader;
use fleet::{Fleet, report};

/// A file change in the middle of a commit.
const WITHIN_THE_COMMIT: &str = "30";

/// A writer dies within its commit, and the next one is refused before it can roll that back. Does a reader without the
/// lock see what was never committed, and is all well once nothing refuses any more?
fn look_after_a_tenure_that_gave_up(without: &str) -> Result<(), String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30"), ("CLIENT_WITHOUT", without)]);
    fleet.run(&["create"]);
    let reader = Reader::beside_a_dead_writer(&fleet, WITHIN_THE_COMMIT);
    // What looks like an earlier holder's copy, and cannot be removed.
    let obstacle = fleet.store().join("s.db.copy.0");
    fs::create_dir(&obstacle).expect("created");
    let mut refused = fleet.start(&["record", "refused", "0", "1"]);
    assert!(!refused.wait().success(), "it recorded: {:?}", refused.lines());
    // Refused like the one before it, as it has to recover the store first.
    match reader.look() {
        Err(Error::Io { .. }) => {}
        Err(error) => return Err(error.to_string()),
        Ok(found) => return Err(format!("shown before anybody recovered the store: {found:?}")),
    }
    fs::remove_dir(&obstacle).expect("removed");
    let after = reader.look().map_err(|error| error.to_string())?;
    let shown = after.iter().flatten().count();
    if shown > 0 {
        return Err(format!("{shown} records were seen that were never committed"));
    }
    fleet.run(&["record", "next", "0", "1"]);
    fleet.verify().map(|_| ())
}

#[test]
fn nobody_sees_what_a_dead_writer_left_after_a_tenure_that_could_not_roll_it_back() {
    look_after_a_tenure_that_gave_up("").expect("kept");
    let mechanism = "never-release-unfinished";
    let without = look_after_a_tenure_that_gave_up(mechanism);
    report(&format!("without {mechanism}: {without:?}"));
    assert!(without.is_err(), "the promise is kept without {mechanism}: this test cannot see it fail");
}
