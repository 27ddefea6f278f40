//! Sequences, their versions, and enrolments.

pub mod sequence_row {
    //! The sequence's row.
    use crate::stored::stored;
    use tandem_domain::sequence::Sequence;
    stored!(Sequence, "Sequence", "sequence", |sequence| {
        key: String = sequence.key.clone(),
        state: String = sequence.state.to_string(),
    });
}

pub mod version_row {
    //! The version's row, which is written once.
    use crate::stored::stored;
    use tandem_domain::sequence::SequenceVersion;
    stored!(SequenceVersion, "SequenceVersion", "sequence_version", |version| {
        sequence_id: Uuid = version.sequence.into(),
        number: i32 = i32::try_from(version.number).unwrap_or(i32::MAX),
        hash: String = version.hash.clone(),
        triggers: i32 = i32::try_from(version.definition.header.triggers.len()).unwrap_or(i32::MAX),
        hears: i32 = tandem_domain::sequence::hearing::listens(&version.definition),
    }, save_parts = crate::email_template::save_uses);
}

pub mod enrollment_row {
    //! The enrolment's row.
    use crate::stored::stored;
    use tandem_domain::sequence::Enrollment;
    stored!(Enrollment, "Enrollment", "enrollment", |enrollment| {
        sequence_id: Uuid = enrollment.sequence.into(),
        version_id: Uuid = enrollment.version.into(),
        contact_id: Uuid = enrollment.contact.into(),
        lead_id: Option<Uuid> = enrollment.lead.map(Into::into),
        account_id: Option<Uuid> = enrollment.account.map(Into::into),
        subject_id: Uuid = enrollment.subject_id(),
        reentry_key: String = enrollment.reentry_key.clone(),
        state: String = enrollment.state.kind().to_string(),
        reason: Option<String> = enrollment.state.reason().map(str::to_owned),
        live: bool = enrollment.state.is_live(),
        due_at: Option<i64> = enrollment.due_at.map(crate::ms),
        held_at: Option<i64> = enrollment.held.map(|held| crate::ms(held.due_at)),
        step: Option<String> = Some(enrollment.step.clone()),
        started_at: Option<i64> = Some(crate::ms(enrollment.started_at)),
        ended_at: Option<i64> = enrollment.ended_at.map(crate::ms),
        exclusive_group: Option<String> = enrollment.exclusive.as_ref().map(|place| place.group.clone()),
    });
}

use crate::email::row as email;
use crate::page::{Page, PageOf};
use crate::{Result, Store, Tx};
use enrollment_row::row as enrollment;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use sequence_row::row as sequence;
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::id::{AccountId, ContactId, LeadId, SequenceId, SequenceVersionId};
use tandem_domain::sequence::enrollment::{PauseReason, StateKind};
use tandem_domain::sequence::{Enrollment, Sequence, SequenceState, SequenceVersion};
use uuid::Uuid;
use version_row::row as version;

/// Which enrolments to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct EnrollmentFilter {
    /// In this sequence.
    pub sequence: Option<SequenceId>,
    /// In this version.
    pub version: Option<SequenceVersionId>,
    /// Of this person.
    pub contact: Option<ContactId>,
    /// Of this lead.
    pub lead: Option<LeadId>,
    /// Of people at this company.
    pub account: Option<AccountId>,
    /// In one of these states; empty means any.
    pub states: Vec<StateKind>,
}

#[derive(FromQueryResult)]
struct Counted {
    state: String,
    count: i64,
}

#[derive(FromQueryResult)]
struct CountedOf {
    sequence_id: Uuid,
    count: i64,
}

#[derive(FromQueryResult)]
struct CountedIn {
    sequence_id: Uuid,
    state: String,
    count: i64,
}

impl Tx {
    /// The sequence with this key, locked.
    pub async fn sequence_with_key(&self, key: &str) -> Result<Option<Sequence>> {
        Ok(self.select(sequence::Entity::find().filter(sequence::Column::Key.eq(key))).await?.pop())
    }

    /// The sequence with this key, not locked: enrolments only read it.
    pub async fn peek_sequence_with_key(&self, key: &str) -> Result<Option<Sequence>> {
        Ok(self.read(sequence::Entity::find().filter(sequence::Column::Key.eq(key))).await?.pop())
    }

    /// The keys of up to `limit` sequences.
    pub async fn sequence_keys(&self, limit: u64) -> Result<Vec<String>> {
        let sequences: Vec<Sequence> = self.read(sequence::Entity::find().limit(limit)).await?;
        Ok(sequences.into_iter().map(|sequence| sequence.key).collect())
    }

