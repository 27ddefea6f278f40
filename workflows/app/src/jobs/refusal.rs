//! What the runner's commands refuse.

/// Why a command about jobs, queues or schedules did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Calling jobs off needs a reason.
    #[error("say why in 1 to 500 characters: whoever misses the job will ask")]
    Reason,
    /// A command changes a limited number of jobs.
    #[error("a command changes 1 to 10,000 jobs; run it again for more")]
    TooMany,
    /// No job was ever put into a queue of this name.
    #[error("there is no queue {queue:?}; `jobQueues` and `tandem jobs queues` name those there are")]
    QueueUnknown {
        /// The name given.
        queue: String,
    },
    /// The limit of a queue is out of range.
    #[error("a limit is 1 to 1,000,000; to let nothing start, pause the queue")]
    Limit {
        /// The field with the limit.
        field: &'static str,
    },
    /// No schedule has this name.
    #[error("there is no schedule {schedule:?}; `jobSchedules` and `tandem jobs schedules` name those there are")]
    ScheduleUnknown {
        /// The name given.
        schedule: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Reason => "JOBS_REASON",
            Self::TooMany => "JOBS_TOO_MANY",
            Self::QueueUnknown { .. } => "JOB_QUEUE_UNKNOWN",
            Self::Limit { .. } => "JOB_QUEUE_LIMIT",
            Self::ScheduleUnknown { .. } => "JOB_SCHEDULE_UNKNOWN",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        Some(match self {
            Self::Reason => "reason",
            Self::TooMany => "limit",
            Self::QueueUnknown { .. } | Self::ScheduleUnknown { .. } => "name",
            Self::Limit { field } => field,
        })
    }
}
