//! Experiments, and who they were tried on.

use crate::page::{Page, PageOf};
use crate::stored::stored;
use crate::{Result, Store, Tx, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement, Value};
use std::collections::BTreeSet;
use tandem_domain::experiment::{Experiment, Metric, Tally};
use tandem_domain::id::SequenceId;
use uuid::Uuid;

stored!(Experiment, "Experiment", "experiment", |experiment| {
    sequence_id: Uuid = experiment.sequence.into(),
    step: String = experiment.step.clone(),
    state: String = experiment.state.to_string(),
    open: bool = experiment.is_open(),
});

impl Tx {
    /// All experiments of a sequence, in the order they were registered.
    pub async fn experiments_of(&self, sequence: SequenceId) -> Result<Vec<Experiment>> {
        let held = self.ahead().experiments_of(sequence.into());
        if let Some(held) = held {
            return Ok(held);
        }
        let query = row::Entity::find().filter(row::Column::SequenceId.eq(Uuid::from(sequence)));
        self.read(query.order_by_asc(row::Column::Id)).await
    }

    /// Reads the experiments of sequences that commands of this transaction are going to look at, in one statement.
    pub async fn experiments_ahead(&self, sequences: impl IntoIterator<Item = SequenceId>) -> Result<()> {
        let sequences: BTreeSet<Uuid> = sequences.into_iter().map(Uuid::from).collect();
        if sequences.is_empty() {
            return Ok(());
        }
        let query = row::Entity::find().filter(row::Column::SequenceId.is_in(sequences.iter().copied()));
        let found: Vec<Experiment> = self.read(query.order_by_asc(row::Column::Id)).await?;
        let mut ahead = self.ahead();
        for sequence in sequences {
            let of = found.iter().filter(|one| Uuid::from(one.sequence) == sequence).cloned().collect();
            ahead.put_experiments(sequence, of);
        }
        Ok(())
    }

    /// What is known at `now` of the people whom an experiment was tried on.
    pub async fn experiment_tallies(&self, experiment: &Experiment, now: DateTime<Utc>) -> Result<Vec<Tally>> {
        tallies(self.connection().await?, !self.is_postgres(), experiment, now).await
    }
}

impl Store {
    /// A page of the experiments of a sequence.
    pub async fn experiment_page(&self, sequence: SequenceId, page: &Page<Uuid>) -> Result<PageOf<Experiment>> {
        self.page(row::Entity::find().filter(row::Column::SequenceId.eq(Uuid::from(sequence))), page).await
    }

    /// What is known at `now` of the people whom an experiment was tried on; variants without people are left out.
    pub async fn experiment_tallies(&self, experiment: &Experiment, now: DateTime<Utc>) -> Result<Vec<Tally>> {
        tallies(self.reader(), self.is_sqlite(), experiment, now).await
    }
}

/// Whether the subject of `pick` did what the metric says within the window: a condition on the CTE `pick`, whose `$4` is the
/// window in milliseconds.
fn converted(metric: Metric, automated: &str) -> String {
    let within = |at: &str| format!("{at} >= pick.at AND {at} <= pick.at + $4");
    // A lead's events count for the runs of that lead, and for runs of the person that are about no lead.
    let lead = |kind: &str| {
        format!(
            "EXISTS (SELECT 1 FROM lead JOIN ledger_entry AS entry ON entry.lead_id = lead.id \
             WHERE lead.contact_id = pick.contact_id AND (pick.lead_id IS NULL OR pick.lead_id = lead.id) \
             AND entry.kind = '{kind}' AND {})",
            within("entry.at")
        )
    };
    let did = |kind: &str| {
        format!(
            "EXISTS (SELECT 1 FROM interaction WHERE interaction.contact_id = pick.contact_id \
             AND interaction.kind = '{kind}' AND {automated} IS NULL AND {})",
            within("interaction.occurred_at")
        )
    };
    let with_email = |kind: &str| {
        format!(
            "EXISTS (SELECT 1 FROM email JOIN interaction ON interaction.email_id = email.id \
             AND interaction.email_id IS NOT NULL WHERE email.enrollment_id = pick.run \
             AND interaction.kind = '{kind}' AND {automated} IS NULL AND {})",
            within("interaction.occurred_at")
        )
    };
    let ended = |reason: &str| {
        format!(
            "EXISTS (SELECT 1 FROM enrollment AS ended WHERE ended.id = pick.run AND ended.state = 'FINISHED' \
             AND ended.reason = '{reason}' AND {})",
            within("ended.ended_at")
        )
    };
    match metric {
        Metric::Replied => format!("({} OR {} OR {})", did("EMAIL_REPLY"), with_email("EMAIL_REPLY"), ended("REPLIED")),
        Metric::Meeting => format!("({} OR {})", did("MEETING"), ended("MEETING_BOOKED")),
        Metric::Clicked => with_email("EMAIL_CLICK"),
        Metric::Qualified => lead("lead.qualified"),
        Metric::Won => lead("lead.won"),
    }
}

/// A subject counts once, at the first choice after the start of the experiment and before its end.
async fn tallies(
    connection: &impl ConnectionTrait,
    sqlite: bool,
    experiment: &Experiment,
    now: DateTime<Utc>,
) -> Result<Vec<Tally>> {
    let Some(started_at) = experiment.started_at else { return Ok(Vec::new()) };
    let automated = match sqlite {
        true => "json_extract(interaction.body, '$.automated')",
        false => "(interaction.body ->> 'automated')",
    };
    let sql = format!(
        "WITH chosen AS (SELECT enrollment.id AS run, enrollment.contact_id, enrollment.lead_id, taken.variant, taken.at, \
         ROW_NUMBER() OVER (PARTITION BY enrollment.subject_id ORDER BY taken.at, taken.seq, taken.place) AS nth \
         FROM enrollment JOIN enrollment_step AS taken ON taken.enrollment_id = enrollment.id \
         WHERE enrollment.sequence_id = $1 AND taken.step = $2 AND taken.variant IS NOT NULL \
         AND taken.at >= $3 AND taken.at < $6), \
         pick AS (SELECT * FROM chosen WHERE nth = 1) \
         SELECT variant, COUNT(*) AS assigned, \
         COALESCE(SUM(CASE WHEN pick.at + $4 < $5 THEN 1 ELSE 0 END), 0) AS counted, \
         COALESCE(SUM(CASE WHEN pick.at + $4 < $5 AND {} THEN 1 ELSE 0 END), 0) AS converted \
         FROM pick GROUP BY variant ORDER BY variant",
        converted(experiment.design.metric, automated)
    );
    let values: [Value; 6] = [
        Uuid::from(experiment.sequence).into(),
        experiment.step.clone().into(),
        ms(started_at).into(),
        experiment.window().num_milliseconds().into(),
        ms(now).into(),
        experiment.decided_at.map_or(i64::MAX, ms).into(),
    ];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let count = |row: &sea_orm::QueryResult, column: &str| -> Result<u64> {
        Ok(u64::try_from(row.try_get::<i64>("", column)?).unwrap_or_default())
    };
    let rows = connection.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| {
            Ok(Tally {
                variant: row.try_get("", "variant")?,
                assigned: count(row, "assigned")?,
                counted: count(row, "counted")?,
                converted: count(row, "converted")?,
            })
        })
        .collect()
}
