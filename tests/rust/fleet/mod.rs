//! Client processes of one store (`tests/rust/client.rs`), and what must be true when all of them have ended.
#![allow(dead_code, reason = "each test uses its part")]

pub mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

/// A client that has not ended after so long is stuck.
const STUCK: Duration = Duration::from_secs(120);

/// One store and its clients.
pub struct Fleet {
    directory: TempDir,
    environment: Vec<(String, String)>,
    started: AtomicUsize,
}

impl Fleet {
    /// A store that does not exist yet, all of whose clients get `environment`.
    pub fn new(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        for part in ["store", "output"] {
            fs::create_dir(directory.path().join(part)).expect("created");
        }
        let environment =
            environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { directory, environment, started: AtomicUsize::new(0) }
    }

    /// The same with a kernel lock that every tenure takes.
    pub fn with_oracle(environment: &[(&str, &str)]) -> Self {
        let mut fleet = Self::new(environment);
        let oracle = fleet.directory.path().join("oracle");
        fleet.environment.push(("CLIENT_ORACLE".to_owned(), oracle.to_string_lossy().into_owned()));
        fleet
    }

    pub fn db(&self) -> PathBuf {
        self.store().join("s.db")
    }

    /// The directory in which nothing but the store is.
    pub fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Starts `client DB WORDS`.
    pub fn start(&self, words: &[&str]) -> Client {
        self.start_with(&[], words)
    }

    /// The same with more in its environment.
    pub fn start_with(&self, environment: &[(&str, &str)], words: &[&str]) -> Client {
        self.start_under(&[], environment, words)
    }

    /// The same, started by the command `launcher`.
    pub fn start_under(&self, launcher: &[&str], environment: &[(&str, &str)], words: &[&str]) -> Client {
        self.spawn(&self.db(), launcher, environment, words)
    }

    /// The same for a client that sees the store's directory as `node`.
    pub fn start_on(&self, node: &Path, environment: &[(&str, &str)], words: &[&str]) -> Client {
        self.spawn(&node.join("s.db"), &[], environment, words)
    }

    fn spawn(&self, db: &Path, launcher: &[&str], environment: &[(&str, &str)], words: &[&str]) -> Client {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let output = self.directory.path().join(format!("output/{number}"));
        let file = File::create_new(&output).expect("created");
        let program = env!("CARGO_BIN_EXE_client");
        let mut command = Command::new(launcher.first().unwrap_or(&program));
        if !launcher.is_empty() {
            command.args(&launcher[1..]).arg(program);
        }
        let child = command
            .arg(db)
            .args(words)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(file.try_clone().expect("duplicated"))
            .stdout(file)
            .spawn()
            .expect("started");
        Client { child, output }
    }

    /// Runs `client DB WORDS` to its end, which must be a good one.
    pub fn run(&self, words: &[&str]) -> Vec<String> {
        let mut client = self.start(words);
        let status = client.wait();
        assert!(status.success(), "client {words:?}: {status}, {:?}", client.lines());
        client.lines()
    }

    /// Every line of every client, in no order. What a killed client wrote of its last one is none.
    pub fn lines(&self) -> Vec<String> {
        (0..self.started.load(Ordering::Relaxed))
            .flat_map(|number| complete_lines(&self.directory.path().join(format!("output/{number}"))))
            .collect()
    }

