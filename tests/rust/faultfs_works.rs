//! The file system for tests does what it says: else a test that passes on it says nothing.

mod faultfs;

use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{
    FallocateFlags, FcntlArg, Flock, FlockArg, OFlag, PosixFadviseAdvice, fallocate, fcntl, posix_fadvise,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use faultfs::{Action, Cache, FaultFs, Locks, Op, Options, Rule, must_skip};

const PATIENCE: Duration = Duration::from_secs(10);

fn mount(options: Options) -> (TempDir, FaultFs) {
    let backing = tempfile::tempdir().expect("temporary directory");
    let mount = FaultFs::mount(backing.path(), options).expect("mounted");
    (backing, mount)
}

fn also(backing: &TempDir, options: Options) -> FaultFs {
    FaultFs::mount(backing.path(), options).expect("mounted")
}

fn cached(cache: Cache) -> Options {
    Options { cache, ..Options::default() }
}

fn sh(directory: &Path, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(directory).stderr(Stdio::null());
    command.spawn().expect("spawned")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("readable")
}

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> Errno {
    Errno::from_raw(result.expect_err("refused").raw_os_error().expect("by the kernel"))
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn state(child: &Child) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?')
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("sent");
}

#[test]
fn what_is_done_through_a_mount_is_done_below() {
    if must_skip() {
        return;
    }
    for cache in [Cache::Coherent, Cache::Reopened(PATIENCE), Cache::Cached(PATIENCE)] {
        let (backing, node) = mount(cached(cache));
        let (above, below) = (node.path(), backing.path());
        let mut file =
            File::options().create_new(true).read(true).write(true).open(above.join("a")).expect("a");
        file.write_all(b"hello world").expect("written");
        file.write_all_at(b"W", 6).expect("written");
        file.sync_all().expect("synced");
        file.set_len(9).expect("truncated");
        assert_eq!(read(below.join("a")), "hello Wor");
        fs::hard_link(above.join("a"), above.join("b")).expect("linked");
        assert_eq!((fs::metadata(below.join("a")).expect("there").nlink()), 2);
        fs::write(above.join("c"), "replaced").expect("written");
        fs::rename(above.join("c"), above.join("b")).expect("renamed over a name of an open file");
        fs::remove_file(above.join("a")).expect("removed while open");
        file.write_all_at(b"J", 0).expect("still there");
        file.seek(SeekFrom::Start(0)).expect("seek");
        let mut content = String::new();
        file.read_to_string(&mut content).expect("readable");
        assert_eq!((content.as_str(), file.metadata().expect("open").nlink()), ("Jello Wor", 0));
        assert_eq!(read(below.join("b")), "replaced");
        let mut appending = File::options().append(true).open(above.join("b")).expect("opened");
        appending.write_all(b"!").expect("written");
        fs::write(above.join("b2"), "long").and_then(|()| fs::write(above.join("b2"), "s")).expect("written");
        assert_eq!((read(below.join("b")), read(below.join("b2"))), ("replaced!".to_owned(), "s".to_owned()));
        symlink("b", above.join("link")).expect("linked");
        assert_eq!(read(above.join("link")), "replaced!");
        nix::unistd::mkfifo(&above.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("created");
        fs::create_dir_all(above.join("d/e")).expect("created");
        File::open(above.join("d")).and_then(|directory| directory.sync_all()).expect("synced");
        for number in 0..300 {
            fs::write(above.join(format!("d/a rather long name of a file, number {number}")), "")
                .expect("written");
        }
        assert_eq!(fs::read_dir(above.join("d")).expect("listed").count(), 301);
        assert_eq!(errno(fs::remove_dir(above.join("d"))), Errno::ENOTEMPTY);
        fs::remove_dir(above.join("d/e")).expect("removed");
        for name in ["b", "d", "pipe", "link"] {
            let [above, below] =
                [above, below].map(|side| fs::symlink_metadata(side.join(name)).expect("there"));
            let seen = |metadata: &fs::Metadata| {
                (metadata.ino(), metadata.mode(), metadata.size(), metadata.mtime_nsec(), metadata.nlink())
            };
            assert_eq!(seen(&above), seen(&below), "{name}");
        }
        let [above, below] = [above, below].map(|side| nix::sys::statvfs::statvfs(side).expect("known"));
        assert_eq!((above.blocks(), above.block_size()), (below.blocks(), below.block_size()));
    }
}

#[test]
fn what_is_made_has_the_mode_and_owner_its_maker_wanted() {
    if must_skip() {
        return;
    }
    let (backing, node) = mount(Options::default());
    chown(backing.path(), None, Some(2000)).expect("given");
    fs::set_permissions(backing.path(), Permissions::from_mode(0o777)).expect("opened to all");
    let seen = |name: &str| {
        let metadata = fs::symlink_metadata(backing.path().join(name)).expect("there");
        (format!("{:o}", metadata.mode() & 0o7777), metadata.uid(), metadata.gid())
    };
    let run = |user, script: &str| {
        let mut command = Command::new("sh");
        let status = command
            .args(["-c", script])
            .current_dir(node.path())
            .uid(user)
            .gid(user)
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("run").success(), "{script}");
    };
    run(1000, "umask 0; : > free; umask 027; : > file; mkdir directory; mkfifo pipe; ln -s x link");
    assert_eq!(seen("free"), ("666".to_owned(), 1000, 1000));
    assert_eq!(seen("file"), ("640".to_owned(), 1000, 1000));
    assert_eq!(seen("directory"), ("750".to_owned(), 1000, 1000));
    assert_eq!(seen("pipe"), ("640".to_owned(), 1000, 1000));
    assert_eq!(seen("link").1, 1000);
    run(1000, "chmod 600 file; touch -d @1000000000 free");
    assert_eq!(seen("file").0, "600");
    assert_eq!(fs::metadata(backing.path().join("free")).expect("there").mtime(), 1_000_000_000);
    run(1001, "! cat file; ! rm directory/x; ! chmod 666 free");
    fs::set_permissions(backing.path(), Permissions::from_mode(0o2777)).expect("set");
    run(1000, "umask 022; : > inherits");
    assert_eq!(seen("inherits"), ("644".to_owned(), 1000, 2000));
    chown(node.path().join("inherits"), Some(7), Some(8)).expect("given");
    assert_eq!(seen("inherits"), ("644".to_owned(), 7, 8));
    // May write by a group that the file system does not know of.
    fs::set_permissions(backing.path(), Permissions::from_mode(0o770)).expect("set");
    chown(backing.path(), None, Some(3000)).expect("given");
    let script = "import os; os.setgroups([3000]); os.setgid(5); os.setuid(5); open('by_group', 'w')";
    let status = Command::new("python3").args(["-c", script]).current_dir(node.path()).status();
    if status.is_ok_and(|status| status.success()) {
        assert_eq!((seen("by_group").1, seen("by_group").2), (5, 5));
    }
}

#[test]
fn two_coherent_nodes_see_each_other_at_once() {
    if must_skip() {
        return;
    }
    let (backing, one) = mount(Options::default());
    let two = also(&backing, Options::default());
    assert!(!two.path().join("f").exists());
    fs::write(one.path().join("f"), "aaaa").expect("written");
    let kept = File::options().read(true).append(true).open(two.path().join("f")).expect("opened");
    assert_eq!(read(two.path().join("f")), "aaaa");
    fs::write(one.path().join("f"), "bbbb").expect("written");
    let mut content = [0; 4];
    kept.read_exact_at(&mut content, 0).expect("read");
    assert_eq!(&content, b"bbbb");
    let mut appending = File::options().append(true).open(one.path().join("f")).expect("opened");
    for _ in 0..50 {
        appending.write_all(b"1").expect("written");
        (&kept).write_all(b"2").expect("written");
    }
    assert_eq!(read(backing.path().join("f")).len(), 104);
    fs::rename(one.path().join("f"), one.path().join("g")).expect("renamed");
    assert!(!two.path().join("f").exists() && two.path().join("g").exists());
    assert_eq!(fs::read_dir(two.path()).expect("listed").count(), 1);
}

#[test]
fn a_cached_node_sees_what_was_until_its_time_is_over() {
    if must_skip() {
        return;
    }
    let (backing, one) = mount(Options::default());
    let stale = also(&backing, cached(Cache::Cached(Duration::from_secs(3600))));
    let reopening = also(&backing, cached(Cache::Reopened(Duration::from_secs(3600))));
    let soon = also(&backing, cached(Cache::Cached(Duration::from_millis(300))));
    for name in ["content", "gone"] {
        fs::write(one.path().join(name), "old").expect("written");
    }
    for node in [&stale, &reopening, &soon] {
        assert_eq!(read(node.path().join("content")), "old");
        assert!(node.path().join("gone").exists() && !node.path().join("new").exists());
        assert_eq!(fs::read_dir(node.path()).expect("listed").count(), 2);
    }
    fs::write(one.path().join("content"), "NEWER").expect("written");
    fs::remove_file(one.path().join("gone")).expect("removed");
    fs::write(one.path().join("new"), "").expect("written");
    fs::write(one.path().join("newer"), "").expect("written");
    assert_eq!(read(stale.path().join("content")), "old", "content and size are remembered");
    assert_eq!(read(reopening.path().join("content")), "NEW", "only the size is remembered");
    for node in [&stale, &reopening] {
        assert!(node.path().join("gone").exists() && !node.path().join("new").exists());
        assert_eq!(fs::read_dir(node.path()).expect("listed").count(), 2);
    }
    thread::sleep(Duration::from_millis(400));
    assert_eq!(read(soon.path().join("content")), "NEWER");
    assert!(!soon.path().join("gone").exists() && soon.path().join("new").exists());
    assert_eq!(fs::read_dir(soon.path()).expect("listed").count(), 3);
    // Appends of nodes that believe the file ends elsewhere overwrite each other.
    for node in [&stale, &reopening] {
        let mut file = File::options().append(true).open(node.path().join("content")).expect("opened");
        file.write_all(b"+").expect("written");
    }
    assert_eq!(read(backing.path().join("content")), "NEW+R");
}

#[test]
fn copies_of_a_client_outlive_all_but_a_change_of_its_own() {
    if must_skip() {
        return;
    }
    let (backing, one) = mount(Options::default());
    let copying = also(&backing, cached(Cache::Copied(Duration::from_secs(3600))));
    let path = copying.path().join("f");
    fs::write(one.path().join("f"), "old").expect("written");
    assert_eq!(read(path.clone()), "old");
    fs::write(one.path().join("f"), "new").expect("written");
    let file = File::options().read(true).write(true).open(&path).expect("opened");
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("told");
    let mut direct =
        File::options().read(true).custom_flags(OFlag::O_DIRECT.bits()).open(&path).expect("opened");
    let mut content = String::new();
    direct.read_to_string(&mut content).expect("read");
    assert_eq!((content.as_str(), read(path.clone()).as_str()), ("old", "old"));
    fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 1).expect("there is room");
    assert_eq!(read(path), "new");
    assert_eq!(copying.counters().total(Op::Fallocate), 1);
}

