//! The actions of a webhook as commands, in one transaction.

use super::values::{Read, Values};
use crate::book::Book;
use crate::contacts::ContactBook;
use crate::target_list::Change;
use crate::written::{Outcome as Was, Written};
use crate::{
    AccountChange, AccountUpsert, AppError, Batch, Call, ChangeRequestPropose, Command, ContactChange, ContactUpsert,
    EmailReceive, EnrollmentCreate, InteractionRecord, LeadChange, LeadGrade, LeadReceive, OpportunityDispatch, Result,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use tandem_domain::account::{Account, AccountPatch};
use tandem_domain::contact::ContactPatch;
use tandem_domain::decision::Subject;
use tandem_domain::id::{AccountId, ContactId, LeadId};
use tandem_domain::inbound::{ActionKind, Done, Fault, InboundWebhook, Outcome, Step};
use tandem_domain::interaction;
use tandem_domain::lead::{self, Grade};
use tandem_domain::opportunity::Money;
use tandem_domain::received::{self, Brought, Told};
use tandem_domain::target_list::{ChangeKind, ChangeReason, Evidence};

/// Why an action did not happen.
pub(super) enum Stop {
    /// The delivery is at fault, or the definition: nothing will be better next time.
    Fault(Fault),
    /// The world broke: the job is tried again.
    Broken(AppError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<AppError> for Stop {
    fn from(error: AppError) -> Self {
        Self::Broken(error)
    }
}

impl From<tandem_store::StoreError> for Stop {
    fn from(error: tandem_store::StoreError) -> Self {
        Self::Broken(error.into())
    }
}

/// What was done, and to what.
type Deed = (Outcome, Subject);

/// The actions of one delivery: later ones go on with the contact, the account and the lead of earlier ones.
pub(super) struct Acting<'a, 'b> {
    pub(super) batch: &'a mut Batch<'b>,
    /// The call in the name of the webhook's user.
    pub(super) call: Call,
    /// The key of the webhook.
    pub(super) webhook: String,
    /// What a repetition of the delivery is known by.
    pub(super) delivery: String,
    /// When the delivery came.
    pub(super) received_at: DateTime<Utc>,
    /// Where phone numbers without a country code are dialled from.
    pub(super) region: Option<String>,
    contact: Option<ContactId>,
    account: Option<AccountId>,
    lead: Option<LeadId>,
}

impl<'a, 'b> Acting<'a, 'b> {
    pub(super) fn new(
        batch: &'a mut Batch<'b>,
        call: Call,
        webhook: &InboundWebhook,
        (delivery, received_at): (String, DateTime<Utc>),
    ) -> Self {
        let (webhook, region) = (webhook.key.clone(), webhook.phone_region.clone());
        Self { batch, call, webhook, delivery, received_at, region, contact: None, account: None, lead: None }
    }

    /// Does all of it, or stops at the first action that is refused and not optional.
    pub(super) async fn all(&mut self, steps: &[Step]) -> Result<Vec<Done>, Stop> {
        let mut done = Vec::with_capacity(steps.len());
        for step in steps {
            let kind = step.kind;
            let outcome = |outcome, subject: Option<Subject>, fault| Done {
                kind,
                outcome,
                subject_kind: subject.as_ref().map(|subject| subject.kind.to_owned()),
                subject: subject.map(|subject| subject.id),
                fault,
            };
            done.push(match Values::of(step) {
                None => outcome(Outcome::Skipped, None, None),
                Some(values) => match self.one(kind, &values).await {
                    Ok((what, subject)) => outcome(what, Some(subject), None),
                    Err(Stop::Fault(fault)) if step.optional => outcome(Outcome::Refused, None, Some(fault)),
                    Err(stop) => return Err(stop),
                },
            });
        }
        Ok(done)
    }

    async fn one(&mut self, kind: ActionKind, values: &Values<'_>) -> Result<Deed, Stop> {
        match kind {
            ActionKind::AccountUpsert => self.account_upsert(values).await,
            ActionKind::AccountChange => self.account_change(values).await,
            ActionKind::ContactUpsert => self.contact_upsert(values).await,
            ActionKind::ContactChange => self.contact_change(values).await,
            ActionKind::LeadReceive => self.lead_receive(values).await,
            ActionKind::LeadChange => self.lead_change(values).await,
            ActionKind::InteractionRecord => self.interaction(values).await,
            ActionKind::EmailReceive => self.email(values).await,
            ActionKind::EnrollmentCreate => self.enroll(values).await,
            ActionKind::OpportunityDispatch => self.dispatch(values).await,
            ActionKind::ChangeRequestPropose => self.propose(values).await,
        }
    }

    /// Runs a command. A refusal becomes a fault at the field that it names; whatever spoils the transaction stops all.
    async fn run<C: Command>(&mut self, values: &Values<'_>, command: &C) -> Result<C::Output, Stop> {
        let done = self.batch.run(&self.call, command).await;
        done.map_err(|error| self.stop(values, error))
    }

    fn stop(&self, values: &Values<'_>, error: AppError) -> Stop {
        if self.batch.is_broken() || !error.is_refusal() {
            return Stop::Broken(error);
        }
        let (code, message) = (error.code(), error.to_string());
        Stop::Fault(match error {
            // A proposal is for many accounts, an action for one.
            AppError::Refused { field: Some(field), .. } => {
                values.fault(field.strip_prefix("changes.0.").unwrap_or(&field), code, message)
            }
            _ => values.fault_of_all(code, message),
        })
    }

    fn note_contact(&mut self, id: ContactId, account: Option<AccountId>) -> Subject {
        self.contact = Some(id);
        self.account = account.or(self.account);
        id.into()
    }

    async fn account_upsert(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let written = self.run(values, &AccountUpsert { account: values.account()? }).await?;
        self.account = Some(written.record.id);
        Ok((outcome(&written), written.record.id.into()))
    }

    async fn account_change(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let account = values.account()?;
        let keys = AccountPatch {
            name: account.name.clone(),
            domains: account.domains.clone(),
            registry_number: account.registry_number.clone(),
            external_ids: account.external_ids.clone(),
            ..AccountPatch::default()
        };
        let keys = Some(keys).filter(|keys| *keys != AccountPatch::default());
        let id = self.find_account(values, keys).await?;
        let written = self.run(values, &AccountChange { id, account }).await?;
        self.account = Some(id);
        Ok((outcome(&written), id.into()))
    }

    /// The account with these keys, else the one of an earlier action.
    async fn find_account(&mut self, values: &Values<'_>, keys: Option<AccountPatch>) -> Result<AccountId, Stop> {
        let missing = |message: &str| Stop::Fault(values.fault_of_all("INBOUND_ACCOUNT_UNKNOWN", message));
        let Some(keys) = keys else {
            return self.account.ok_or_else(|| missing("no account is named, here or by an earlier action"));
        };
        let words = self.batch.tx().vocabulary(None).await?;
        let book = Book::<Account>::load(self.batch.tx(), words, &[&keys], &[], false).await;
        let book = self.batch.note(book)?;
        let found = book.find(&keys).map(|found| found.map(|account| account.id));
        let found = found.map_err(|error| self.stop(values, error))?;
        found.ok_or_else(|| missing("there is no account with these keys"))
    }

    async fn contact_upsert(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let upsert = ContactUpsert { row: values.contact()?, default_region: self.region.clone() };
        let written = self.run(values, &upsert).await?;
        let subject = self.note_contact(written.record.id, written.record.account);
        Ok((outcome(&written), subject))
    }

    async fn contact_change(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let row = values.contact()?;
        let id = self.find_contact(values).await?;
        let mut contact = row.contact;
        if let Some(company) = row.account {
            contact.account = self.find_account(values, Some(company)).await?.into();
        }
        let change = ContactChange { id, contact, default_region: self.region.clone() };
        let written = self.run(values, &change).await?;
        let subject = self.note_contact(written.record.id, written.record.account);
        Ok((outcome(&written), subject))
    }

    /// The contact with the keys among the values, else the one of an earlier action.
    async fn find_contact(&mut self, values: &Values<'_>) -> Result<ContactId, Stop> {
        let missing = |message: &str| Stop::Fault(values.fault_of_all("INBOUND_CONTACT_UNKNOWN", message));
        let keys = values.person()?;
        if keys == ContactPatch::default() {
            return self.contact.ok_or_else(|| missing("no contact is named, here or by an earlier action"));
        }
        let row = keys.into();
        let words = self.batch.tx().vocabulary(self.region.as_deref()).await?;
        let book = ContactBook::load(self.batch.tx(), words, std::slice::from_ref(&row), &[]).await;
        let book = self.batch.note(book)?;
        let found = book.find(&row).map(|found| found.map(|contact| contact.id));
        let found = found.map_err(|error| self.stop(values, error))?;
        found.ok_or_else(|| missing("there is no contact with these keys; put a CONTACT_UPSERT before this action"))
    }

    async fn lead_receive(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let contact = self.find_contact(values).await?;
        let source = values.needed("source")?;
        // Without an id of its own a lead is known by its delivery, so that a replay finds it.
        let external_id = values.text("externalId")?.unwrap_or_else(|| format!("{}:{}", self.webhook, self.delivery));
        let normal = lead::normalise_source(&source).map_err(|refusal| self.stop(values, refusal.into()))?;
        let known = self.batch.tx().lead_by_external_id(&normal, &external_id).await?;
        if let Some(known) = known {
            if known.contact != contact {
                let sentence = "the source gave this id to the lead of another contact";
                return Err(values.fault("externalId", "INBOUND_LEAD_OTHER", sentence).into());
            }
            return self.change_lead(values, known.id).await;
        }
        let grade = grade_of(values)?;
        let priority = values.text("priority")?.map(|priority| priority.parse::<u8>()).transpose();
        let receive = LeadReceive {
            contact,
            account: None,
            source,
            external_id: Some(external_id),
            grade,
            priority: priority.map_err(|_| {
                values.fault("priority", "LEAD_PRIORITY_OUT_OF_RANGE", "a priority is 0 (least urgent) to 100")
            })?,
            tags: values.list("tags")?.unwrap_or_default().into_iter().collect(),
            custom: values.custom(),
        };
        let lead = self.run(values, &receive).await?;
        self.lead = Some(lead.id);
        self.account = lead.account.or(self.account);
        Ok((Outcome::Created, lead.id.into()))
    }

    async fn lead_change(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let missing = "no lead is named, here or by an earlier action; give `leadSource` and `leadExternalId`";
        let found = self.find_lead(values).await?;
        let id = found.ok_or_else(|| values.fault_of_all("INBOUND_LEAD_UNKNOWN", missing))?;
        self.change_lead(values, id).await
    }

    /// Gives a lead that is there what the values say: a grade that differs, tags, custom fields.
    async fn change_lead(&mut self, values: &Values<'_>, id: LeadId) -> Result<Deed, Stop> {
        let tags = values.list("tags")?.unwrap_or_default();
        let change = LeadChange { lead: id, tags, custom: values.custom() };
        let written = self.run(values, &change).await?;
        let mut outcome = outcome(&written);
        if let Some(grade) = grade_of(values)?.filter(|grade| written.record.grade != Some(*grade)) {
            let rule = format!("webhook:{}", self.webhook);
            self.run(values, &LeadGrade { lead: id, grade, rule }).await?;
            outcome = Outcome::Changed;
        }
        self.lead = Some(id);
        self.account = written.record.account.or(self.account);
        Ok((outcome, id.into()))
    }

    /// The lead with the source and id among the values, else the one of an earlier action.
    async fn find_lead(&mut self, values: &Values<'_>) -> Result<Option<LeadId>, Stop> {
        match (values.text("leadSource")?, values.text("leadExternalId")?) {
            (Some(source), Some(id)) => {
                let source = lead::normalise_source(&source).map_err(|refusal| self.stop(values, refusal.into()))?;
                let found = self.batch.tx().lead_by_external_id(&source, &id).await?;
                let unknown =
                    || values.fault("leadExternalId", "INBOUND_LEAD_UNKNOWN", "there is no lead with this id");
                Ok(Some(found.ok_or_else(unknown)?.id))
            }
            (None, None) => Ok(self.lead),
            _ => Err(values
                .fault("leadSource", "INBOUND_VALUE_MISSING", "give `leadSource` and `leadExternalId`")
                .into()),
        }
    }

    async fn interaction(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let contact = self.find_contact(values).await?;
        let kind = values.code("kind")?;
        let draft = interaction::Draft {
            kind: kind.ok_or_else(|| values.fault("kind", "INBOUND_VALUE_MISSING", "`kind` is needed"))?,
            name: values.needed("name")?,
            occurred_at: Some(values.moment("occurredAt")?.unwrap_or(self.received_at)),
            seconds: values.count("seconds")?,
            url: values.text("url")?,
            properties: values.properties(),
        };
        // A replay finds what it recorded before.
        let known_by = Some(format!("{} {} {}", self.webhook, self.delivery, values.place()));
        let written = self.run(values, &InteractionRecord { contact, draft, known_by }).await?;
        Ok((outcome(&written), written.record.id.into()))
    }

    async fn email(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let raw = match (values.text("raw")?, values.text("rawBase64")?) {
            (Some(raw), _) => Some(raw.into_bytes()),
            (None, Some(encoded)) => {
                let bytes = BASE64.decode(encoded.split_whitespace().collect::<String>());
                Some(bytes.map_err(|_| self.stop(values, received::Refusal::NotBase64.into()))?)
            }
            (None, None) => None,
        };
        let reading = match raw {
            Some(raw) => received::reading::read(&raw, self.received_at),
            None => {
                let told = Told {
                    from: values.text("from")?,
                    subject: values.text("subject")?,
                    text: values.text("text")?,
                    message_id: values.text("messageId")?,
                    about: values.list("about")?.map(|ids| ids.join(" ")),
                    in_reply_to: values.text("inReplyTo")?,
                    references: values.list("references")?.map(|ids| ids.join(" ")),
                    auto_submitted: values.text("autoSubmitted")?,
                    report: values.code("report")?,
                    status: values.text("status")?,
                    diagnostic: values.text("diagnostic")?,
                    recipient: values.text("recipient")?,
                };
                received::told(told, self.received_at).map_err(|refusal| self.stop(values, refusal.into()))?
            }
        };
        let brought = Brought {
            reading,
            via: format!("webhook:{}", self.webhook),
            brought_as: format!("{} {} {}", self.webhook, self.delivery, values.place()),
            arrived_at: Some(self.received_at),
        };
        let written = self.run(values, &EmailReceive { brought }).await?;
        Ok((outcome(&written), written.record.id.into()))
    }

    async fn enroll(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let key = values.needed("sequence")?;
        let sequence = self.batch.tx().sequence_with_key(&key).await?;
        let unknown = || values.fault("sequence", "INBOUND_SEQUENCE_UNKNOWN", format!("there is no sequence `{key}`"));
        let sequence = sequence.ok_or_else(unknown)?.id;
        let lead = self.find_lead(values).await?;
        // A lead brings its contact; an action that names a contact means that one, and no other.
        let named = values.person()? != ContactPatch::default();
        let contact = if lead.is_some() && !named { None } else { Some(self.find_contact(values).await?) };
        let lead = if named && values.text("leadExternalId")?.is_none() { None } else { lead };
        let create = EnrollmentCreate { sequence, contact, lead, vars: values.vars() };
        let enrolled = self.run(values, &create).await?;
        Ok((Outcome::Created, enrolled.0.id.into()))
    }

    async fn dispatch(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let missing = || values.fault_of_all("INBOUND_LEAD_UNKNOWN", "no lead is named, here or by an earlier action");
        let lead = self.find_lead(values).await?.ok_or_else(missing)?;
        let amount = match (values.text("amount")?, values.text("currency")?) {
            (None, None) => None,
            (Some(amount), Some(currency)) => {
                let amount = Money::parse(&amount, &currency.to_uppercase());
                Some(amount.map_err(|refusal| values.fault("amount", refusal.code(), refusal.to_string()))?)
            }
            _ => return Err(values.fault("amount", "INBOUND_VALUE_MISSING", "give `amount` and `currency`").into()),
        };
        let pool = match values.text("pool")? {
            None => None,
            Some(key) => {
                let pool = self.batch.tx().pool_with_key(&key).await?;
                let unknown = || values.fault("pool", "INBOUND_POOL_UNKNOWN", format!("there is no pool `{key}`"));
                Some(pool.ok_or_else(unknown)?.id)
            }
        };
        let dispatch = OpportunityDispatch { lead, name: values.text("name")?, amount, pool };
        let moved = self.run(values, &dispatch).await?;
        let subject = match &moved.opportunity {
            Some(opportunity) => opportunity.id.into(),
            None => moved.handoff.id.into(),
        };
        Ok((Outcome::Created, subject))
    }

    async fn propose(&mut self, values: &Values<'_>) -> Result<Deed, Stop> {
        let key = values.needed("list")?;
        let list = self.batch.tx().list_with_key(&key).await?;
        let unknown = || values.fault("list", "INBOUND_LIST_UNKNOWN", format!("there is no list `{key}`"));
        let list = list.ok_or_else(unknown)?;
        let account = self.find_account(values, values.company()?).await?;
        let reasons: Read<Vec<ChangeReason>> = values
            .list("reasons")?
            .unwrap_or_default()
            .iter()
            .map(|reason| reason.to_uppercase().parse())
            .collect::<std::result::Result<_, tandem_domain::code::UnknownCode>>()
            .map_err(|error| values.fault("reasons", tandem_domain::code::UnknownCode::CODE, error.to_string()));
        let kind: ChangeKind = values.code("change")?.ok_or_else(|| {
            values.fault("change", "INBOUND_VALUE_MISSING", "`change` is needed: ADD, REMOVE or RETIER")
        })?;
        let note = values.text("note")?.unwrap_or_else(|| format!("Delivery {} of a webhook.", self.delivery));
        let evidence = vec![Evidence { note, url: values.text("url")? }];
        let change = Change { account, kind, tier: values.text("tier")?, reasons: reasons?, evidence };
        let proposed = self.run(values, &ChangeRequestPropose { list, changes: vec![change] }).await?;
        let subject = proposed.requests.first().map_or_else(|| list.into(), |request| request.id.into());
        Ok((Outcome::Created, subject))
    }
}

fn grade_of(values: &Values<'_>) -> Result<Option<Grade>, Stop> {
    let grade = values.text("grade")?.map(|grade| grade.to_uppercase().parse::<Grade>()).transpose();
    Ok(grade.map_err(|refusal| values.fault("grade", refusal.code(), refusal.to_string()))?)
}

fn outcome<T>(written: &Written<T>) -> Outcome {
    match written.outcome {
        Was::Created => Outcome::Created,
        Was::Changed => Outcome::Changed,
        Was::Unchanged => Outcome::Unchanged,
    }
}
