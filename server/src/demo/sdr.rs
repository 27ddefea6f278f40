//! What the SDRs do: they take what the queue gives them, check it, and pass it on, put it aside or end it.

use super::Play;
use super::lots::{draw, weigh};
use super::people::by;
use anyhow::{Context, Result};
use chrono::TimeDelta;
use tandem_app::{
    Call, ChecklistAnswer, OpportunityDispatch, TaskComplete, WorkItemAnswer, WorkItemClaim, WorkItemDisqualify,
    WorkItemRecycle, WorkItemStart, WorkItemVerify, WorkItemWait,
};
use tandem_domain::contact::Contact;
use tandem_domain::id::UserId;
use tandem_domain::lead::{Lead, Stage};
use tandem_domain::opportunity::Money;
use tandem_domain::verification::{Finding, Reason, Verdict};
use tandem_domain::work_item::{ItemKind, ItemState, WaitFor, WorkItem};
use tandem_store::Page;
use tandem_store::lead::LeadFilter;
use tandem_store::work_item::WorkItemFilter;

#[derive(Clone, Copy)]
enum Judgement {
    Verify,
    Disqualify(Reason),
    Recycle(Reason),
    Wait,
}

impl Play {
    /// Works the queue until nothing in it can be worked on now.
    pub(super) async fn sdrs_work(&self) -> Result<()> {
        self.dispatch_verified().await?;
        while let Some(item) = self.next_item().await? {
            let state = item.state;
            let step = self.work(&item).await.with_context(|| format!("working on an item that is {state}"));
            step?;
            self.settle().await?;
            self.dispatch_verified().await?;
        }
        Ok(())
    }

    /// What is in hand comes first, then the queue. So a month that was interrupted goes on where it stopped.
    async fn next_item(&self) -> Result<Option<WorkItem>> {
        let held = [ItemState::Claimed, ItemState::InProgress].to_vec();
        for states in [held, vec![ItemState::Queued]] {
            let filter = WorkItemFilter { states, ..WorkItemFilter::default() };
            let mut page = Page::first(100);
            loop {
                let items = self.app.store.work_item_page(&filter, &page).await?;
                let last = items.items.last().map(tandem_store::work_item::place);
                for item in items.items {
                    if !self.lies_about(&item).await? {
                        return Ok(Some(item));
                    }
                }
                if !items.has_next {
                    break;
                }
                page.after = last;
            }
        }
        Ok(None)
    }

    /// Some claims are forgotten; the lease brings them back.
    async fn lies_about(&self, item: &WorkItem) -> Result<bool> {
        Ok(item.state == ItemState::Claimed
            && item.kind == ItemKind::VerifyLead
            && draw(&["forgotten", &self.name_of(item).await?, &item.fence.to_string()]) < 0.05)
    }

    /// A name of the item that is the same in every run.
    async fn name_of(&self, item: &WorkItem) -> Result<String> {
        if let Some(lead) = item.lead {
            let lead: Option<Lead> = self.app.store.find(lead).await?;
            return Ok(lead.and_then(|lead| lead.external_id).unwrap_or_default());
        }
        let contact: Option<Contact> = self.app.store.find(item.contact).await?;
        Ok(contact.and_then(|contact| contact.email).unwrap_or_default())
    }

    fn sdr_for(&self, name: &str) -> Result<Call> {
        super::lots::pick(&self.people.sdrs, &["sdr", name]).map(by).context("there are SDRs")
    }

    fn held_by(&self, user: Option<UserId>) -> Result<Call> {
        self.people.sdrs.iter().find(|sdr| Some(sdr.id) == user).map(by).context("an SDR holds it")
    }

    /// Takes one step with an item.
    async fn work(&self, item: &WorkItem) -> Result<()> {
        let name = self.name_of(item).await?;
        let Some(claim) = &item.claim else {
            self.app.run(&self.sdr_for(&name)?, WorkItemClaim { item: item.id }).await?;
            return Ok(());
        };
        let (call, item_id, token) = (self.held_by(Some(claim.holder))?, item.id, item.fence);
        if item.state == ItemState::Claimed {
            self.app.run(&call, WorkItemStart { item: item_id, token }).await?;
        } else if item.kind == ItemKind::Task {
            let note = Some("Done by phone.".to_owned());
            self.app.run(&call, TaskComplete { item: item_id, token, outcome: None, note }).await?;
        } else if item.answers.is_empty() {
            let confirmed = |item: &str| ChecklistAnswer {
                item: item.to_owned(),
                finding: Finding {
                    verdict: Verdict::Confirmed,
                    value: None,
                    evidence: Some("Call of the demo.".to_owned()),
                },
            };
            let items = self.app.env.queue.checklist.items.iter().filter(|item| item.required);
            let answers = items.map(|item| confirmed(&item.key)).collect();
            self.app.run(&call, WorkItemAnswer { item: item_id, token, answers }).await?;
        } else {
            self.judge(item, &name, &call).await?;
        }
        Ok(())
    }

    async fn judge(&self, item: &WorkItem, name: &str, call: &Call) -> Result<()> {
        let (now, item_id, token) = (self.app.env.now(), item.id, item.fence);
        let judgement = weigh(
            &[
                (0.64, Judgement::Verify),
                (0.05, Judgement::Disqualify(Reason::NotInterested)),
                (0.04, Judgement::Disqualify(Reason::BadData)),
                (0.02, Judgement::Disqualify(Reason::Student)),
                (0.08, Judgement::Recycle(Reason::ContactLater)),
                (0.06, Judgement::Recycle(Reason::NotReached)),
            ],
            Judgement::Wait,
            &["judgement", name, &item.revision.to_string()],
        );
        match judgement {
            Judgement::Verify => {
                self.app.run(call, WorkItemVerify { item: item_id, token, note: None }).await?;
            }
            Judgement::Disqualify(reason) => {
                self.app.run(call, WorkItemDisqualify { item: item_id, token, reason, note: None }).await?;
            }
            Judgement::Recycle(reason) => {
                let until = Some(now + TimeDelta::days(6));
                self.app.run(call, WorkItemRecycle { item: item_id, token, reason, until, note: None }).await?;
            }
            Judgement::Wait => {
                let (wait_for, until) = (WaitFor::Callback, now + TimeDelta::hours(22));
                self.app.run(call, WorkItemWait { item: item_id, token, wait_for, until, note: None }).await?;
            }
        }
        Ok(())
    }

    /// Dispatches every lead that is verified and not yet dispatched.
    async fn dispatch_verified(&self) -> Result<()> {
        let filter = LeadFilter { stages: vec![Stage::Verified], ..LeadFilter::default() };
        loop {
            let leads = self.app.store.lead_page(&filter, &Page::first(1)).await?.items;
            let Some(lead) = leads.into_iter().next() else { return Ok(()) };
            let name = lead.external_id.clone().unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "between 8,000 and 90,000")]
            let amount = Money {
                minor: (8_000.0 + 82_000.0 * draw(&["amount", &name])) as i64 * 100,
                currency: "USD".to_owned(),
            };
            let dispatch = OpportunityDispatch { lead: lead.id, name: None, amount: Some(amount), pool: None };
            self.app.run(&self.held_by(lead.owner.user())?, dispatch).await.context("dispatching a verified lead")?;
            self.settle().await?;
        }
    }
}
