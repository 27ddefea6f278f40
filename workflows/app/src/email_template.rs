//! Templates of e-mails that sequences share: publishing them, archiving them, and finding those that a sequence names.

use crate::reading::Reading;
use crate::sequence::{self, Applied, SequencePublishAgain};
use crate::{App, AppError, Call, Command, Env, Result};
use serde::Serialize;
use std::collections::BTreeSet;
use tandem_domain::decision::Decision;
use tandem_domain::email_template::library::{self, Reference};
use tandem_domain::email_template::{
    self, By, EmailTemplate, EmailTemplateVersion, Library, Refusal, TemplateDefinition, Usage, definition,
};
use tandem_domain::id::{ContactId, EmailTemplateId, LeadId, SequenceId};
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::steps::send_email::Letter;
use tandem_domain::sequence::{Problem, Sequence};
use tandem_store::email_template::{UsageCursor, UsageFilter};
use tandem_store::{Page, Tx};
use uuid::Uuid;

/// How many templates are looked through for the one that was likely meant.
const LOOKED_THROUGH: u64 = 500;

/// Publishes a document as the next version of the template of its key, which it makes where there is none.
#[derive(Debug, Clone, Serialize)]
pub struct EmailTemplatePublish {
    /// The document, in YAML or JSON.
    pub source: String,
}

impl Command for EmailTemplatePublish {
    const NAME: &'static str = "emailTemplatePublish";
    type Output = (EmailTemplate, EmailTemplateVersion);

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Self::Output>> {
        let now = call.now(env);
        let existing = match definition::read(&self.source) {
            Ok(definition) => tx.email_template_with_key(&definition.key).await?,
            // The domain says what is wrong.
            Err(_) => None,
        };
        let existing = match existing {
            Some(template) => {
                let latest = tx.peek(template.latest_version).await?;
                Some((template, latest))
            }
            None => None,
        };
        let by = By { template: env.id(now), version: env.id(now), user: call.actor.user };
        Ok(email_template::publish(existing, &self.source, by, now)?)
    }
}

/// Archives a template for good.
#[derive(Debug, Clone, Serialize)]
pub struct EmailTemplateArchive {
    /// The template.
    pub template: EmailTemplateId,
    /// Why, 1 to 500 characters; needed where sequences take it.
    pub reason: Option<String>,
}

impl Command for EmailTemplateArchive {
    const NAME: &'static str = "emailTemplateArchive";
    type Output = EmailTemplate;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<EmailTemplate>> {
        let missing = || AppError::NotFound { what: "EmailTemplate", id: self.template.into() };
        // Locked: a sequence that takes it meanwhile waits, and then finds it archived.
        let template: EmailTemplate = tx.get(self.template).await?.ok_or_else(missing)?;
        let mut keys = BTreeSet::new();
        for usage in tx.email_template_takers(&template.key).await? {
            keys.extend(tx.peek::<Sequence>(usage.sequence).await?.map(|sequence| sequence.key));
        }
        Ok(email_template::archive(template, keys.into_iter().collect(), self.reason.as_deref())?)
    }
}

/// The versions that a definition can take of the templates that it names.
fn wanted(named: &BTreeSet<Reference>, templates: &[EmailTemplate]) -> Vec<(EmailTemplateId, u32)> {
    let version = |reference: &Reference| {
        let template = templates.iter().find(|template| template.key == reference.key)?;
        Some((template.id, reference.number.unwrap_or(template.latest_number)))
    };
    named.iter().filter_map(version).collect::<BTreeSet<_>>().into_iter().collect()
}

