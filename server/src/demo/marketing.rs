//! What marketing does after the list is agreed: a nurture sequence, and the leads that come of it.

use super::Play;
use super::lots::{draw, pick, weigh};
use super::people::by;
use anyhow::{Context, Result};
use chrono::Timelike;
use tandem_app::email::EmailUnsubscribe;
use tandem_app::sequence::{EnrollmentCreate, SequencePublish};
use tandem_app::{AppError, Call, LeadQualify, LeadReceive};
use tandem_domain::email::{Email, EmailState};
use tandem_domain::id::ContactId;
use tandem_store::Page;
use tandem_store::email::EmailFilter;

const SEQUENCE: &str = include_str!("../../../workflows/library/sequences/welcome.yaml");
const SOURCES: &[&str] = &["Website", "Webinar", "Trade fair", "Referral", "Content download"];

impl Play {
    async fn contact(&self, email: &str) -> Result<ContactId> {
        let id = self.app.store.identity_owner("contact.email", email).await?.context("the person was imported")?;
        Ok(id.into())
    }

    /// Publishes the sequence and enrols the people of the agreed accounts who consent.
    pub(super) async fn launch(&self) -> Result<()> {
        let ops = by(&self.people.ops);
        let publish = SequencePublish { source: SEQUENCE.to_owned() };
        let published = self.app.run(&ops.clone().with_key(Some("publish".to_owned())), publish).await?;
        let sequence = published.0.id;
        for person in &self.market.people {
            if !person.consents || draw(&["enrolled", &person.email]) >= 0.45 {
                continue;
            }
            if !self.is_target(&person.company.domain()).await? {
                continue;
            }
            let contact = Some(self.contact(&person.email).await?);
            let create = EnrollmentCreate { sequence, contact, lead: None, vars: serde_json::Map::new() };
            match self.app.run(&ops, create).await {
                // Enrolled before an interruption.
                Ok(_) | Err(AppError::Refused { .. }) => {}
                Err(error) => return Err(error).context("enrolling"),
            }
        }
        self.settle().await
    }

    /// Takes in the leads of this hour; marketing qualifies most of them at once.
    pub(super) async fn take_leads(&self) -> Result<()> {
        let hour = (self.app.env.now() - self.start).num_hours();
        for person in self.market.people.iter().filter(|person| person.raises_hand == Some(hour)) {
            let name = format!("demo-{}", person.email);
            let who = pick(&self.people.marketing, &["marketer", &name]).map(by).context("there are marketers")?;
            let key = |what: &str| who.clone().with_key(Some(format!("{what} {name}")));
            let grade = weigh(&[(0.2, "A1"), (0.3, "B2"), (0.2, "A3"), (0.2, "C2")], "D4", &["grade", &name]);
            let receive = LeadReceive {
                contact: self.contact(&person.email).await?,
                account: None,
                source: pick(SOURCES, &["source", &name]).copied().unwrap_or("Website").to_owned(),
                external_id: Some(name.clone()),
                grade: Some(grade.parse().context("a grade")?),
                priority: None,
                tags: [].into(),
                custom: [].into(),
            };
            let lead = self.app.run(&key("receive"), receive).await.context("receiving a lead")?;
            if draw(&["qualified", &name]) < 0.9 {
                let qualify = LeadQualify { lead: lead.id, grade: None, priority: None };
                self.app.run(&key("qualify"), qualify).await.context("qualifying a lead")?;
            }
            self.settle().await?;
        }
        Ok(())
    }

    /// Some people ask not to be written to again, in the evening after an e-mail.
    pub(super) async fn unsubscribe_some(&self) -> Result<()> {
        if self.app.env.now().hour() != 23 {
            return Ok(());
        }
        let mut page = Page::first(100);
        loop {
            let filter = EmailFilter { states: vec![EmailState::Sent, EmailState::Unknown], ..EmailFilter::default() };
            let part = self.app.store.email_page(&filter, &page).await?;
            page.after = part.items.last().map(|email: &Email| email.id.into());
            for email in part.items {
                let asked = draw(&["unsubscribe", &email.to.address, &email.step]) < 0.02;
                if asked {
                    let command = EmailUnsubscribe { email: email.id, contact: email.contact };
                    match self.app.run(&Call::system("demo"), command).await {
                        Ok(_) | Err(AppError::Refused { .. }) => {}
                        Err(error) => return Err(error).context("unsubscribing"),
                    }
                }
            }
            if !part.has_next {
                break;
            }
        }
        self.settle().await
    }
}
