//! How marketing and sales agree on the target accounts.

use super::Play;
use super::lots::{draw, pick};
use super::people::by;
use anyhow::{Context, Result};
use tandem_app::target_list::Change;
use tandem_app::{AppError, Call, ChangeRequestPropose, ChangeRequestReject, ListMembershipSuspend, TargetListCreate};
use tandem_domain::access::User;
use tandem_domain::account::Account;
use tandem_domain::id::ListId;
use tandem_domain::target_list::{ChangeKind, ChangeReason, ChangeRequest, Evidence, RequestState};
use tandem_store::Page;
use tandem_store::target_list::RequestFilter;

const KEY: &str = "strategic";

impl Play {
    /// The list, made at its first use.
    async fn list(&self) -> Result<ListId> {
        if let Some(list) = self.app.store.list_by_key(KEY).await? {
            return Ok(list.id);
        }
        let create = TargetListCreate {
            key: KEY.to_owned(),
            name: "Strategic accounts".to_owned(),
            description: "The accounts that marketing and sales work on together.".to_owned(),
            request_days: None,
            suspension_hours: None,
        };
        Ok(self.app.run(&by(&self.people.ops), create).await?.id)
    }

    async fn account_of(&self, domain: &str) -> Result<Account> {
        let id = self.app.store.identity_owner("account.domain", domain).await?.context("the company was imported")?;
        self.app.store.find(id).await?.context("the company is there")
    }

    /// Marketing proposes the accounts whose lot is in the range, with the reason given.
    pub(super) async fn propose(&self, who: &User, lots: std::ops::Range<f64>, reason: ChangeReason) -> Result<()> {
        let list = self.list().await?;
        let mut changes = Vec::new();
        for company in &self.market.companies {
            if lots.contains(&draw(&["target", &company.symbol])) {
                changes.push(Change {
                    account: self.account_of(&company.domain()).await?.id,
                    kind: ChangeKind::Add,
                    tier: Some(company.tier().to_owned()),
                    reasons: vec![reason],
                    evidence: vec![Evidence { note: "Fits the profile of the demo.".to_owned(), url: None }],
                });
            }
        }
        for (part, changes) in changes.chunks(100).enumerate() {
            // The key makes an interrupted and repeated proposal one proposal.
            let call = by(who).with_key(Some(format!("propose {reason} {part}")));
            self.app.run(&call, ChangeRequestPropose { list, changes: changes.to_vec() }).await?;
        }
        Ok(())
    }

    /// Somebody of the other side goes through what is open: most of it is agreed, some is not.
    pub(super) async fn decide(&self, who: &User) -> Result<()> {
        let list = self.list().await?;
        let filter = RequestFilter {
            list: Some(list),
            states: vec![RequestState::Proposed, RequestState::PartiallyApproved],
            ..RequestFilter::default()
        };
        let (mut page, mut open) = (Page::first(100), Vec::new());
        loop {
            let part = self.app.store.change_request_page(&filter, &page).await?;
            page.after = part.items.last().map(|request| request.id.into());
            open.extend(part.items);
            if !part.has_next {
                break;
            }
        }
        let call = by(who);
        let mut agreed = Vec::new();
        for request in open {
            if self.is_refused(&request).await? {
                let (id, revision) = (request.id, request.revision);
                let verdict = "Served by a partner.".to_owned();
                self.app.run(&call, ChangeRequestReject { request: id, revision, verdict }).await?;
            } else {
                agreed.push(request);
            }
        }
        for requests in agreed.chunks(100) {
            self.app.approve_requests(&call, requests).await?;
        }
        Ok(())
    }

    async fn is_refused(&self, request: &ChangeRequest) -> Result<bool> {
        let account: Account = self.app.store.find(request.account).await?.context("the account is there")?;
        Ok(request.kind == ChangeKind::Add && draw(&["refused", &account.name]) < 0.06)
    }

    /// Legal stops one account at once, with one key. Nobody makes it permanent, so it ends by itself.
    pub(super) async fn suspend_one(&self) -> Result<()> {
        let list = self.list().await?;
        let targets: Vec<_> =
            self.market.companies.iter().filter(|company| draw(&["target", &company.symbol]) < 0.3).collect();
        for number in 0..20 {
            let company = pick(&targets, &["suspended", &number.to_string()]).context("there are targets")?;
            let account = self.account_of(&company.domain()).await?.id;
            let Some(member) = self.app.store.live_membership(list, account).await? else { continue };
            let call: Call = by(&self.people.manager).with_key(Some("suspend".to_owned()));
            let suspend = ListMembershipSuspend {
                membership: member.id,
                reason: ChangeReason::LegalBlock,
                note: "A contract is under review.".to_owned(),
                until: None,
            };
            return match self.app.run(&call, suspend).await {
                // Before an interruption the key was used for another account, which has been suspended since.
                Ok(_) | Err(AppError::IdempotencyConflict) => Ok(()),
                Err(error) => Err(error).context("suspending"),
            };
        }
        Ok(())
    }

    /// Whether both sides have agreed on the account with this domain.
    pub(super) async fn is_target(&self, domain: &str) -> Result<bool> {
        let (list, account) = (self.list().await?, self.account_of(domain).await?);
        Ok(self.app.store.live_membership(list, account.id).await?.is_some())
    }
}