#[test]
fn locks_are_refused_or_local() {
    if must_skip() {
        return;
    }
    let (backing, refusing) = mount(Options::default());
    let local = || also(&backing, Options { locks: Locks::Local, ..Options::default() });
    let (one, two) = (local(), local());
    let open = |node: &FaultFs| {
        File::options().create(true).truncate(false).write(true).open(node.path().join("f")).expect("opened")
    };
    let exclusively = |file| Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error);
    let whole = nix::libc::flock { l_type: 1, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    assert_eq!(exclusively(open(&refusing)).expect_err("refused"), Errno::ENOSYS);
    assert_eq!(fcntl(open(&refusing), FcntlArg::F_SETLK(&whole)), Err(Errno::ENOSYS));
    assert_eq!(fcntl(open(&refusing), FcntlArg::F_GETLK(&mut whole.clone())), Err(Errno::ENOSYS));
    assert_eq!(refusing.counters().total(Op::Lock), 3);
    let held = exclusively(open(&one)).expect("free");
    assert_eq!(exclusively(open(&one)).expect_err("held"), Errno::EWOULDBLOCK);
    exclusively(open(&two)).expect("another node does not know");
    drop(held);
    exclusively(open(&one)).expect("free again");
    assert!(fcntl(open(&one), FcntlArg::F_SETLK(&whole)).is_ok());
}

