//! What happens at a moment, and what comes before what.

use crate::id::{EmailId, SendingMailboxId};
use crate::sequence::enrollment::TaskEnd;
use chrono::{DateTime, Utc};

/// What happens at a moment.
#[derive(Debug)]
pub(super) enum Beat {
    /// Somebody is to be taken into the sequence.
    Enter(usize),
    /// A run falls due.
    Advance(usize, u32),
    /// An e-mail is to go out.
    Deliver(EmailId),
    /// A round of a mailbox.
    Round(SendingMailboxId, u32),
    /// A task that a run waits for comes to its end.
    TaskEnds(usize, u32, TaskEnd),
    /// Somebody does something: the number of the deed, and the run whose e-mail it answers.
    Happens(usize, Deed, Option<usize>),
    /// Somebody unsubscribes.
    Unsubscribes(usize),
    /// What somebody did is heard of; it has that place on the record.
    Heard(usize, Deed, i64),
    /// Something changed that conditions read.
    Changed(usize),
}

/// What somebody does: the number of one of the recorded past, or of one that was drawn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    Recorded(usize),
    Drawn(usize),
}

#[derive(Debug)]
pub(super) struct Due {
    pub(super) key: (DateTime<Utc>, u8, u64),
    pub(super) beat: Beat,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
