//! What Tandem does for itself on a schedule: the nets under the timers, and pruning.

use crate::schedule::{Missed, define};
use tandem_app::App;
use tandem_domain::decision::Job;

/// Name, cron in UTC, what becomes of missed ticks, and the job.
const SCHEDULES: [(&str, &str, Missed, Job); 3] = [
    ("sweep-overdue-leads", "*/15 * * * *", Missed::Once, Job::SweepLeads {}),
    ("prune", "17 3 * * *", Missed::Once, Job::Prune {}),
    ("poll-inbox", "* * * * *", Missed::Once, Job::PollInbox {}),
];

/// Makes the schedules what they should be. A failure is for the log: the next start tries again.
pub(crate) async fn keep_schedules(app: &App) {
    // The database's clock turns schedules, so it also says where they begin: to a node whose own clock is behind, every
    // schedule would seem to have missed its tick.
    let now = match app.store.database_time().await {
        Ok(now) => now,
        Err(error) => {
            tracing::error!(%error, "the schedules could not be kept");
            return;
        }
    };
    // Where there is no mailbox, nobody needs to look into it every minute.
    let wanted = |job: &Job| *job != Job::PollInbox {} || app.env.mail.inbox.is_some();
    for (name, cron, missed, job) in SCHEDULES.into_iter().filter(|(.., job)| wanted(job)) {
        let schedule = match define(name, cron, "UTC", missed, &job, now) {
            Ok(schedule) => schedule,
            Err(error) => {
                tracing::error!(name, %error, "a schedule cannot be read");
                continue;
            }
        };
        if let Err(error) = app.store.keep_schedule(&schedule).await {
            tracing::error!(name, %error, "a schedule could not be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_can_be_read() {
        for (name, cron, missed, job) in SCHEDULES {
            define(name, cron, "UTC", missed, &job, chrono::DateTime::UNIX_EPOCH).unwrap();
        }
    }
}
