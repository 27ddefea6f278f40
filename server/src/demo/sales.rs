//! What sales does: takes, rejects or overlooks offers, works opportunities, wins and loses them, and gives some back.

use super::Play;
use super::lots::{draw, weigh};
use super::people::by;
use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use tandem_app::{
    Call, HandoffAccept, HandoffConvert, HandoffLose, HandoffProgress, HandoffReject, HandoffReturn,
    HandoffReviewReturn, HandoffStart,
};
use tandem_domain::handoff::{Handoff, HandoffState, Reason, ReviewVerdict};
use tandem_domain::id::UserId;
use tandem_domain::lead::Lead;
use tandem_store::Page;
use tandem_store::dispatch::HandoffFilter;

#[derive(Clone, Copy)]
enum Answer {
    Accept,
    Reject(Reason),
    Overlook,
}

#[derive(Clone, Copy)]
enum Ending {
    Win,
    Lose(Reason),
    Return(Reason),
    GoOn,
}

/// What sales gives an opportunity back for.
const RETURNED_FOR: [Reason; 3] = [Reason::BadTiming, Reason::NotQualified, Reason::BadContact];

impl Play {
    /// Lets everybody in sales do what they would do now.
    pub(super) async fn sales_works(&self) -> Result<()> {
        use HandoffState::{Accepted, Escalated, Offered, Working};
        self.each(vec![Offered, Escalated, Accepted, Working]).await
    }

    /// Lets the manager say what becomes of what sales gave back. Not in one part of the hour with the others: who is
    /// refused a return goes on with it in the next hour, however often this one is interrupted.
    pub(super) async fn returns_reviewed(&self) -> Result<()> {
        self.each(vec![HandoffState::ReturnReview]).await
    }

    /// Does what there is to do now at each handoff that is in one of these states.
    async fn each(&self, states: Vec<HandoffState>) -> Result<()> {
        use HandoffState::{Accepted, Escalated, Offered, ReturnReview, Working};
        let filter = HandoffFilter { states: states.clone(), ..HandoffFilter::default() };
        let (mut page, mut open) = (Page::first(100), Vec::new());
        loop {
            let part = self.app.store.handoff_page(&filter, &page).await?;
            page.after = part.items.last().map(|handoff| handoff.id.into());
            open.extend(part.items.into_iter().map(|handoff| handoff.id));
            if !part.has_next {
                break;
            }
        }
        for id in open {
            // What was done for the one before may have moved this one.
            let Some(handoff) = self.app.store.find::<Handoff>(id).await? else { continue };
            let lead: Option<Lead> = self.app.store.find(handoff.lead).await?;
            let name = lead.and_then(|lead| lead.external_id).unwrap_or_default();
            let state = handoff.state;
            if !states.contains(&state) {
                continue;
            }
            let done = match state {
                Offered | Escalated => self.answer(&handoff, &name).await,
                Accepted => self.start(&handoff, &name).await,
                Working => self.progress(&handoff, &name).await,
                ReturnReview => self.review(&handoff, &name).await,
                _ => Ok(()),
            };
            done.with_context(|| format!("sales at a handoff that is {state}"))?;
            self.settle().await?;
        }
        Ok(())
    }

    fn in_sales(&self, user: Option<UserId>) -> Option<Call> {
        let user = user?;
        self.people.reps.iter().chain([&self.people.manager]).find(|rep| rep.id == user).map(by)
    }

