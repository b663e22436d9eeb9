//! The log of the file system for tests is exact, and so is what it says a power cut leaves.

mod faultfs;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

use faultfs::{Durability, Entry, Event, FaultFs, Log, Options, Trace, Tree, must_skip};

const COVERS_NAME: Durability = Durability { fsync_covers_name: true, one_journal: false };
const SEEDS: u64 = 200;

fn logged(backing: &TempDir) -> (Arc<Log>, FaultFs) {
    let log = Log::of(backing.path()).expect("read");
    let options = Options { log: Some(Arc::clone(&log)), ..Options::default() };
    let node = FaultFs::mount(backing.path(), options).expect("mounted");
    (log, node)
}

fn sync(path: &Path) {
    File::open(path).and_then(|file| file.sync_all()).expect("synced");
}

/// What all seeds make of the file `name` after all that happened.
fn outcomes(trace: &Trace, name: &str, promises: Durability) -> BTreeSet<Option<Vec<u8>>> {
    let image = |seed| trace.power_cut(trace.entries.len(), seed, promises).content(name);
    (0..SEEDS).map(image).collect()
}

fn set<const N: usize>(contents: [Option<&str>; N]) -> BTreeSet<Option<Vec<u8>>> {
    contents.map(|content| content.map(|text| text.as_bytes().to_vec())).into()
}

#[test]
fn the_log_leads_to_the_directory_as_it_is() {
    if must_skip() {
        return;
    }
    let backing = tempfile::tempdir().expect("temporary directory");
    fs::create_dir(backing.path().join("old")).expect("created");
    fs::write(backing.path().join("old/f"), "before").expect("written");
    fs::hard_link(backing.path().join("old/f"), backing.path().join("second")).expect("linked");
    let (log, one) = logged(&backing);
    let options = Options { log: Some(Arc::clone(&log)), ..Options::default() };
    let two = FaultFs::mount(backing.path(), options).expect("mounted");
    thread::scope(|scope| {
        for (worker, node) in [&one, &two, &one].into_iter().enumerate() {
            scope.spawn(move || work(node.path(), worker));
        }
    });
    let trace = log.trace();
    let now = trace.running(trace.entries.len());
    let (there, _) = Tree::read(backing.path()).expect("read");
    assert_eq!(now.paths(), there.paths());
    assert_eq!(trace.running(0).paths(), trace.initial.paths());
    let copy = tempfile::tempdir().expect("temporary directory");
    now.write(&copy.path().join("tree")).expect("written");
    let (copied, _) = Tree::read(&copy.path().join("tree")).expect("read");
    assert_eq!(copied.paths(), there.paths());
    assert_eq!(copied.nodes.len(), there.nodes.len(), "hard links are kept");
    assert!(trace.entries.len() > 300, "{}", trace.entries.len());
}

/// Something of everything, in competition with others.
fn work(directory: &Path, worker: usize) {
    for round in 0..12_u32 {
        let own = directory.join(format!("w{worker}"));
        fs::create_dir(&own).expect("created");
        fs::write(own.join("a"), "x".repeat(5000)).expect("written");
        let mut file = File::options().append(true).open(directory.join("second")).expect("opened");
        file.write_all(format!("{worker} {round}\n").as_bytes()).expect("written");
        let file = File::options().write(true).open(own.join("a")).expect("opened");
        file.set_len(4000).expect("truncated");
        file.write_all_at(b"yyy", 4500).expect("written");
        fs::set_permissions(own.join("a"), fs::Permissions::from_mode(0o640)).expect("set");
        fs::hard_link(own.join("a"), own.join("b")).expect("linked");
        fs::rename(own.join("a"), own.join("b")).expect("two names of one file stay");
        symlink("b", own.join("c")).expect("linked");
        fs::rename(own.join("a"), directory.join("shared")).expect("renamed over what others left");
        fs::rename(&own, directory.join(format!("done{worker}.{round}"))).expect("renamed");
        if let Some(earlier) = round.checked_sub(2) {
            fs::remove_dir_all(directory.join(format!("done{worker}.{earlier}"))).expect("removed");
        }
    }
}