#[test]
fn requests_fail_before_they_are_performed_or_only_seem_to() {
    if must_skip() {
        return;
    }
    let (backing, node) = mount(Options::default());
    let path = |name: &str| node.path().join(name);
    fs::write(path("a"), "content").expect("written");
    let third = Rule::on(&[Op::Rename]).named(|name| name == "a").nth(3);
    let hits = node.inject(third, Action::Error(Errno::ENOSPC));
    fs::rename(path("a"), path("b")).expect("the first");
    fs::rename(path("b"), path("a")).expect("the second, by its destination");
    assert_eq!(errno(fs::rename(path("a"), path("b"))), Errno::ENOSPC);
    assert!(backing.path().join("a").exists());
    fs::rename(path("a"), path("b")).expect("only once");
    assert_eq!((hits.matched(), hits.fired()), (4, 1));

    node.inject(Rule::on(&[Op::Rename]), Action::LoseReply(Errno::EIO));
    assert_eq!(errno(fs::rename(path("b"), path("c"))), Errno::EIO);
    assert!(!backing.path().join("b").exists() && backing.path().join("c").exists());
    node.inject(Rule::on(&[Op::Unlink]), Action::LoseReply(Errno::ENOENT));
    assert_eq!(errno(fs::remove_file(path("c"))), Errno::ENOENT);
    assert!(!backing.path().join("c").exists());
    node.inject(Rule::on(&[Op::Create]), Action::LoseReply(Errno::EIO));
    assert_eq!(
        nix::sys::stat::mknod(&path("x"), nix::sys::stat::SFlag::S_IFIFO, nix::sys::stat::Mode::S_IRWXU, 0),
        Ok(())
    );
    assert_eq!(errno(File::options().write(true).create_new(true).open(path("d"))), Errno::EIO);
    assert!(backing.path().join("d").exists());

    let always = node.inject(Rule::on(&[Op::Fsync, Op::Fsyncdir]).always(), Action::Error(Errno::EDQUOT));
    for name in ["d", ""] {
        assert_eq!(errno(File::open(path(name)).and_then(|file| file.sync_all())), Errno::EDQUOT);
    }
    always.remove();
    File::open(path("d")).and_then(|file| file.sync_all()).expect("no rule any more");

    let file = File::options().write(true).open(path("d")).expect("opened");
    node.inject(Rule::on(&[Op::Write]).when(|call| call.offset == 4 && call.name == "d"), Action::Short(3));
    assert_eq!(file.write_at(b"0123", 0).expect("written"), 4);
    assert_eq!(file.write_at(b"45678", 4).expect("written"), 3);
    assert_eq!(read(backing.path().join("d")), "0123456");
}

