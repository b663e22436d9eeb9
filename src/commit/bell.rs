//! Telling a process of this node what became of its post, without the file system.
//!
//! Whoever waits for an answer sleeps at a socket whose name only those can make who may list the queue; a holder that
//! has committed the post writes to it. That saves both of them requests, and the one who waits its next poll. It is an
//! addition: from another node, or without sockets, the answer comes as the name of a file (`queue`).

use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::Duration;

use crate::identity::HexDigest;
use crate::mutation;

/// Longer than any message.
const LONGEST_MESSAGE: usize = 1024;

/// Where one post's answer arrives.
#[derive(Debug)]
pub(super) struct Bell {
    socket: UnixDatagram,
    stem: String,
}

impl Bell {
    /// For the post whose file name begins with `stem`. `None` where there are no such sockets.
    pub(super) fn hang(stem: String) -> Option<Self> {
        // Without them answers come as they do from other nodes.
        (!mutation::off("bells")).then_some(())?;
        let socket = UnixDatagram::bind_addr(&address(&stem)?).ok()?;
        Some(Self { socket, stem })
    }

    /// The answer, if it has come.
    pub(super) fn answer(&self) -> Option<i64> {
        self.socket.set_nonblocking(true).ok()?;
        let answer = self.receive().ok().flatten();
        self.socket.set_nonblocking(false).ok()?;
        answer
    }

    /// Sleeps for `time`, or until the answer comes.
    pub(super) fn wait(&self, time: Duration) -> Option<i64> {
        match self.socket.set_read_timeout(Some(time)).and_then(|()| self.receive()) {
            Ok(answer) => answer,
            Err(error) => {
                let slept = matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                );
                if !slept {
                    thread::sleep(time);
                }
                None
            }
        }
    }
}

impl Bell {
    /// What somebody else wrote says nothing.
    fn receive(&self) -> io::Result<Option<i64>> {
        let mut message = [0; LONGEST_MESSAGE];
        let length = self.socket.recv(&mut message)?;
        Ok(answer_in(&message[..length], &self.stem))
    }
}

/// Rings the bells of others.
#[derive(Debug)]
pub(super) struct Ringer(Option<UnixDatagram>);

impl Ringer {
    pub(super) fn new() -> Self {
        let socket = UnixDatagram::unbound().ok();
        // Nobody who is stopped holds up the holder.
        Self(socket.filter(|socket| socket.set_nonblocking(true).is_ok()))
    }

    /// Answers the post whose file name begins with `stem`. `false` if nobody on this node waits for it.
    pub(super) fn ring(&self, stem: &str, answer: i64) -> bool {
        let send = |socket: &UnixDatagram| {
            socket.send_to_addr(format!("{stem} {answer}").as_bytes(), &address(stem)?).ok()
        };
        self.0.as_ref().and_then(send).is_some()
    }
}

/// The name does not give the stem away, which a message must contain: all can see the names of sockets, but only those
/// who may list the queue know what stands there, and may answer.
fn address(stem: &str) -> Option<SocketAddr> {
    let digest = HexDigest::of(format!("tirastore bell {stem}").as_bytes());
    SocketAddr::from_abstract_name(format!("tirastore-{}", &digest.as_str()[..32])).ok()
}

fn answer_in(message: &[u8], stem: &str) -> Option<i64> {
    std::str::from_utf8(message).ok()?.strip_prefix(stem)?.strip_prefix(' ')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn stem(name: &str) -> String {
        format!("batch_host_{}_{name}.1", std::process::id())
    }

    #[test]
    fn an_answer_wakes_who_waits_for_it() {
        let bell = Bell::hang(stem("a")).expect("sockets");
        let began = Instant::now();
        let ringer = thread::spawn(|| Ringer::new().ring(&stem("a"), 7));
        assert_eq!(bell.wait(Duration::from_secs(60)), Some(7));
        assert!(began.elapsed() < Duration::from_secs(30));
        assert!(ringer.join().expect("no panic"));
        assert_eq!(bell.wait(Duration::from_millis(1)), None);
    }

    #[test]
    fn nobody_is_told_of_an_answer_without_a_bell() {
        let ringer = Ringer::new();
        assert!(!ringer.ring(&stem("b"), 7));
        drop(Bell::hang(stem("b")).expect("sockets"));
        assert!(!ringer.ring(&stem("b"), 7), "its owner has gone");
    }

    #[test]
    fn a_message_of_somebody_who_cannot_list_the_queue_says_nothing() {
        let bell = Bell::hang(stem("c")).expect("sockets");
        let stranger = UnixDatagram::unbound().expect("sockets");
        for message in ["7", "batch 7", &format!("{}7", stem("c")), &format!("{} x", stem("c"))] {
            stranger.send_to_addr(message.as_bytes(), &address(&stem("c")).expect("a name")).expect("sent");
            assert_eq!(bell.wait(Duration::from_secs(60)), None, "{message}");
        }
    }
}