    /// Whether `hours` or up to three times as many have passed.
    fn after(&self, since: Option<DateTime<Utc>>, hours: f64, words: &[&str]) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "a few days of minutes")]
        let wait = TimeDelta::minutes((hours * 60.0 * (1.0 + 2.0 * draw(words))) as i64);
        since.is_some_and(|since| self.app.env.now() >= since + wait)
    }

    async fn answer(&self, handoff: &Handoff, name: &str) -> Result<()> {
        let Some(call) = self.in_sales(handoff.offered_to) else { return Ok(()) };
        let words = ["answer", name, &handoff.id_in_lead(), &handoff.attempt.to_string()];
        if !self.after(handoff.offered_at, 0.5, &words) {
            return Ok(());
        }
        let answer = weigh(
            &[
                (0.07, Answer::Reject(Reason::Capacity)),
                (0.04, Answer::Reject(Reason::WrongTerritory)),
                (0.03, Answer::Reject(Reason::ConflictOfInterest)),
                (0.09, Answer::Overlook),
            ],
            Answer::Accept,
            &["verdict", words[1], words[2], words[3]],
        );
        match answer {
            Answer::Accept => drop(self.app.run(&call, HandoffAccept { handoff: handoff.id }).await?),
            Answer::Reject(_) | Answer::Overlook if handoff.state == HandoffState::Escalated => {
                self.app.run(&call, HandoffAccept { handoff: handoff.id }).await?;
            }
            Answer::Reject(reason) => {
                self.app.run(&call, HandoffReject { handoff: handoff.id, reason, note: None }).await?;
            }
            Answer::Overlook => {}
        }
        Ok(())
    }

    async fn start(&self, handoff: &Handoff, name: &str) -> Result<()> {
        let Some(call) = self.in_sales(handoff.assignee) else { return Ok(()) };
        let words = ["start", name, &handoff.id_in_lead(), &handoff.attempt.to_string()];
        // Some never begin: the promise is broken and the opportunity goes to somebody else.
        if draw(&["never", words[1], words[2], words[3]]) >= 0.05 && self.after(handoff.accepted_at, 1.0, &words) {
            self.app.run(&call, HandoffStart { handoff: handoff.id }).await?;
        }
        Ok(())
    }

    async fn progress(&self, handoff: &Handoff, name: &str) -> Result<()> {
        let Some(call) = self.in_sales(handoff.assignee) else { return Ok(()) };
        let now = self.app.env.now();
        // A reason to return that stands at what is worked on: the return was refused.
        let refused = handoff.reason.is_some_and(|reason| RETURNED_FOR.contains(&reason));
        let (round, hours) = if refused { ("again", 96.0) } else { ("first", 48.0) };
        let words = ["ending", name, &handoff.id_in_lead(), round];
        if self.after(handoff.started_at, hours, &words) {
            // Who was refused a return works it to an end.
            let ending = if refused {
                weigh(&[(0.5, Ending::Win)], Ending::Lose(Reason::NoNeed), &["after all", words[1], words[2]])
            } else {
                weigh(
                    &[
                        (0.30, Ending::Win),
                        (0.14, Ending::Lose(Reason::NoBudget)),
                        (0.10, Ending::Lose(Reason::NoNeed)),
                        (0.08, Ending::Return(RETURNED_FOR[0])),
                        (0.06, Ending::Return(RETURNED_FOR[1])),
                        (0.05, Ending::Return(RETURNED_FOR[2])),
                    ],
                    Ending::GoOn,
                    &["how", words[1], words[2]],
                )
            };
            let handoff = handoff.id;
            match ending {
                Ending::Win => {
                    self.app.run(&call, HandoffConvert { handoff, amount: None }).await?;
                    return Ok(());
                }
                Ending::Lose(reason) => {
                    self.app.run(&call, HandoffLose { handoff, reason, note: None }).await?;
                    return Ok(());
                }
                Ending::Return(reason) => {
                    self.app.run(&call, HandoffReturn { handoff, reason, note: None }).await?;
                    return Ok(());
                }
                Ending::GoOn => {}
            }
        }
        // A sign of progress each morning. The key makes a repeated morning one sign.
        if chrono::Timelike::hour(&now) == 15 {
            let call = call.with_key(Some(format!("progress {} {}", handoff.id, now.date_naive())));
            let note = Some("Spoke to the contact.".to_owned());
            self.app.run(&call, HandoffProgress { handoff: handoff.id, note, stage: None, amount: None }).await?;
        }
        Ok(())
    }

    async fn review(&self, handoff: &Handoff, name: &str) -> Result<()> {
        let words = ["review", name, &handoff.id_in_lead()];
        if !self.after(handoff.returned_at, 4.0, &words) {
            return Ok(());
        }
        let verdict = weigh(
            &[
                (0.30, ReviewVerdict::ToSdr),
                (0.25, ReviewVerdict::ToNurture),
                (0.20, ReviewVerdict::ReRoute),
                (0.10, ReviewVerdict::Close),
            ],
            ReviewVerdict::Refuse,
            &["say", words[1], words[2]],
        );
        let until = (verdict == ReviewVerdict::ToNurture).then(|| self.app.env.now() + TimeDelta::days(30));
        let review = HandoffReviewReturn { handoff: handoff.id, verdict, note: None, pool: None, until };
        self.app.run(&by(&self.people.manager), review).await?;
        Ok(())
    }
}

/// A name for a handoff that is the same in every run: which one of its lead it is, by when it was dispatched.
trait Named {
    fn id_in_lead(&self) -> String;
}

impl Named for Handoff {
    fn id_in_lead(&self) -> String {
        self.created_at.timestamp().to_string()
    }
}