#[test]
fn chance_is_the_same_for_the_same_seed() {
    if must_skip() {
        return;
    }
    let (_backing, node) = mount(Options::default());
    let pattern = |seed| {
        let rule = Rule::on(&[Op::Mkdir]).sometimes(0.5, seed);
        let hits = node.inject(rule, Action::LoseReply(Errno::EIO));
        let failed: Vec<_> = (0..64)
            .map(|number| {
                let path = node.path().join(number.to_string());
                let failed = fs::create_dir(&path).is_err();
                fs::remove_dir(&path).expect("there in any case");
                failed
            })
            .collect();
        hits.remove();
        assert_eq!(hits.fired(), failed.iter().filter(|failed| **failed).count() as u64);
        failed
    };
    assert_eq!(pattern(1), pattern(1));
    assert_ne!(pattern(1), pattern(2));
    let failures = pattern(3).iter().filter(|failed| **failed).count();
    assert!((16..=48).contains(&failures), "{failures}");
}

#[test]
fn a_process_is_killed_at_the_very_operation() {
    if must_skip() {
        return;
    }
    let (backing, node) = mount(Options::default());
    let run = || {
        let mut child = sh(node.path(), "exec dd if=/dev/zero of=f bs=512 count=8");
        (child.id(), child.wait().expect("ended"))
    };
    let writes = || Rule::on(&[Op::Write]).named(|name| name == "f").by_others();
    let points = node.count(writes());
    let (pid, status) = run();
    assert!(status.success());
    assert_eq!((points.matched(), node.counters().by(pid, Op::Write)), (8, 8));
    for k in 1..=8 {
        for before in [true, false] {
            let hits = node.inject(writes().nth(k), Action::Kill { before });
            assert_eq!(run().1.signal(), Some(Signal::SIGKILL as i32));
            let size = fs::metadata(backing.path().join("f")).expect("there").len();
            assert_eq!((size, hits.fired()), (512 * (k - u64::from(before)), 1));
            hits.remove();
        }
    }
    let hits = node.inject(Rule::any().always(), Action::Kill { before: true });
    fs::write(node.path().join("mine"), "").expect("the test itself is never killed");
    assert_eq!(hits.matched(), 0);
}