    /// How many lines say `line`.
    pub fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|said| *said == line).count()
    }

    /// What is broken, once all clients have ended, or the figures.
    pub fn verify(&self) -> Result<Figures, String> {
        let lines = self.lines();
        let promised: BTreeSet<&str> = lines.iter().filter_map(|line| line.strip_prefix("ack ")).collect();
        let count = |word: &str| lines.iter().filter(|line| line.split(' ').next() == Some(word)).count();
        let (overlaps, wrong) = (count("overlap"), count("bad"));
        // Three tenures in a row, so that marks of dead waiters are found; they also sweep what the dead left.
        let prefix = format!("last{}", self.started.load(Ordering::Relaxed));
        let mut sweeper = self.start(&["record", &prefix, "0", "3"]);
        if !sweeper.wait().success() {
            return Err(format!("the last client: {:?}", sweeper.lines()));
        }
        let mut check = self.start(&["check"]);
        if !check.wait().success() {
            return Err(format!("the check: {:?}", check.lines()));
        }
        let found = check.lines();
        let present: BTreeSet<&str> = found.iter().filter_map(|line| line.strip_prefix("ok ")).collect();
        let damaged = found.iter().filter(|line| line.starts_with("bad ")).count();
        let lost: Vec<_> = promised.difference(&present).take(3).collect();
        let connection =
            Connection::open_with_flags_and_vfs(self.db(), OpenFlags::SQLITE_OPEN_READ_ONLY, c"unix-none")
                .map_err(|error| error.to_string())?;
        let verdict: String = connection
            .query_row("PRAGMA integrity_check(3)", [], |row| row.get(0))
            .map_err(|error| error.to_string())?;
        drop(connection);
        let left = self.left_behind();
        let figures = Figures { promised: promised.len(), present: present.len() };
        let whole = lost.is_empty() && damaged + wrong + overlaps == 0 && verdict == "ok" && left.is_empty();
        if whole {
            Ok(figures)
        } else {
            Err(format!(
                "{} of {} acknowledged records lost ({lost:?}), {damaged} damaged, {wrong} wrong answers, {overlaps} \
                 overlaps, integrity: {verdict}, left behind: {left:?}",
                promised.difference(&present).count(),
                promised.len(),
            ))
        }
    }

    /// Whatever stands beside the database, its journal and its lock, or in the lock beside one token.
    pub fn left_behind(&self) -> Vec<String> {
        let store = self.store();
        let mut left = names(&store);
        left.retain(|name| !matches!(name.as_str(), "s.db" | "s.db-journal" | "s.db.lock"));
        let lock = store.join("s.db.lock");
        if lock.is_file() {
            left.push("a lock file".to_owned());
        }
        if lock.is_dir() {
            let inside = names(&lock);
            let (tokens, rest): (Vec<_>, Vec<_>) =
                inside.into_iter().partition(|name| name.starts_with(['f', 'h']));
            if tokens.len() != 1 || !tokens[0].starts_with("f.") {
                left.push(format!("tokens {tokens:?}"));
            }
            left.extend(rest.into_iter().filter(|name| !name.starts_with(['p', 't'])));
        }
        left
    }
}

/// What was found where nothing is broken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub promised: usize,
    pub present: usize,
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn complete_lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

/// A client process. Killed when dropped.
pub struct Client {
    child: Child,
    output: PathBuf,
}

impl Client {
    pub fn lines(&self) -> Vec<String> {
        complete_lines(&self.output)
    }

    /// Bytes that it has written.
    pub fn written(&self) -> u64 {
        fs::metadata(&self.output).map_or(0, |metadata| metadata.len())
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // Not reaped yet, so that the number is its own.
        let _ = kill(Pid::from_raw(pid), signal);
    }

    /// Ends it at once; `false` if it had ended by itself.
    pub fn kill(&mut self) -> bool {
        let lived = self.child.try_wait().is_ok_and(|status| status.is_none());
        let _ = self.child.kill();
        let _ = self.child.wait();
        lived
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.wait_within(STUCK)
    }

    /// The same for one that may take longer.
    pub fn wait_within(&mut self, patience: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of this process") {
                return status;
            }
            assert!(began.elapsed() < patience, "a client is stuck: {:?}", self.lines());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until it has stopped itself; `false` if it ended instead.
    pub fn wait_until_stopped(&mut self) -> bool {
        let began = Instant::now();
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
            if stat.contains(") T ") {
                return true;
            }
            if self.has_ended() {
                return false;
            }
            assert!(began.elapsed() < STUCK, "a client is stuck: {:?}", self.lines());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until it has written a line that begins with `beginning`; `false` if it ended without.
    pub fn wait_for(&mut self, beginning: &str) -> bool {
        let began = Instant::now();
        loop {
            let ended = self.has_ended();
            if self.lines().iter().any(|line| line.starts_with(beginning)) {
                return true;
            }
            assert!(began.elapsed() < STUCK, "a client is stuck: {:?}", self.lines());
            if ended {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Does `work` to every item, `workers` at a time.
pub fn in_parallel<I: Send, O: Send>(workers: usize, items: Vec<I>, work: impl Fn(I) -> O + Sync) -> Vec<O> {
    let (queue, done) = (Mutex::new(items.into_iter().enumerate()), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no panic").next();
                    let Some((number, item)) = next else { return };
                    let result = work(item);
                    done.lock().expect("no panic").insert(number, result);
                }
            });
        }
    });
    done.into_inner().expect("no panic").into_values().collect()
}

/// The seed of this run, the same for all scenes of a process: given in `RELIABILITY_SEED`, or the time.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let given = std::env::var("RELIABILITY_SEED").ok().and_then(|seed| seed.parse().ok());
        given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        })
    })
}

/// The line of figures that a full run is judged by. Past the test harness, which keeps back what passing tests print.
pub fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "reliability: {text}");
}
