//! A task is closed: the run that waits for it goes on, in the same transaction.

use crate::Result;
use chrono::{DateTime, Utc};
use tandem_domain::decision::Decision;
use tandem_domain::id::WorkItemId;
use tandem_domain::sequence::enrollment::{TaskEnd, task_settled};
use tandem_domain::sequence::{Enrollment, SequenceVersion};
use tandem_domain::work_item::WorkItem;
use tandem_store::Tx;

/// The run whose step made an item, locked: before the item, as everywhere.
pub(crate) async fn run_of_task(tx: &Tx, item: WorkItemId) -> Result<Option<Enrollment>> {
    match tx.peek::<WorkItem>(item).await?.and_then(|item| item.enrollment) {
        Some(enrollment) => Ok(tx.get(enrollment).await?),
        None => Ok(None),
    }
}

/// What the end of a task does to the run that made it; none where the run does not wait for it (any more).
pub(crate) async fn task_closed(
    tx: &Tx,
    item: &WorkItem,
    run: Option<Enrollment>,
    end: TaskEnd,
    now: DateTime<Utc>,
) -> Result<Option<Decision<Enrollment>>> {
    let (Some(run), Some(visit)) = (run, item.visit) else { return Ok(None) };
    if run.memory.task.as_ref().is_none_or(|task| task.visit != visit) {
        return Ok(None);
    }
    let Some(version) = tx.peek::<SequenceVersion>(run.version).await? else { return Ok(None) };
    Ok(task_settled(run, &version.definition, visit, end, now))
}
