//! How often people were written to, as the caps count it: what was begun, and what is planned and going to be.

use crate::contact_policy::{CapScope, Capped, ContactPolicy, Counted, Reach};
use crate::email::{Email, EmailState};
use crate::id::{AccountId, EmailId};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// The e-mails to one owner of caps.
#[derive(Debug, Default)]
struct Touched {
    /// When those were begun that were begun, oldest first.
    begun: Vec<DateTime<Utc>>,
    /// When those are expected to begin that are not.
    waiting: Vec<(EmailId, DateTime<Utc>)>,
}

impl Touched {
    fn new(mut begun: Vec<DateTime<Utc>>) -> Self {
        begun.sort_unstable();
        Self { begun, waiting: Vec::new() }
    }

    fn counted(&self, reach: Option<Reach>, also_planned: bool, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let Some(reach) = reach else { return Vec::new() };
        let most = usize::try_from(reach.most).unwrap_or(usize::MAX);
        let since = now.checked_sub_signed(reach.window).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mut moments: Vec<_> = self.begun.iter().rev().take_while(|at| **at > since).take(most).copied().collect();
        if also_planned && !self.waiting.is_empty() {
            moments.extend(self.waiting.iter().map(|(_, at)| *at).filter(|at| *at > since));
            moments.sort_unstable_by(|one, other| other.cmp(one));
            moments.truncate(most);
        }
        moments
    }

    fn note(&mut self, email: &Email) {
        self.waiting.retain(|(id, _)| *id != email.id);
        let Some(at) = email.counts_at() else { return };
        match email.state {
            EmailState::Planned | EmailState::Deferred => self.waiting.push((email.id, at)),
            // The clock only goes forward: it is the newest.
            EmailState::Sending => self.begun.push(at),
            EmailState::Sent | EmailState::Bounced | EmailState::Unknown | EmailState::Refused => {}
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Touches<'a> {
    policy: Option<&'a ContactPolicy>,
    reach: (Option<Reach>, Option<Reach>),
    people: Vec<Touched>,
    accounts: HashMap<AccountId, Touched>,
}

impl<'a> Touches<'a> {
    /// Those of before the beginning; `people` in their order.
    pub(super) fn new(
        policy: Option<&'a ContactPolicy>,
        people: impl Iterator<Item = Vec<DateTime<Utc>>>,
        accounts: impl Iterator<Item = (AccountId, Vec<DateTime<Utc>>)>,
    ) -> Self {
        let policy = policy.filter(|policy| !policy.caps.is_empty());
        let reach = |scope| policy.and_then(|policy| policy.reach(scope));
        Self {
            policy,
            reach: (reach(CapScope::Person), reach(CapScope::Account)),
            people: people.map(Touched::new).collect(),
            accounts: accounts.map(|(id, begun)| (id, Touched::new(begun))).collect(),
        }
    }

    /// What the policy says to an e-mail to a person that is about to be planned, or (`begins`) to begin.
    pub(super) fn holds(
        &self,
        person: usize,
        account: Option<AccountId>,
        begins: bool,
        now: DateTime<Utc>,
    ) -> Option<Capped> {
        let policy = self.policy?;
        let person = self.people.get(person).map(|touched| touched.counted(self.reach.0, !begins, now));
        let account = account.and_then(|id| self.accounts.get(&id));
        let account = account.map(|touched| touched.counted(self.reach.1, !begins, now));
        let counted = Counted { person: person.unwrap_or_default(), account: account.unwrap_or_default() };
        policy.holds(&counted, now)
    }

    /// Takes note of what became of an e-mail.
    pub(super) fn note(&mut self, person: usize, email: &Email) {
        if self.policy.is_none() {
            return;
        }
        if let Some(touched) = self.people.get_mut(person) {
            touched.note(email);
        }
        if let (Some(_), Some(account)) = (self.reach.1, email.account) {
            self.accounts.entry(account).or_default().note(email);
        }
    }
}