fn keys(named: &BTreeSet<Reference>) -> Vec<&str> {
    named.iter().map(|reference| reference.key.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn all_there(named: &BTreeSet<Reference>, templates: &[EmailTemplate]) -> bool {
    named.iter().all(|reference| templates.iter().any(|template| template.key == reference.key))
}

fn others(templates: Vec<EmailTemplate>) -> Vec<String> {
    templates.into_iter().map(|template| template.key).collect()
}

/// The stored templates that a definition of a sequence names. In a transaction they stay as they are until its end.
pub(crate) async fn library_for(reading: &Reading<'_>, source: &str) -> Result<Library> {
    let named = library::named(source);
    if named.is_empty() {
        return Ok(Library::stored(Vec::new(), Vec::new(), Vec::new()));
    }
    let templates = reading.email_templates(&keys(&named)).await?;
    let versions = reading.email_template_versions(&wanted(&named, &templates)).await?;
    let others = match all_there(&named, &templates) {
        true => Vec::new(),
        false => others(reading.active_email_templates(LOOKED_THROUGH).await?),
    };
    Ok(Library::stored(templates, versions, others))
}

/// What is previewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Previewed {
    /// A document, in YAML or JSON.
    Document(String),
    /// A stored template.
    Stored {
        /// Its key.
        key: String,
        /// The number of the version; none for the newest.
        number: Option<u32>,
    },
}

/// What publishing a document came to.
#[derive(Debug, Clone, PartialEq)]
pub enum TemplateApplied {
    /// It is a new version.
    Published(EmailTemplateVersion),
    /// The newest version, which is given, says the same already.
    Unchanged(EmailTemplateVersion),
}

const UNCHANGED: &str = Refusal::Unchanged { number: 0 }.code();

/// Reads and checks a template: every problem at once, with path, rule, line and column.
pub fn email_template_validate(source: &str) -> Result<TemplateDefinition, Vec<Problem>> {
    definition::read(source)
}

/// Advice on a template that breaks no rule: what would go wrong for some of those who get it.
pub fn email_template_advice(source: &str) -> Vec<Problem> {
    definition::advice_alone(source)
}

impl App {
    /// The stored templates that a definition of a sequence (YAML or JSON) names, as they are now.
    pub async fn library(&self, source: &str) -> Result<Library> {
        library_for(&Reading::Apart(&self.store), source).await
    }

    /// Publishes a template unless the newest version says the same: applying it again changes nothing.
    pub async fn email_template_apply(&self, call: &Call, source: String) -> Result<TemplateApplied> {
        match self.run(call, EmailTemplatePublish { source: source.clone() }).await {
            Ok((_, version)) => Ok(TemplateApplied::Published(version)),
            Err(AppError::Refused { code, message, field }) if code == UNCHANGED => {
                let key = definition::read(&source).map(|definition| definition.key).unwrap_or_default();
                let version: Option<EmailTemplateVersion> = match self.store.email_template_by_key(&key).await? {
                    Some(template) => self.store.find(template.latest_version).await?,
                    None => None,
                };
                version.map(TemplateApplied::Unchanged).ok_or(AppError::Refused { code, message, field })
            }
            Err(error) => Err(error),
        }
    }

    /// The version of a stored template; the newest where no number is given. None where there is no such.
    pub async fn email_template_version(&self, key: &str, number: Option<u32>) -> Result<Option<EmailTemplateVersion>> {
        let Some(template) = self.store.email_template_by_key(key).await? else { return Ok(None) };
        let number = number.unwrap_or(template.latest_number);
        Ok(self.store.email_template_versions_numbered(&[(template.id, number)]).await?.pop())
    }

    /// A template as a contact would get it, and with a lead where one is named; or everything that is wrong with the document.
    /// Nothing is stored or sent.
    ///
    /// Refused are a stored template that there is not (`EMAIL_TEMPLATE_UNKNOWN`), and one that has no value for this person
    /// (`TEMPLATE_UNDEFINED`, `TEMPLATE_FAILED`).
    pub async fn email_template_preview(
        &self,
        of: &Previewed,
        contact: ContactId,
        lead: Option<LeadId>,
    ) -> Result<std::result::Result<Letter, Vec<Problem>>> {
        let (definition, field) = match of {
            Previewed::Document(source) => match definition::read(source) {
                Ok(definition) => (definition, "source"),
                Err(problems) => return Ok(Err(problems)),
            },
            Previewed::Stored { key, number } => match self.email_template_version(key, *number).await? {
                Some(version) => (version.definition, "key"),
                None => {
                    let name = Reference { key: key.clone(), number: *number };
                    let message = format!("there is no template `{name}`; publish it first, or name another");
                    return Err(AppError::refused("EMAIL_TEMPLATE_UNKNOWN", message, Some("key")));
                }
            },
        };
        let reads = Reads::of_template(&definition);
        let data = self.preview_data(contact, lead, &reads, (&definition.key, "preview")).await?;
        let letter = definition.compose(&data);
        Ok(Ok(letter.map_err(|refusal| AppError::refused(refusal.code(), refusal.to_string(), Some(field)))?))
    }

    /// The versions of sequences that took e-mails from the template with this key, as far as they start runs now or have live
    /// ones, each with its sequence, in the order in which they were published.
    pub async fn email_template_usages(&self, key: &str) -> Result<Vec<(Usage, Sequence)>> {
        self.usages(key, UsageFilter::default()).await
    }

    async fn usages(&self, key: &str, filter: UsageFilter) -> Result<Vec<(Usage, Sequence)>> {
        let (mut found, mut page) = (Vec::new(), Page::first(500));
        loop {
            let usages = self.store.email_template_usage_page(key, filter, &page).await?;
            page.after = usages.items.last().map(UsageCursor::of);
            let ids = usages.items.iter().map(|usage| Uuid::from(usage.sequence)).collect::<BTreeSet<_>>();
            let sequences: Vec<Sequence> = self.store.find_many(ids).await?;
            let of = |id: SequenceId| sequences.iter().find(|sequence| sequence.id == id).cloned();
            found.extend(usages.items.into_iter().filter_map(|usage| Some((usage, of(usage.sequence)?))));
            if !usages.has_next {
                return Ok(found);
            }
        }
    }

    /// Publishes every sequence again, as it is written, that would take a newer version of the template with this key. `told`
    /// gets the key of each with what it came to, as soon as it is known; a refusal of one leaves the others alone, and so does a
    /// colleague who published one meanwhile (`SEQUENCE_NOT_NEWEST`). Who runs stays on their version, and drafts stay as they are.
    pub async fn email_template_republish(
        &self,
        call: &Call,
        key: &str,
        mut told: impl FnMut(&str, Result<Applied>) + Send,
    ) -> Result<()> {
        let Some(template) = self.store.email_template_by_key(key).await? else { return Ok(()) };
        let filter = UsageFilter { before: Some(template.latest_number), current: true };
        let mut seen = BTreeSet::new();
        for (usage, sequence) in self.usages(key, filter).await? {
            // A version that took two of the template's is there twice.
            if !usage.would_take(template.latest_number) || !seen.insert(sequence.id) {
                continue;
            }
            let again = SequencePublishAgain { sequence: sequence.id, version: usage.version };
            match self.run(call, again).await {
                Ok((_, version)) => told(&sequence.key, Ok(Applied::Published(version))),
                // Somebody has done so since.
                Err(refused) if refused.code() == sequence::UNCHANGED => {
                    let version = self.store.find(usage.version).await?;
                    told(&sequence.key, version.map(Applied::Unchanged).ok_or(refused));
                }
                Err(refused) if refused.is_refusal() => told(&sequence.key, Err(refused)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}
