//! Opportunities: verified leads handed to sales, with an amount, a stage and an outcome.
//!
//! Who has it is the business of [`crate::handoff`]; an opportunity is open as long as some handoff of it may still lead
//! to a sale.

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::{AccountId, ContactId, HandoffId, LeadId, OpportunityId, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

codes! {
    /// Where an opportunity is.
    pub enum OpportunityState("opportunity state") {
        /// Somebody is to sell it.
        Open = "OPEN",
        /// Sold.
        Won = "WON",
        /// Worked and not sold.
        Lost = "LOST",
        /// Given back and not taken up again as this opportunity.
        Closed = "CLOSED",
    }
}

/// An amount of money, exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// In the smallest unit of the currency (cents, fen), zero or more.
    pub minor: i64,
    /// The ISO 4217 code, three capital letters.
    pub currency: String,
}

/// A verified lead handed to sales.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opportunity {
    /// Its id.
    pub id: OpportunityId,
    /// The lead it came from.
    pub lead: LeadId,
    /// The company, where it is known.
    pub account: Option<AccountId>,
    /// The person.
    pub contact: ContactId,
    /// What it is called.
    pub name: String,
    /// What it is worth, where somebody has said so.
    pub amount: Option<Money>,
    /// Where it is.
    pub state: OpportunityState,
    /// The stage of the sale, in the words of sales; empty until somebody has said so.
    pub stage: String,
    /// Who dispatched it.
    pub dispatched_by: UserId,
    /// Who in sales took it last.
    pub sales: Option<UserId>,
    /// The handoff that is going on, or the last.
    pub handoff: HandoffId,
    /// Why it was lost or closed.
    pub reason: Option<String>,
    /// When it was dispatched first.
    pub created_at: DateTime<Utc>,
    /// When it ended; none exactly while it is open.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What is known of an opportunity when it is dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOpportunity {
    /// Its id.
    pub id: OpportunityId,
    /// The lead it comes from.
    pub lead: LeadId,
    /// The company, where it is known.
    pub account: Option<AccountId>,
    /// The person.
    pub contact: ContactId,
    /// What it is called, 1 to 200 characters.
    pub name: String,
    /// What it is worth.
    pub amount: Option<Money>,
    /// Who dispatches it.
    pub by: UserId,
    /// The handoff that begins with it.
    pub handoff: HandoffId,
}

/// Why an opportunity is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name is empty or too long.
    #[error("an opportunity needs a name of 1 to 200 characters")]
    Name,
    /// The amount is negative or the currency is not one.
    #[error(
        "the amount must be zero or more of a currency given by its three-letter code, e.g. 125000 of EUR for 1250.00"
    )]
    Amount,
    /// The stage is too long.
    #[error("a stage has at most 60 characters")]
    Stage,
    /// It has ended.
    #[error("the opportunity is {state}, which is an end; dispatch the lead again instead")]
    Ended {
        /// The end it came to.
        state: OpportunityState,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name => "OPPORTUNITY_NAME_INVALID",
            Self::Amount => "OPPORTUNITY_AMOUNT_INVALID",
            Self::Stage => "OPPORTUNITY_STAGE_INVALID",
            Self::Ended { .. } => "OPPORTUNITY_ENDED",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Name => Some("name"),
            Self::Amount => Some("amount"),
            Self::Stage => Some("stage"),
            Self::Ended { .. } => None,
        }
    }
}

impl Money {
    /// Reads an amount written in whole units with an optional fraction, e.g. `1250.00` of `EUR`. The fraction has at most as
    /// many digits as the currency has.
    pub fn parse(amount: &str, currency: &str) -> Result<Self, Refusal> {
        let (whole, fraction) = amount.trim().split_once('.').unwrap_or((amount.trim(), ""));
        let digits = fraction_digits(currency);
        let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !numeric(whole) || !numeric(fraction) || fraction.len() > digits {
            return Err(Refusal::Amount);
        }
        let minor = format!("{whole}{fraction:0<digits$}").parse().map_err(|_| Refusal::Amount)?;
        let money = Self { minor, currency: currency.to_owned() };
        money.check().map(|()| money)
    }

    /// The amount as [`Self::parse`] reads it, with all digits of the fraction.
    pub fn amount(&self) -> String {
        let digits = fraction_digits(&self.currency);
        let text = format!("{:0>width$}", self.minor, width = digits + 1);
        match text.split_at_checked(text.len().saturating_sub(digits)) {
            Some((whole, fraction)) if digits > 0 => format!("{whole}.{fraction}"),
            _ => text,
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        let named = self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase());
        if named && self.minor >= 0 { Ok(()) } else { Err(Refusal::Amount) }
    }
}

/// How many digits the smaller unit of a currency has (ISO 4217, table A.1); two where it is not one of the exceptions.
fn fraction_digits(currency: &str) -> usize {
    const NONE: [&str; 16] = [
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
    ];
    const THREE: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
    match currency {
        none if NONE.contains(&none) => 0,
        three if THREE.contains(&three) => 3,
        _ => 2,
    }
}

impl Opportunity {
    fn fact(&self, kind: &'static str) -> Fact {
        Fact::ledger(kind, self.id).lead(self.lead).account(self.account)
    }
}

