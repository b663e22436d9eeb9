//! One at a time removes the lock of a dead holder. Two that see the same dead holder would otherwise both remove a
//! lock: the second one the first one's new one.
//!
//! Between the processes of one node the kernel decides: an abstract socket name has one owner, whatever the file
//! system, and none once its owner has ended.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::ticket::Inode;

/// The right to remove the lock file with one inode, until it is dropped.
pub(super) struct Breaker(#[expect(dead_code, reason = "held for its name")] Option<UnixDatagram>);

impl Breaker {
    /// Takes the right, unless another process of this node has it. `certain`: break only if nobody else can; where
    /// sockets are not to be had, only a lock that was watched for the whole timeout is removed without the right.
    pub(super) fn try_take((device, number): Inode, certain: bool) -> Option<Self> {
        if crate::mutation::off("one-breaker") {
            return Some(Self(None));
        }
        let name = format!("tirastore-break-{device:x}-{number:x}");
        let bound =
            SocketAddr::from_abstract_name(name).and_then(|address| UnixDatagram::bind_addr(&address));
        match bound {
            Ok(socket) => Some(Self(Some(socket))),
            Err(error) if error.kind() == ErrorKind::AddrInUse || certain => None,
            Err(_) => Some(Self(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_may_remove_a_lock() {
        let inode = (u64::MAX, u64::from(std::process::id()));
        let breaker = Breaker::try_take(inode, true).expect("free");
        assert!(Breaker::try_take(inode, false).is_none());
        drop(breaker);
        assert!(Breaker::try_take(inode, true).is_some());
    }
}
