//! Is a claim still somebody's? Judged by what this node has seen and proved, never by another node's clock.

use crate::clock;
use crate::lock::{Owner, Process, my_random};
use crate::mutation;
use crate::storage::claims::StoredClaim;

/// One look from this node.
///
/// Looks are stored with the claim under the name of the boot, whose clock goes on from job to job: what one job has
/// begun to watch the next one gives up, however short they are.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) name: String,
    /// Milliseconds since this node booted.
    pub(super) now_ms: i64,
}

/// What has become of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its owner may be at work.
    Held,
    /// Its owner said why it failed.
    Failed(String),
    /// Its owner has gone without a word: how that is known.
    Abandoned(String),
}

impl Observer {
    /// This node, now.
    pub(super) fn now() -> Self {
        let me = Process::me();
        // Without the name of the boot a look is worth something to this process only.
        let boot = me.boot_id.unwrap_or_else(|| format!("{:016x}", my_random()));
        // Another time namespace has another clock.
        let clock = me.time_namespace.unwrap_or(0);
        let name = format!("{boot}.{clock}.{}", mutation::hostname().unwrap_or_default());
        let name = if mutation::off("own-clock-only") { String::new() } else { name };
        let now_ms = i64::try_from(clock::since_boot().as_millis()).unwrap_or(i64::MAX);
        Self { name, now_ms }
    }

    pub(super) fn judge(&self, claim: &StoredClaim) -> Standing {
        if let Some(message) = &claim.failure {
            return Standing::Failed(message.clone());
        }
        if mutation::off("respect-claims") {
            return Standing::Abandoned("nobody asks".to_owned());
        }
        let owner = Owner::read(&claim.owner);
        if owner.as_ref().is_some_and(Owner::is_provably_dead) {
            return Standing::Abandoned(format!("{} has ended", owner_of(claim)));
        }
        // The number of renewals is that of the first look: there was none since, and a claim is never made twice.
        let silent = claim.seen_since_ms.map_or(0, |since| self.now_ms.saturating_sub(since));
        if silent >= claim.lease_ms && !mutation::off("claim-expiry-by-observation") {
            #[allow(clippy::cast_precision_loss)] // for people
            let lease = claim.lease_ms as f64 / 1000.0;
            return Standing::Abandoned(format!(
                "{} has not renewed it for its lease of {lease} s",
                owner_of(claim)
            ));
        }
        Standing::Held
    }
}

/// Who has made `claim`, for people.
pub(super) fn owner_of(claim: &StoredClaim) -> String {
    let process = Owner::read(&claim.owner).map(|owner| owner.process).unwrap_or_default();
    format!("{process} (user {})", claim.username)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(owner: &str, seen_since_ms: Option<i64>) -> StoredClaim {
        StoredClaim {
            key: "k".to_owned(),
            id: "1".to_owned(),
            beat: 0,
            lease_ms: 1000,
            owner: owner.to_owned(),
            username: "ada".to_owned(),
            program_name: "p".to_owned(),
            schedule: String::new(),
            failure: None,
            seen_since_ms,
        }
    }

    #[test]
    fn a_claim_is_given_up_after_its_lease_of_this_nodes_clock() {
        let observer = Observer { name: String::new(), now_ms: 5000 };
        for (owner, since, is_held) in [
            (Owner::me().to_string(), None, true),
            (Owner::me().to_string(), Some(4001), true),
            (Owner::me().to_string(), Some(4000), false),
            ("of a version to come".to_owned(), Some(4001), true),
            ("of a version to come".to_owned(), Some(4000), false),
            // A look from the future is none.
            (String::new(), Some(9000), true),
        ] {
            let standing = observer.judge(&claim(&owner, since));
            assert_eq!(standing == Standing::Held, is_held, "{owner:?} {since:?}: {standing:?}");
        }
    }

    #[test]
    fn a_failed_claim_is_nobodys() {
        let failed = StoredClaim { failure: Some("why".to_owned()), ..claim(&Owner::me().to_string(), None) };
        assert_eq!(Observer::now().judge(&failed), Standing::Failed("why".to_owned()));
    }
}