#[test]
fn only_the_processes_that_were_named_are_met() {
    if must_skip() {
        return;
    }
    let (_backing, node) = mount(Options::default());
    let mut waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut command = Command::new("sh");
            command.args(["-c", "read go; exec mkdir $$"]).current_dir(node.path());
            command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("spawned")
        })
        .collect();
    let named = [waiting[0].id(), waiting[2].id()];
    let hits = node.inject(Rule::on(&[Op::Mkdir]).by_any_of(&named).always(), Action::Error(Errno::EROFS));
    let results: Vec<_> = waiting
        .iter_mut()
        .map(|child| {
            child.stdin.take().expect("piped").write_all(b"\n").expect("written");
            child.wait().expect("ended").success()
        })
        .collect();
    assert_eq!((results, hits.matched()), (vec![false, true, false], 2));
}

#[test]
fn a_process_stops_before_or_after_the_operation_until_it_is_continued() {
    if must_skip() {
        return;
    }
    let (backing, node) = mount(Options::default());
    let exists = |name: &str| backing.path().join(name).exists();
    for before in [true, false] {
        fs::write(backing.path().join("a"), "").expect("written");
        let hits = node.inject(Rule::on(&[Op::Rename]).by_others(), Action::Stop { before });
        let mut child = sh(node.path(), "exec mv a b");
        assert!(hits.wait_fired(PATIENCE));
        if before {
            thread::sleep(Duration::from_millis(100));
            assert!(exists("a") && !exists("b"), "not yet");
        } else {
            until("stopped on the way out", || state(&child) == 'T');
            assert!(!exists("a") && exists("b"), "done");
        }
        assert!(child.try_wait().expect("known").is_none());
        send(&child, Signal::SIGCONT);
        assert!(child.wait().expect("ended").success());
        assert!(!exists("a") && exists("b"));
    }
    fs::rename(backing.path().join("b"), backing.path().join("a")).expect("renamed");
    let hits = node.inject(Rule::on(&[Op::Rename]).by_others(), Action::Stop { before: true });
    let mut child = sh(node.path(), "exec mv a b");
    assert!(hits.wait_fired(PATIENCE));
    thread::sleep(Duration::from_millis(30));
    child.kill().expect("killed");
    assert_eq!(child.wait().expect("ended").signal(), Some(Signal::SIGKILL as i32));
    assert!(exists("a") && !exists("b"), "what was stopped and killed is never done");
}