#[test]
fn the_log_says_who_did_what_and_when() {
    if must_skip() {
        return;
    }
    let backing = tempfile::tempdir().expect("temporary directory");
    let (log, node) = logged(&backing);
    let mut child = Command::new("sh")
        .args(["-c", "printf abc > f; test -e .mark.acknowledged-1; mv f g"])
        .current_dir(node.path())
        .spawn()
        .expect("spawned");
    assert!(child.wait().expect("ended").success());
    sync(&node.path().join("g"));
    sync(node.path());
    log.mark("end");
    let trace = log.trace();
    assert_eq!(trace.marks(trace.entries.len()), ["acknowledged-1", "end"]);
    assert_eq!(trace.marks(3), ["acknowledged-1"]);
    let Entry { pid, event: Event::Create { name, object, .. } } = &trace.entries[0] else {
        panic!("{:?}", trace.entries[0])
    };
    assert_eq!((*pid, name.1.as_os_str()), (child.id(), "f".as_ref()));
    let data: Arc<[u8]> = b"abc"[..].into();
    assert_eq!(trace.entries[1].event, Event::Write { object: *object, offset: 0, data });
    assert!(matches!(&trace.entries[3].event, Event::Rename { to, .. } if to.1 == "g"));
    assert_eq!(trace.entries[4].event, Event::Sync { object: *object });
    assert_eq!(trace.entries[5].event, Event::SyncDirectory { directory: faultfs::ROOT });
    assert_eq!(trace.running(3).content("f").as_deref(), Some(&b"abc"[..]));
    assert_eq!(trace.running(3).content("g"), None);
}

#[test]
fn a_power_cut_takes_what_nobody_synced_and_nothing_else() {
    if must_skip() {
        return;
    }
    let backing = tempfile::tempdir().expect("temporary directory");
    fs::write(backing.path().join("f"), "old old").expect("written");
    let (log, node) = logged(&backing);
    let path = node.path().join("f");
    let file = File::options().write(true).open(&path).expect("opened");
    file.write_all_at(b"new", 0).expect("written");
    assert_eq!(outcomes(&log.trace(), "f", COVERS_NAME), set([Some("old old"), Some("new old")]));
    sync(&path);
    file.write_all_at(b"new", 4).expect("written");
    assert_eq!(outcomes(&log.trace(), "f", COVERS_NAME), set([Some("new old"), Some("new new")]));
    file.sync_data().expect("synced");
    assert_eq!(outcomes(&log.trace(), "f", COVERS_NAME), set([Some("new new")]));
    file.set_len(0).expect("truncated");
    file.write_all_at(b"!", 0).expect("written");
    let lost_with_it = set([Some("new new"), Some(""), Some("!")]);
    assert_eq!(outcomes(&log.trace(), "f", COVERS_NAME), lost_with_it);
    let trace = log.trace();
    for seed in 0..20 {
        let [once, again] = [(); 2].map(|()| trace.power_cut(trace.entries.len(), seed, COVERS_NAME));
        assert_eq!(once, again);
    }
}

#[test]
fn a_write_is_torn_between_sectors() {
    if must_skip() {
        return;
    }
    let backing = tempfile::tempdir().expect("temporary directory");
    fs::write(backing.path().join("f"), "-".repeat(2048)).expect("written");
    let (log, node) = logged(&backing);
    let file = File::options().write(true).open(node.path().join("f")).expect("opened");
    file.write_all_at("+".repeat(1500).as_bytes(), 100).expect("written");
    let found = outcomes(&log.trace(), "f", COVERS_NAME);
    let ends = [100, 512, 1024, 1536, 1600];
    let torn =
        |end: usize| Some(["-".repeat(100), "+".repeat(end - 100), "-".repeat(2048 - end)].concat().into());
    assert_eq!(found, ends.into_iter().map(torn).collect());
}

