//! The protocol with one of its mechanisms left out or misplaced.

/// Each of these must have a counterexample: otherwise the mechanism is superfluous, or the model cannot see it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutation {
    /// A taker leaves older copies alone.
    NoRevoke,
    /// A record is acknowledged after COMMIT, before the release has succeeded.
    AcknowledgementBeforeRelease,
    /// D is never set: a slow writer keeps its descriptors of the live files.
    NoD,
    /// The copy is taken as it comes.
    NoCopyValidation,
    /// Kept connections are used under any fence number.
    NoFenceNumber,
    /// A retry does not look whether its first attempt was committed.
    NoAppliedIds,
    WNotInheritedAtTakeover,
    /// A taker opens by path under another fence number only, like everybody else.
    TakerKeepsItsConnection,
    JournalRenamedBeforeDatabase,
    /// Recovered in place, D cleared, but the fence number left as it was.
    FenceNumberNotRaisedAfterRefusedFence,
    RecoveryBeforeRenewWithW,
    WritingBeforeRenewWithW,
    /// A tenure that gives up before recovery releases the token.
    ReleaseBeforeRecovery,
}

impl Mutation {
    pub const ALL: [Self; 13] = [
        Self::NoRevoke,
        Self::AcknowledgementBeforeRelease,
        Self::NoD,
        Self::NoCopyValidation,
        Self::NoFenceNumber,
        Self::NoAppliedIds,
        Self::WNotInheritedAtTakeover,
        Self::TakerKeepsItsConnection,
        Self::JournalRenamedBeforeDatabase,
        Self::FenceNumberNotRaisedAfterRefusedFence,
        Self::RecoveryBeforeRenewWithW,
        Self::WritingBeforeRenewWithW,
        Self::ReleaseBeforeRecovery,
    ];
}