    /// The newest enrolment of a subject (the id of a contact or a lead) in a sequence under a re-entry key.
    pub async fn newest_enrollment(&self, of: SequenceId, subject: Uuid, key: &str) -> Result<Option<Enrollment>> {
        let query = enrollment::Entity::find()
            .filter(enrollment::Column::SequenceId.eq(Uuid::from(of)))
            .filter(enrollment::Column::SubjectId.eq(subject))
            .filter(enrollment::Column::ReentryKey.eq(key))
            .order_by_desc(enrollment::Column::Id)
            .limit(1);
        Ok(self.read(query).await?.pop())
    }

    /// Up to `limit` enrolments that paused because their sequence did, locked, in the order in which they fell due.
    pub async fn enrollments_paused_with(&self, of: SequenceId, limit: u64) -> Result<Vec<Enrollment>> {
        let in_order = paused_with(of)
            .filter(enrollment::Column::HeldAt.is_not_null())
            .order_by_asc(enrollment::Column::HeldAt)
            .order_by_asc(enrollment::Column::Id)
            .limit(limit);
        let found = self.select(in_order).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        // What a process of an earlier version pauses beside this one has no such column.
        self.select(paused_with(of).order_by_asc(enrollment::Column::Id).limit(limit)).await
    }

    /// How many enrolments fell due while their sequence was paused: those that paused with it, and those whose e-mail is held
    /// with it.
    pub async fn count_paused_with(&self, of: SequenceId) -> Result<u64> {
        Ok(behind([of]).count(self.connection().await?).await?)
    }

    /// Up to `limit` live enrolments of a sequence, locked, in the order of their ids.
    pub async fn live_enrollments_in(&self, of: SequenceId, limit: u64) -> Result<Vec<Enrollment>> {
        let query = enrollment::Entity::find()
            .filter(enrollment::Column::SequenceId.eq(Uuid::from(of)))
            .filter(enrollment::Column::Live.eq(true))
            .order_by_asc(enrollment::Column::Id)
            .limit(limit);
        self.select(query).await
    }

    /// Loads a sequence that is only read, and keeps it from being published anew until the end of the transaction: whoever
    /// enrols is either seen by the publication, or sees it. Several who enrol do not wait for each other.
    pub async fn share_sequence(&self, id: SequenceId) -> Result<Option<Sequence>> {
        let query = sequence::Entity::find().filter(sequence::Column::Id.eq(Uuid::from(id)));
        let query = if self.is_postgres() { query.lock_shared() } else { query };
        Ok(self.read(query).await?.pop())
    }

    /// The live enrolments of a person in all sequences, locked, oldest first.
    pub async fn live_enrollments_of(&self, contact: ContactId) -> Result<Vec<Enrollment>> {
        let query = enrollment::Entity::find()
            .filter(enrollment::Column::ContactId.eq(Uuid::from(contact)))
            .filter(enrollment::Column::Live.eq(true))
            .order_by_asc(enrollment::Column::Id);
        self.select(query).await
    }

    /// The ids of the live enrolments of some people in all sequences, none of them locked.
    pub async fn live_enrollment_ids_of(&self, contacts: &[ContactId]) -> Result<BTreeSet<Uuid>> {
        let mut found = BTreeSet::new();
        for contacts in contacts.chunks(500) {
            let query = enrollment::Entity::find()
                .select_only()
                .column(enrollment::Column::Id)
                .filter(enrollment::Column::ContactId.is_in(contacts.iter().map(|contact| Uuid::from(*contact))))
                .filter(enrollment::Column::Live.eq(true));
            found.extend(query.into_tuple::<Uuid>().all(self.connection().await?).await?);
        }
        Ok(found)
    }

    /// The live enrolments of a person in a group of sequences, only to be read. There is at most one.
    pub async fn live_enrollments_in_group(&self, contact: ContactId, group: &str) -> Result<Vec<Enrollment>> {
        let query = enrollment::Entity::find()
            .filter(enrollment::Column::ContactId.eq(Uuid::from(contact)))
            .filter(enrollment::Column::ExclusiveGroup.eq(group))
            .filter(enrollment::Column::Live.eq(true));
        self.read(query).await
    }
}

fn paused_with(of: SequenceId) -> sea_orm::Select<enrollment::Entity> {
    enrollment::Entity::find()
        .filter(enrollment::Column::SequenceId.eq(Uuid::from(of)))
        .filter(enrollment::Column::State.eq(StateKind::Paused.as_str()))
        .filter(enrollment::Column::Reason.eq(PauseReason::Sequence.as_str()))
}

/// Those that paused with their sequence, and the live ones whose e-mail is held with it: each once.
fn behind(of: impl IntoIterator<Item = SequenceId>) -> sea_orm::Select<enrollment::Entity> {
    let of: Vec<Uuid> = of.into_iter().map(Uuid::from).collect();
    let held = email::Entity::find()
        .select_only()
        .column(email::Column::EnrollmentId)
        .filter(email::Column::HeldWith.is_in(of.iter().copied()))
        .into_query();
    let paused = Condition::all()
        .add(enrollment::Column::State.eq(StateKind::Paused.as_str()))
        .add(enrollment::Column::Reason.eq(PauseReason::Sequence.as_str()));
    let held = Condition::all().add(enrollment::Column::Live.eq(true)).add(enrollment::Column::Id.in_subquery(held));
    enrollment::Entity::find()
        .filter(enrollment::Column::SequenceId.is_in(of))
        .filter(Condition::any().add(paused).add(held))
}

