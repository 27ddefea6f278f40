//! Other sequences, begun and ended.

use super::{Acted, Acting, Made, Refusal};
use crate::sequence::enrolling::{Enrolled, EnrollmentCreate, lead_of, let_go};
use crate::{Command, Result};
use serde_json::json;
use tandem_domain::decision::Decision;
use tandem_domain::id::SequenceId;
use tandem_domain::sequence::enrollment::{self, Chain, ExitReason};
use tandem_domain::sequence::steps::start_sequence::PlannedStart;
use tandem_domain::sequence::steps::stop_sequence::PlannedStop;
use tandem_domain::sequence::{Enrollment, SubjectKind};

impl Acting<'_> {
    /// The sequence of a key. It was there when this version was published, and sequences do not go away.
    async fn sequence(&self, key: &str) -> Result<SequenceId> {
        let unknown = || Refusal::SequenceUnknown { key: key.to_owned() };
        Ok(self.tx.peek_sequence_with_key(key).await?.ok_or_else(unknown)?.id)
    }

    /// Enrols the same person and lead. A refusal is put on record and the run goes on; so is a chain of starts that came
    /// too far, since it would be a loop.
    pub(super) async fn start_sequence(&self, planned: &PlannedStart) -> Result<Acted> {
        let sequence = self.sequence(&planned.sequence).await?;
        let Some(chain) = Chain::after(self.run, self.now) else {
            return Ok(Acted::refused(&Refusal::ChainTooLong));
        };
        let contact = Some(self.run.contact);
        let command = EnrollmentCreate { sequence, contact, lead: self.run.lead, vars: planned.vars.clone() };
        match Box::pin(command.decide(self.tx, self.call, self.env)).await {
            Ok(mut started) => {
                started.next.0.memory.chain = Some(chain);
                for fact in started.facts.iter_mut().filter(|fact| fact.kind == "enrollment.started") {
                    fact.detail.insert("started_by".to_owned(), json!(self.run.id));
                }
                let id = started.next.0.id;
                let made = started.map(|Enrolled(run, lead, superseded)| {
                    let mut made = Made::default();
                    // First the run that gives its place up: a person has one in a group. It may let the very lead go that
                    // the new one takes up.
                    if let Some((ended, (lead, items))) = superseded {
                        made.runs.push(ended);
                        made.leads.extend(lead);
                        made.items.extend(items);
                    }
                    made.runs.push(run);
                    made.leads.extend(lead);
                    made
                });
                Ok(Acted::of(made).saying(json!({ "enrollment": id })))
            }
            Err(error) => Acted::going_on(error),
        }
    }

    /// Ends the live runs of the same person; of a sequence that leads run through, only those of the run's own lead.
    pub(super) async fn stop_sequence(&self, planned: &PlannedStop) -> Result<Acted> {
        let sequence = self.sequence(&planned.sequence).await?;
        let meant = |run: &Enrollment| {
            let same = run.subject == SubjectKind::Contact || self.run.lead.is_none() || run.lead == self.run.lead;
            run.sequence == sequence && run.id != self.run.id && same
        };
        let mut ended = Decision::unchanged(Made::default());
        for run in self.tx.live_enrollments_of(self.run.contact).await?.into_iter().filter(meant) {
            let lead = lead_of(self.tx, &run).await?;
            let mut exited = enrollment::exit(run, ExitReason::Superseded, self.now)?;
            for fact in &mut exited.facts {
                fact.detail.insert("stopped_by".to_owned(), json!(self.run.id));
            }
            let exited = let_go(self.tx, exited, lead, self.env, self.now).await?;
            ended = ended.and(exited).map(|(mut made, (run, (lead, tasks)))| {
                made.runs.push(run);
                made.leads.extend(lead);
                made.items.extend(tasks);
                made
            });
        }
        let ids: Vec<_> = ended.next.runs.iter().map(|run| run.id).collect();
        Ok(Acted::of(ended).saying(json!({ "ended": ids })))
    }
}
