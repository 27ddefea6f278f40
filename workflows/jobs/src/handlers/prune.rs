//! Forgets what nobody can ask for any more.

use crate::Disposition;
use chrono::TimeDelta;
use tandem_app::{App, AppError, Call};

/// How many rows one statement deletes at most: a lock that is held briefly.
const AT_ONCE: u64 = 5_000;

/// Answers to repeated requests are kept for a day; archived jobs, what went through webhooks or came as events or e-mails,
/// and whom triggers passed over, for ninety.
const KEPT: TimeDelta = TimeDelta::days(90);

/// Deletes part by part until nothing is left to delete.
pub(super) async fn run(app: &App, call: &Call) -> Result<Disposition, AppError> {
    let now = call.now(&app.env);
    loop {
        let answers = app.store.prune_answers(now, AT_ONCE).await?;
        let jobs = app.store.prune_archive(now - KEPT, AT_ONCE).await?;
        let paces = app.store.prune_paces(now, AT_ONCE).await?;
        let inbound = app.store.prune_inbound(now - KEPT, AT_ONCE).await?;
        let events = app.store.prune_events(now - KEPT, AT_ONCE).await?;
        let outbound = app.store.prune_outbound(now - KEPT, AT_ONCE).await?;
        let received = app.store.prune_received(now - KEPT, AT_ONCE).await?;
        let calls = app.store.prune_outbound_calls(now - KEPT, AT_ONCE).await?;
        let skips = app.store.prune_trigger_skips(now - KEPT, AT_ONCE).await?;
        let memory = app.store.prune_trigger_memory(AT_ONCE).await?;
        let all = [answers, jobs, paces, inbound, events, outbound, received, calls, skips, memory];
        if all.iter().all(|deleted| *deleted < AT_ONCE) {
            return Ok(Disposition::Obsolete);
        }
    }
}
