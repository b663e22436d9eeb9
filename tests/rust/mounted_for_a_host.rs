//! Not a test of its own: serves a mount for a host of `tests/cluster`, for as long as the host is up.

mod faultfs;

use std::env;
use std::path::Path;
use std::thread;
use std::time::Duration;

use faultfs::{Cache, FaultFs, Options};

const CACHED: Duration = Duration::from_secs(1);

#[test]
#[ignore = "hosts of tests/cluster run it; it never ends"]
#[expect(clippy::print_stdout, reason = "says where it is mounted")]
fn serves_a_mount() {
    let Some(backing) = env::var_os("FAULTFS_BACKING") else { return };
    let cache = match env::var("FAULTFS_CACHE").as_deref() {
        Ok("coherent") => Cache::Coherent,
        Ok("cached") => Cache::Cached(CACHED),
        other => panic!("FAULTFS_CACHE must be coherent or cached, is {other:?}"),
    };
    let sync_backing = env::var_os("FAULTFS_FORGETS").is_none();
    let options = Options { cache, sync_backing, ..Options::default() };
    let mount = FaultFs::mount(Path::new(&backing), options).expect("mounted");
    println!("mounted at {}", mount.path().display());
    loop {
        thread::park();
    }
}
