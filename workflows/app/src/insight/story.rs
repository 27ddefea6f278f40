//! An enrolment's full story.

use crate::{App, Result};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::email::Email;
use tandem_domain::id::{EmailId, EnrollmentId};
use tandem_domain::interaction::Interaction;
use tandem_domain::sequence::story::{Beat, beat};
use tandem_domain::work_item::WorkItem;
use tandem_store::ledger::Link;
use tandem_store::views::story::EmailFate;
use tandem_store::{Page, PageOf, Stored};
use uuid::Uuid;

/// One entry of a story, with what it is about as that is now.
#[derive(Debug, Clone, PartialEq)]
pub struct StoryEntry {
    /// The entry of the ledger.
    pub link: Link,
    /// What it says.
    pub beat: Beat,
    /// The e-mail it is about, and what people did with that.
    pub email: Option<(Email, EmailFate)>,
    /// The task it is about.
    pub task: Option<WorkItem>,
    /// What the person did.
    pub interaction: Option<Interaction>,
}

impl App {
    /// A page of an enrolment's story, oldest first: five statements at most, whatever the run did.
    pub async fn enrollment_story(&self, of: EnrollmentId, page: &Page<i64>) -> Result<PageOf<StoryEntry>> {
        let links = self.store.story_page(of, page).await?;
        let about = |kind: &str| -> BTreeSet<Uuid> {
            let entries = links.items.iter().map(|link| &link.entry);
            entries.filter(|entry| entry.subject_kind == kind).map(|entry| entry.subject_id).collect()
        };
        let (tasks, mut interactions) = (self.of::<WorkItem>(about("WorkItem")).await?, BTreeMap::new());
        interactions.extend(self.of::<Interaction>(about("Interaction")).await?);
        let mut emails = about("Email");
        emails.extend(interactions.values().filter_map(Interaction::email).map(Uuid::from));
        let emails = self.of::<Email>(emails).await?;
        let ids: Vec<EmailId> = emails.values().map(|email| email.id).collect();
        let fates = if ids.is_empty() { BTreeMap::new() } else { self.store.email_fates(&ids).await? };
        Ok(links.map(|link| {
            let id = link.entry.subject_id;
            let interaction = interactions.get(&id).cloned();
            let email = match &interaction {
                Some(interaction) => interaction.email().and_then(|email| emails.get(&Uuid::from(email))),
                None => emails.get(&id),
            };
            let email = email.map(|email| (email.clone(), fates.get(&email.id).copied().unwrap_or_default()));
            StoryEntry { beat: beat(&link.entry), email, task: tasks.get(&id).cloned(), interaction, link }
        }))
    }

    /// The aggregates with these ids, by id; without a statement where there are none.
    async fn of<T: Stored>(&self, ids: BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, T>> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let found = self.store.find_many::<T>(ids).await?;
        Ok(found.into_iter().map(|value| (value.key(), value)).collect())
    }
}