#[test]
fn a_process_with_threads_is_stopped_as_a_whole() {
    if must_skip() || Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let (backing, node) = mount(Options::default());
    let script = "
import os, threading, time
def tick():
    while True:
        open(os.environ['TICKS'], 'a').write('x'); time.sleep(0.005)
threading.Thread(target=tick, daemon=True).start()
time.sleep(0.1)
os.mkdir('made')
";
    let ticks = tempfile::NamedTempFile::new().expect("temporary file");
    let hits = node.inject(Rule::on(&[Op::Mkdir]), Action::Stop { before: true });
    let mut command = Command::new("python3");
    command.args(["-c", script]).env("TICKS", ticks.path()).current_dir(node.path());
    let mut child = command.spawn().expect("spawned");
    assert!(hits.wait_fired(PATIENCE));
    let tasks = format!("/proc/{}/task", child.id());
    until("a thread stands still", || {
        let stopped = |task: fs::DirEntry| read(task.path().join("status")).contains("State:\tT");
        fs::read_dir(&tasks).expect("listed").flatten().any(stopped)
    });
    let count = || fs::metadata(ticks.path()).expect("there").len();
    let before = count();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(count(), before, "the other thread stands still, too");
    assert!(before > 0 && !backing.path().join("made").exists());
    send(&child, Signal::SIGCONT);
    assert!(child.wait().expect("ended").success());
    assert!(backing.path().join("made").exists());
}

#[test]
fn a_client_that_waits_does_not_delay_others() {
    if must_skip() {
        return;
    }
    let (backing, node) = mount(Options::default());
    for name in ["f", "g"] {
        fs::write(backing.path().join(name), "content").expect("written");
    }
    let hits = node.inject(
        Rule::on(&[Op::Read, Op::Lookup]).by_others().always(),
        Action::Delay(Duration::from_secs(1)),
    );
    let start = Instant::now();
    let mut slow: Vec<_> = (0..8).map(|_| sh(node.path(), "exec cat f > /dev/null")).collect();
    assert!(hits.wait_fired(PATIENCE));
    let quick = Instant::now();
    // Whoever looks up the same name at the same time shares the kernel's answer, and waits for it.
    assert_eq!(read(node.path().join("g")), "content");
    assert!(quick.elapsed() < Duration::from_millis(800), "{:?}", quick.elapsed());
    for child in &mut slow {
        assert!(child.wait().expect("ended").success());
    }
    assert!(start.elapsed() >= Duration::from_secs(2), "looked up and read");
    assert!(start.elapsed() < Duration::from_secs(10), "not one after the other");
}

#[test]
fn a_mount_is_gone_when_its_test_has_panicked_or_its_clients_stay() {
    if must_skip() {
        return;
    }
    let is_mounted = |path: &Path| read("/proc/self/mounts").contains(path.to_str().expect("UTF-8"));
    let backing = tempfile::tempdir().expect("temporary directory");
    fs::write(backing.path().join("f"), "content").expect("written");
    let mut mounted = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let node = also(&backing, Options::default());
        let path = mounted.insert(node.path().to_owned());
        assert!(is_mounted(path));
        let _open = File::open(path.join("f")).expect("opened");
        std::panic::resume_unwind(Box::new("without a message"));
    }));
    let path = mounted.expect("mounted");
    assert!(panicked.is_err() && !is_mounted(&path) && !path.exists());

    let node = also(&backing, Options::default());
    let path = node.path().to_owned();
    let hits = node.inject(Rule::on(&[Op::Readdir]), Action::Stop { before: true });
    let (mut stays, mut stopped) = (sh(&path, "exec sleep 60"), sh(&path, "exec ls > /dev/null"));
    assert!(hits.wait_fired(PATIENCE));
    drop(node);
    assert!(!is_mounted(&path) && !path.exists());
    stopped.wait().expect("was continued and ended");
    stays.kill().and_then(|()| stays.wait()).expect("ended");
    assert_eq!(read(backing.path().join("f")), "content");
}

#[test]
fn a_test_process_that_is_killed_leaves_nothing() {
    if must_skip() {
        return;
    }
    let mut command = Command::new(std::env::current_exe().expect("known"));
    command.args(["what_is_done_through_a_mount_is_done_below", "--exact"]).stdout(Stdio::null());
    let mut killed = command.spawn().expect("spawned");
    let prefix = format!("/faultfs-{}-", killed.id());
    until("mounted", || read("/proc/self/mounts").contains(&prefix));
    killed.kill().expect("killed");
    // It may wait for an answer that only it could give.
    let killed = Mutex::new(killed);
    until("ended", || killed.lock().expect("ours").try_wait().expect("known").is_some());
    until("unmounted", || !read("/proc/self/mounts").contains(&prefix));
}
