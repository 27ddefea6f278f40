//! The states of an enrolment and their reasons.

use crate::codes;
use crate::work_item::TaskOutcome;
use serde::{Deserialize, Serialize};

codes! {
    /// What a waiting enrolment waits for.
    pub enum WaitReason("wait reason") {
        /// A moment that the definition names.
        Time = "TIME",
        /// Something that must become known, such as the consent, or that the person must do; looked at again at the due time.
        Event = "EVENT",
        /// What became of the e-mail that was just planned.
        Email = "EMAIL",
        /// The hours in which the person may be written to.
        Window = "WINDOW",
        /// The end of the time in which the person was written to often enough.
        Cap = "CAP",
        /// A task that a person has to do first.
        Task = "TASK",
        /// Its turn among those that fell due while the sequence was paused.
        Backlog = "BACKLOG",
        /// How the call of another system ended that was just planned.
        Answer = "ANSWER",
    }
}

codes! {
    /// Why an enrolment is paused.
    pub enum PauseReason("pause reason") {
        /// Somebody paused this enrolment.
        Manual = "MANUAL",
        /// The whole sequence is paused.
        Sequence = "SEQUENCE",
        /// The person is away.
        OutOfOffice = "OUT_OF_OFFICE",
        /// An operator stopped it.
        Ops = "OPS",
    }
}

codes! {
    /// How a finished enrolment came to its end.
    pub enum FinishReason("finish reason") {
        /// The goal was reached.
        Goal = "GOAL",
        /// It went through to the end.
        Completed = "COMPLETED",
        /// The person answered.
        Replied = "REPLIED",
        /// A meeting was booked.
        MeetingBooked = "MEETING_BOOKED",
        /// An opportunity was opened at the company.
        OpportunityOpened = "OPPORTUNITY_OPENED",
    }
}

codes! {
    /// Why an enrolment was left early.
    pub enum ExitReason("exit reason") {
        /// The exit condition held, or a step says so.
        Rule = "RULE",
        /// The account left the target list.
        ListRemoved = "LIST_REMOVED",
        /// Something newer took its place, or the sequence was archived.
        Superseded = "SUPERSEDED",
        /// Somebody ended it.
        Manual = "MANUAL",
    }
}

codes! {
    /// Where an enrolment is, without the reason.
    pub enum StateKind("enrolment state") {
        /// It was made and has not begun.
        Pending = "PENDING",
        /// Its next step is due.
        Active = "ACTIVE",
        /// It waits for its due time.
        Waiting = "WAITING",
        /// It goes on when somebody resumes it.
        Paused = "PAUSED",
        /// It came to its end.
        Finished = "FINISHED",
        /// It was left early.
        Exited = "EXITED",
        /// The person does not want to be written to.
        OptedOut = "OPTED_OUT",
        /// The person cannot be written to.
        Bounced = "BOUNCED",
        /// A step could not be taken.
        Failed = "FAILED",
    }
}

codes! {
    /// How the task that a run waited for came to its end.
    pub enum TaskEnd("end of a task") {
        /// It is done.
        Done = "DONE",
        /// The person was not reached.
        NoAnswer = "NO_ANSWER",
        /// The person asks for another time.
        CallBack = "CALL_BACK",
        /// The person is interested.
        Interested = "INTERESTED",
        /// The person is not interested.
        NotInterested = "NOT_INTERESTED",
        /// A meeting was agreed.
        MeetingBooked = "MEETING_BOOKED",
        /// The number, the address or the person is wrong.
        BadData = "BAD_DATA",
        /// Somebody found that it need not be done.
        Cancelled = "CANCELLED",
        /// The run did not wait any longer.
        TimedOut = "TIMED_OUT",
    }
}

impl From<TaskOutcome> for TaskEnd {
    fn from(outcome: TaskOutcome) -> Self {
        match outcome {
            TaskOutcome::Done => Self::Done,
            TaskOutcome::NoAnswer => Self::NoAnswer,
            TaskOutcome::CallBack => Self::CallBack,
            TaskOutcome::Interested => Self::Interested,
            TaskOutcome::NotInterested => Self::NotInterested,
            TaskOutcome::MeetingBooked => Self::MeetingBooked,
            TaskOutcome::BadData => Self::BadData,
        }
    }
}

/// Where an enrolment is, with the reason where the state has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "reason", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnrollmentState {
    /// It was made and has not begun.
    Pending,
    /// Its next step is due.
    Active,
    /// It waits for its due time.
    Waiting(WaitReason),
    /// It goes on when somebody resumes it.
    Paused(PauseReason),
    /// It came to its end.
    Finished(FinishReason),
    /// It was left early.
    Exited(ExitReason),
    /// The person does not want to be written to.
    OptedOut,
    /// The person cannot be written to.
    Bounced,
    /// A step could not be taken; [`failure`](super::Enrollment::failure) says why.
    Failed,
}

impl EnrollmentState {
    /// The state without its reason.
    pub const fn kind(self) -> StateKind {
        match self {
            Self::Pending => StateKind::Pending,
            Self::Active => StateKind::Active,
            Self::Waiting(_) => StateKind::Waiting,
            Self::Paused(_) => StateKind::Paused,
            Self::Finished(_) => StateKind::Finished,
            Self::Exited(_) => StateKind::Exited,
            Self::OptedOut => StateKind::OptedOut,
            Self::Bounced => StateKind::Bounced,
            Self::Failed => StateKind::Failed,
        }
    }

    /// The code of the reason, where the state has one.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Waiting(reason) => Some(reason.as_str()),
            Self::Paused(reason) => Some(reason.as_str()),
            Self::Finished(reason) => Some(reason.as_str()),
            Self::Exited(reason) => Some(reason.as_str()),
            _ => None,
        }
    }

    /// Whether a run that something ended so leaves nothing for people to do: the person answered or is to be left alone, or the
    /// run was left early. See [`needs_no_tasks`](super::Enrollment::needs_no_tasks) for one that a step ended.
    pub(super) const fn needs_no_tasks(self) -> bool {
        match self {
            Self::Exited(_) | Self::OptedOut | Self::Bounced => true,
            Self::Finished(reason) => {
                matches!(reason, FinishReason::Replied | FinishReason::MeetingBooked | FinishReason::OpportunityOpened)
            }
            Self::Pending | Self::Active | Self::Waiting(_) | Self::Paused(_) | Self::Failed => false,
        }
    }

    /// Whether the enrolment is not over.
    pub const fn is_live(self) -> bool {
        self.kind().is_live()
    }
}

impl StateKind {
    /// Whether an enrolment in this state is not over.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Active | Self::Waiting | Self::Paused)
    }
}

impl std::fmt::Display for EnrollmentState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reason() {
            Some(reason) => write!(f, "{}({reason})", self.kind()),
            None => write!(f, "{}", self.kind()),
        }
    }
}