#[test]
fn an_unlink_or_a_rename_that_nobody_synced_may_come_undone() {
    if must_skip() {
        return;
    }
    let backing = tempfile::tempdir().expect("temporary directory");
    fs::write(backing.path().join("journal"), "hot").expect("written");
    fs::write(backing.path().join("db"), "old").expect("written");
    let (log, node) = logged(&backing);
    fs::remove_file(node.path().join("journal")).expect("removed");
    assert_eq!(outcomes(&log.trace(), "journal", COVERS_NAME), set([None, Some("hot")]));
    fs::write(node.path().join("copy"), "new").expect("written");
    sync(&node.path().join("copy"));
    // Without the promise a synced file may have no name; with it, what came before is durable as well.
    let posix = Durability::default();
    assert_eq!(outcomes(&log.trace(), "copy", posix), set([None, Some("new")]));
    assert_eq!(outcomes(&log.trace(), "copy", COVERS_NAME), set([Some("new")]));
    assert_eq!(outcomes(&log.trace(), "journal", COVERS_NAME), set([None]));
    assert_eq!(outcomes(&log.trace(), "journal", posix), set([None, Some("hot")]));
    fs::rename(node.path().join("copy"), node.path().join("db")).expect("renamed");
    assert_eq!(outcomes(&log.trace(), "db", COVERS_NAME), set([Some("old"), Some("new")]));
    let trace = log.trace();
    for seed in 0..SEEDS {
        let image = trace.power_cut(trace.entries.len(), seed, COVERS_NAME);
        assert_ne!(image.content("copy").is_some(), image.content("db").as_deref() == Some(b"new"));
    }
    sync(node.path());
    for promises in [posix, COVERS_NAME] {
        assert_eq!(outcomes(&log.trace(), "db", promises), set([Some("new")]));
        assert_eq!(outcomes(&log.trace(), "journal", promises), set([None]));
        assert_eq!(outcomes(&log.trace(), "copy", promises), set([None]));
    }
}

#[test]
fn directories_lose_their_last_changes_first_and_renames_between_them_wholly() {
    if must_skip() {
        return;
    }
    let backing = tempfile::tempdir().expect("temporary directory");
    for name in ["one", "two"] {
        fs::create_dir(backing.path().join(name)).expect("created");
    }
    fs::write(backing.path().join("one/moving"), "kept").expect("written");
    let (log, node) = logged(&backing);
    for number in 0..5 {
        fs::write(node.path().join(format!("one/{number}")), "").expect("written");
    }
    fs::rename(node.path().join("one/moving"), node.path().join("two/moved")).expect("renamed");
    fs::write(node.path().join("two/later"), "").expect("written");
    fs::create_dir(node.path().join("new")).expect("created");
    fs::write(node.path().join("two/x"), "x").expect("written");
    fs::rename(node.path().join("two/x"), node.path().join("new/x")).expect("renamed");
    let trace = log.trace();
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        for promises in [Durability::default(), Durability { one_journal: true, ..COVERS_NAME }] {
            let image = trace.power_cut(trace.entries.len(), seed, promises);
            let there = |name: &str| image.paths().contains_key(Path::new(name));
            let kept = (0..5).map(|number| there(&format!("one/{number}"))).collect::<Vec<_>>();
            assert!(kept.is_sorted_by(|one, next| one >= next), "{kept:?}");
            assert_ne!(there("one/moving"), there("two/moved"), "in one of them");
            assert!(there("one/moving") || kept[4], "what came before is there");
            assert!(there("two/moved") || !there("two/later"));
            assert!(!(there("two/x") && there("new/x")));
            seen.insert((there("two/moved"), there("two/later"), there("new"), there("new/x")));
        }
    }
    assert!(seen.len() >= 5, "{seen:?}");
    sync(&node.path().join("two"));
    let trace = log.trace();
    for seed in 0..SEEDS {
        let image = trace.power_cut(trace.entries.len(), seed, Durability::default());
        let there = |name: &str| image.paths().contains_key(Path::new(name));
        assert!(there("two/moved") && !there("one/moving") && there("one/4"), "durable in both");
    }
}