impl Store {
    /// How many enrolments fell due while their sequence was paused, or have an e-mail that is held with it, and wait for it to
    /// go on.
    pub async fn count_paused_with(&self, of: SequenceId) -> Result<u64> {
        Ok(behind([of]).count(self.reader()).await?)
    }

    /// The same of several sequences; one without any is left out.
    pub async fn count_paused_with_each(
        &self,
        of: impl IntoIterator<Item = SequenceId>,
    ) -> Result<BTreeMap<SequenceId, u64>> {
        let query = behind(of)
            .select_only()
            .column(enrollment::Column::SequenceId)
            .column_as(enrollment::Column::Id.count(), "count")
            .group_by(enrollment::Column::SequenceId);
        let counted = query.into_model::<CountedOf>().all(self.reader()).await?;
        let count = |row: CountedOf| (row.sequence_id.into(), u64::try_from(row.count).unwrap_or(0));
        Ok(counted.into_iter().map(count).collect())
    }

    /// The sequence with this key.
    pub async fn sequence_by_key(&self, key: &str) -> Result<Option<Sequence>> {
        Ok(self.all(sequence::Entity::find().filter(sequence::Column::Key.eq(key))).await?.pop())
    }

    /// A page of sequences, in these states; empty means any.
    pub async fn sequence_page(&self, states: &[SequenceState], page: &Page<Uuid>) -> Result<PageOf<Sequence>> {
        let mut query = sequence::Entity::find();
        if !states.is_empty() {
            query = query.filter(sequence::Column::State.is_in(states.iter().map(|state| state.as_str())));
        }
        self.page(query, page).await
    }

    /// A page of a sequence's versions.
    pub async fn sequence_version_page(&self, of: SequenceId, page: &Page<Uuid>) -> Result<PageOf<SequenceVersion>> {
        self.page(version::Entity::find().filter(version::Column::SequenceId.eq(Uuid::from(of))), page).await
    }

    /// A page of enrolments.
    pub async fn enrollment_page(&self, filter: &EnrollmentFilter, page: &Page<Uuid>) -> Result<PageOf<Enrollment>> {
        use enrollment::Column;
        let mut query = enrollment::Entity::find();
        let conditions = [
            (Column::SequenceId, filter.sequence.map(Uuid::from)),
            (Column::VersionId, filter.version.map(Uuid::from)),
            (Column::ContactId, filter.contact.map(Uuid::from)),
            (Column::LeadId, filter.lead.map(Uuid::from)),
            (Column::AccountId, filter.account.map(Uuid::from)),
        ];
        for (column, id) in conditions {
            if let Some(id) = id {
                query = query.filter(column.eq(id));
            }
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        self.page(query, page).await
    }

    /// How many enrolments of a sequence (or of all) are in each state; states without any are left out.
    pub async fn enrollment_counts(&self, of: Option<SequenceId>) -> Result<BTreeMap<StateKind, i64>> {
        let mut query = enrollment::Entity::find()
            .select_only()
            .column(enrollment::Column::State)
            .column_as(enrollment::Column::Id.count(), "count")
            .group_by(enrollment::Column::State);
        if let Some(of) = of {
            query = query.filter(enrollment::Column::SequenceId.eq(Uuid::from(of)));
        }
        let counted = query.into_model::<Counted>().all(self.reader()).await?;
        Ok(counted.into_iter().filter_map(|row| Some((row.state.parse().ok()?, row.count))).collect())
    }

    /// The same of several sequences, in one statement; one without any is left out.
    pub async fn enrollment_counts_of(
        &self,
        of: impl IntoIterator<Item = SequenceId>,
    ) -> Result<BTreeMap<SequenceId, BTreeMap<StateKind, i64>>> {
        let query = enrollment::Entity::find()
            .filter(enrollment::Column::SequenceId.is_in(of.into_iter().map(Uuid::from)))
            .select_only()
            .column(enrollment::Column::SequenceId)
            .column(enrollment::Column::State)
            .column_as(enrollment::Column::Id.count(), "count")
            .group_by(enrollment::Column::SequenceId)
            .group_by(enrollment::Column::State);
        let mut found: BTreeMap<SequenceId, BTreeMap<StateKind, i64>> = BTreeMap::new();
        for row in query.into_model::<CountedIn>().all(self.reader()).await? {
            if let Ok(state) = row.state.parse() {
                found.entry(row.sequence_id.into()).or_default().insert(state, row.count);
            }
        }
        Ok(found)
    }
}