/// What sales may say about an open opportunity; none leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The stage of the sale.
    pub stage: Option<String>,
    /// What it is worth.
    pub amount: Option<Money>,
}

/// A verified lead becomes an opportunity.
pub fn open(new: NewOpportunity, now: DateTime<Utc>) -> Result<Decision<Opportunity>, Refusal> {
    let name = new.name.trim().to_owned();
    if !(1..=200).contains(&name.chars().count()) {
        return Err(Refusal::Name);
    }
    new.amount.as_ref().map_or(Ok(()), Money::check)?;
    let next = Opportunity {
        id: new.id,
        lead: new.lead,
        account: new.account,
        contact: new.contact,
        name,
        amount: new.amount,
        state: OpportunityState::Open,
        stage: String::new(),
        dispatched_by: new.by,
        sales: None,
        handoff: new.handoff,
        reason: None,
        created_at: now,
        ended_at: None,
    };
    let fact = next.fact("opportunity.opened").with("name", &next.name).with("amount", &next.amount);
    Ok(Decision::new(next, fact))
}

/// Another handoff of the same opportunity begins.
pub fn re_route(before: Opportunity, handoff: HandoffId) -> Result<Decision<Opportunity>, Refusal> {
    require_open(&before)?;
    let fact = before.fact("opportunity.re_routed").with("handoff", handoff).with("previous", before.handoff);
    Ok(Decision::new(Opportunity { handoff, ..before }, fact))
}

/// Sales took it.
pub fn take(before: Opportunity, sales: UserId) -> Result<Decision<Opportunity>, Refusal> {
    require_open(&before)?;
    let fact = before.fact("opportunity.taken").with("sales", sales);
    Ok(Decision::new(Opportunity { sales: Some(sales), ..before }, fact))
}

/// Sales says how it goes on.
pub fn change(before: Opportunity, change: Change) -> Result<Decision<Opportunity>, Refusal> {
    require_open(&before)?;
    let fact = before.fact("opportunity.progressed");
    let next = apply(before, change)?;
    let fact = fact.with("stage", &next.stage).with("amount", &next.amount);
    Ok(Decision::new(next, fact))
}

/// It was sold, for `change.amount` where that is given.
pub fn win(before: Opportunity, details: Change, now: DateTime<Utc>) -> Result<Decision<Opportunity>, Refusal> {
    require_open(&before)?;
    end(apply(before, details)?, OpportunityState::Won, "opportunity.won", None, now)
}

/// It was not sold.
pub fn lose(before: Opportunity, reason: &str, now: DateTime<Utc>) -> Result<Decision<Opportunity>, Refusal> {
    end(before, OpportunityState::Lost, "opportunity.lost", Some(reason), now)
}

/// It was given back, and nobody is to sell it as this opportunity.
pub fn close(before: Opportunity, reason: &str, now: DateTime<Utc>) -> Result<Decision<Opportunity>, Refusal> {
    end(before, OpportunityState::Closed, "opportunity.closed", Some(reason), now)
}

fn require_open(before: &Opportunity) -> Result<(), Refusal> {
    match before.state {
        OpportunityState::Open => Ok(()),
        state => Err(Refusal::Ended { state }),
    }
}

fn apply(mut before: Opportunity, change: Change) -> Result<Opportunity, Refusal> {
    if let Some(stage) = change.stage {
        before.stage = stage.trim().to_owned();
        if before.stage.chars().count() > 60 {
            return Err(Refusal::Stage);
        }
    }
    if let Some(amount) = change.amount {
        amount.check()?;
        before.amount = Some(amount);
    }
    Ok(before)
}

fn end(
    before: Opportunity,
    state: OpportunityState,
    kind: &'static str,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Decision<Opportunity>, Refusal> {
    require_open(&before)?;
    let mut fact =
        before.fact(kind).moved(before.state, state).with("amount", &before.amount).with("sales", before.sales);
    if let Some(reason) = reason {
        fact = fact.because(reason);
    }
    let reason = reason.map(ToOwned::to_owned);
    Ok(Decision::new(Opportunity { state, reason, ended_at: Some(now), ..before }, fact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_and_written_exactly() {
        for (amount, currency, minor) in [
            ("1250.00", "EUR", 125_000),
            ("0.05", "USD", 5),
            ("0", "JPY", 0),
            ("1200", "JPY", 1_200),
            ("1.234", "KWD", 1_234),
        ] {
            let money = Money::parse(amount, currency).unwrap();
            assert_eq!(money.minor, minor);
            assert_eq!(Money::parse(&money.amount(), currency).unwrap(), money);
        }
        assert_eq!(Money::parse("12.5", "EUR").unwrap().amount(), "12.50");
        let bad = [("1.234", "EUR"), ("1.2", "JPY"), ("-1", "EUR"), ("", "EUR"), ("1e3", "EUR"), ("1", "euro")];
        let huge = ("99999999999999999999", "EUR");
        for (amount, currency) in bad.into_iter().chain([huge]) {
            assert_eq!(Money::parse(amount, currency).unwrap_err().code(), "OPPORTUNITY_AMOUNT_INVALID", "{amount}");
        }
    }
}
