//! The laws of e-mail, as tables and as properties over interleavings.

use super::*;
use crate::contact::ConsentState;
use crate::id::SuppressionId;
use crate::standing::standing;
use crate::suppression::{Suppression, SuppressionKind, SuppressionReason, Wish, lift, suppress};
use proptest::prelude::*;
use uuid::Uuid;

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn draft(n: u128, to: &str) -> Draft {
    Draft {
        id: EmailId(Uuid::from_u128(n)),
        origin: (Some(EnrollmentId(Uuid::from_u128(900 + n))), "welcome".into(), 3),
        contact: ContactId(Uuid::from_u128(500 + n)),
        lead: None,
        account: None,
        to: Mailbox::bare(to),
        from: Mailbox::named("Tandem", "hello@sender.example"),
        reply_to: None,
        subject: "Good day".into(),
        text: "Hello.".into(),
        html: None,
        hours: None,
        transactional: false,
        mailbox: None,
    }
}

fn clear() -> Known {
    Known { standing: Standing::Allowed, contact_current: true, enrollment: Gate::Open, held_until: None }
}

fn under(suppressions: &[Suppression], address: &str) -> Known {
    let person = crate::standing::tests::person(ConsentState::Granted);
    Known { standing: standing(&person, Some(address), suppressions), ..clear() }
}

fn planned() -> Email {
    plan(draft(1, "a@example.com"), clear(), at(0)).unwrap().next
}

fn sending() -> Email {
    begin(planned(), clear(), at(1)).unwrap().next
}

fn outcome(which: u8) -> Delivery {
    match which % 5 {
        0 => Delivery::Accepted { response: "ok".into() },
        1 => Delivery::Deferred { code: 451, response: "later".into() },
        2 => Delivery::Rejected { code: 550, response: "no".into(), recipient: true },
        3 => Delivery::Unreached { error: "no route".into() },
        _ => Delivery::Unknown { error: "reset".into() },
    }
}

#[test]
fn a_planned_email_falls_due_at_once_and_its_message_id_comes_from_its_id() {
    let decision = plan(draft(1, "a@example.com"), clear(), at(0)).unwrap();
    assert_eq!(decision.jobs.len(), 1);
    assert_eq!(decision.jobs[0].job, Job::DeliverEmail { email: decision.next.id });
    assert_eq!(decision.jobs[0].limit_key.as_deref(), Some("example.com"));
    assert_eq!(decision.next.message_id, "00000000000000000000000000000001@sender.example");
}

#[test]
fn a_line_break_in_a_header_is_refused() {
    for subject in ["a\r\nBcc: x@example.org", "a\nb", "a\rb", "a\0b"] {
        let bad = Draft { subject: subject.into(), ..draft(1, "a@example.com") };
        assert_eq!(plan(bad, clear(), at(0)).unwrap_err().code(), "EMAIL_LINE_BREAK");
    }
    let bad = Draft { from: Mailbox::named("x\r\nBcc: y", "a@example.com"), ..draft(1, "a@example.com") };
    assert_eq!(plan(bad, clear(), at(0)).unwrap_err().field(), Some("from"));
    assert_eq!(plan(draft(1, "nobody"), clear(), at(0)).unwrap_err().code(), "EMAIL_NOT_AN_ADDRESS");
}

#[test]
fn every_obstacle_refuses_at_planning_and_at_beginning() {
    let stands = |standing| Known { standing, ..clear() };
    let cases = [
        (stands(Standing::OptedOut), Obstacle::OptedOut, Outlook::OptedOut),
        (stands(Standing::Suppressed), Obstacle::Suppressed, Outlook::OptedOut),
        (stands(Standing::Withdrawn), Obstacle::ConsentWithdrawn, Outlook::OptedOut),
        (stands(Standing::Bounced), Obstacle::MailboxGone, Outlook::Bounced),
        (Known { contact_current: false, ..clear() }, Obstacle::ContactGone, Outlook::GoOn),
        (Known { enrollment: Gate::Shut, ..clear() }, Obstacle::EnrollmentEnded, Outlook::GoOn),
    ];
    for (known, obstacle, outlook) in cases {
        let refused = plan(draft(1, "a@example.com"), known, at(0)).unwrap_err();
        assert_eq!(refused, Refusal::MayNotWrite { obstacle });
        let decision = begin(planned(), known, at(1)).unwrap();
        assert_eq!((decision.next.state, decision.next.obstacle), (EmailState::Refused, Some(obstacle)));
        assert_eq!(decision.next.outlook(), outlook);
        assert_eq!(decision.facts[0].reason.as_deref(), Some(obstacle.as_str()));
    }
}

/// With room for it.
fn begin(email: Email, known: Known, now: DateTime<Utc>) -> Result<Decision<Email>, Refusal> {
    super::begin(email, known, &Room::default(), now)
}

const PAUSED: Known =
    Known { standing: Standing::Allowed, contact_current: true, enrollment: Gate::Held, held_until: None };

#[test]
fn an_email_of_a_paused_enrolment_waits_for_as_long_and_then_has_its_five_days() {
    let held = begin(planned(), PAUSED, at(1)).unwrap();
    assert_eq!((held.next.state, held.next.attempts), (EmailState::Planned, 0));
    assert_eq!(held.jobs[0].due, at(61));
    let soon = Known { held_until: Some(at(31)), ..PAUSED };
    assert_eq!(begin(planned(), soon, at(1)).unwrap().jobs[0].due, at(31));
    let month = 30 * 1440;
    let late = begin(held.next, PAUSED, at(month)).unwrap().next;
    assert_eq!(late.state, EmailState::Planned);
    let begun = begin(late, clear(), at(month + 1)).unwrap().next;
    assert_eq!((begun.state, begun.planned_at), (EmailState::Sending, at(0)));
    let four = settle(begun.clone(), 1, &outcome(1), at(month + 4 * 1440)).unwrap().next;
    assert_eq!(four.state, EmailState::Deferred);
    assert!(four.settled_by(None) > at(month + 6 * 1440));
    assert_eq!(settle(begun, 1, &outcome(1), at(month + 1 + 5 * 1440)).unwrap().next.state, EmailState::Bounced);
}

#[test]
fn what_an_email_waits_for_is_recorded_once_however_often_it_is_looked_at() {
    let unknown = Known { standing: Standing::Unknown, ..clear() };
    for (waits, other, held_for) in [(PAUSED, unknown, HeldFor::Pause), (unknown, PAUSED, HeldFor::Consent)] {
        let mut held = begin(planned(), waits, at(1)).unwrap();
        assert_eq!((held.facts.len(), held.facts[0].kind), (1, "email.held"));
        for look in 2..20 {
            let before = held.next.clone();
            held = begin(held.next, waits, at(look)).unwrap();
            assert_eq!((held.facts.len(), held.jobs.len(), &held.next), (0, 1, &before));
            assert_eq!(held.next.held_for, Some(held_for));
        }
        // Another reason is news.
        assert_eq!(begin(held.next.clone(), other, at(20)).unwrap().facts.len(), 1);
        let begun = begin(held.next, clear(), at(20)).unwrap().next;
        assert_eq!((begun.state, begun.held_for), (EmailState::Sending, None));
    }
}

#[test]
fn an_email_that_never_waited_is_stored_as_before() {
    let json = serde_json::to_value(planned()).unwrap();
    assert!(json.get("held_for").is_none() && json.get("patience").is_none(), "{json}");
    assert_eq!(serde_json::from_value::<Email>(json).unwrap(), planned());
}

/// Mondays from nine to five in UTC; `at(0)` is a Monday, 14:13.
fn on_mondays() -> Email {
    let window = serde_json::from_str(r#"{"weekdays": ["mon"], "from": "09:00", "to": "17:00"}"#).unwrap();
    Email { hours: Some(Hours { window, zone: chrono_tz::UTC }), ..planned() }
}

#[test]
fn hours_that_open_after_the_five_days_are_no_reason_to_give_up() {
    let later = outcome(1);
    let begun = begin(on_mondays(), clear(), at(1)).unwrap().next;
    let mut email = settle(begun, 1, &later, at(3 * 60)).unwrap().next;
    let opens = |now: DateTime<Utc>| on_mondays().hours.unwrap().opens(now, None).unwrap();
    for (week, last) in [(1, false), (2, true)] {
        let held = begin(email, clear(), at((week - 1) * 7 * 1440 + 4 * 60)).unwrap();
        let monday = opens(at((week - 1) * 7 * 1440 + 4 * 60));
        assert_eq!((held.jobs[0].due, held.next.held_for, held.facts.len()), (monday, Some(HeldFor::Hours), 1));
        assert!(held.next.settled_by(None) > monday, "{week}");
        let attempt = held.next.attempts + 1;
        let begun = begin(held.next, clear(), monday).unwrap().next;
        let tried = settle(begun, attempt, &later, monday).unwrap().next;
        // They begin again once, not for ever.
        assert_eq!(tried.state, if last { EmailState::Bounced } else { EmailState::Deferred }, "{week}");
        email = tried;
    }
}

#[test]
fn nothing_is_planned_or_begun_until_consent_is_known() {
    let unknown = Known { standing: Standing::Unknown, ..clear() };
    let refused = plan(draft(1, "a@example.com"), unknown, at(0)).unwrap_err();
    assert_eq!(refused, Refusal::MayNotWrite { obstacle: Obstacle::ConsentUnknown });
    let held = begin(planned(), unknown, at(1)).unwrap();
    assert_eq!((held.next.state, held.next.attempts, held.jobs[0].due), (EmailState::Planned, 0, at(61)));
    assert_eq!(begin(held.next.clone(), clear(), at(61)).unwrap().next.state, EmailState::Sending);
    let late = begin(held.next.clone(), unknown, at(5 * 1440)).unwrap().next;
    assert_eq!((late.state, late.obstacle), (EmailState::Refused, Some(Obstacle::ConsentUnknown)));
    assert_eq!(late.outlook(), Outlook::GoOn);
    let elsewhere = Known { contact_current: false, ..unknown };
    assert_eq!(begin(held.next, elsewhere, at(61)).unwrap().next.obstacle, Some(Obstacle::ContactGone));
}

#[test]
fn each_outcome_leads_to_its_state_and_its_job() {
    let cases = [
        (0, EmailState::Sent, Outlook::GoOn),
        (1, EmailState::Deferred, Outlook::Wait),
        (2, EmailState::Bounced, Outlook::Bounced),
        (3, EmailState::Deferred, Outlook::Wait),
        (4, EmailState::Unknown, Outlook::GoOn),
    ];
    for (which, state, outlook) in cases {
        let decision = settle(sending(), 1, &outcome(which), at(2)).unwrap();
        assert_eq!((decision.next.state, decision.next.outlook()), (state, outlook));
        let waits = outlook == Outlook::Wait;
        assert_eq!(decision.jobs.iter().any(|job| matches!(job.job, Job::DeliverEmail { .. })), waits);
        assert!(decision.jobs.iter().all(|job| job.limit_key.as_deref() == Some("example.com")));
    }
}

#[test]
fn state_by_command_is_allowed_or_refused_by_name() {
    for state in EmailState::ALL.iter().copied() {
        let email = Email { state, attempts: 1, ..planned() };
        let waiting = matches!(state, EmailState::Planned | EmailState::Deferred);
        assert_eq!(begin(email.clone(), clear(), at(1)).is_ok(), waiting, "begin {state}");
        let open = matches!(state, EmailState::Sending | EmailState::Unknown);
        assert_eq!(settle(email.clone(), 1, &outcome(0), at(1)).is_ok(), open, "settle {state}");
        assert!(settle(email.clone(), 2, &outcome(0), at(1)).is_err(), "settle of another attempt {state}");
        assert_eq!(recover(email.clone(), at(1)).is_ok(), state == EmailState::Sending, "recover {state}");
        for resolution in Resolution::ALL.iter().copied() {
            let resolved = resolve(email.clone(), resolution, at(1));
            assert_eq!(resolved.is_ok(), state == EmailState::Unknown, "resolve {state}");
        }
    }
}

#[test]
fn later_is_tried_again_for_five_days_and_then_given_up() {
    let four = settle(sending(), 1, &outcome(1), at(4 * 1440)).unwrap();
    assert_eq!(four.next.state, EmailState::Deferred);
    let five = settle(sending(), 1, &outcome(1), at(5 * 1440)).unwrap();
    assert_eq!(five.next.state, EmailState::Bounced);
    let silent = settle(sending(), 1, &outcome(3), at(5 * 1440)).unwrap();
    assert_eq!((silent.next.state, silent.next.obstacle), (EmailState::Refused, Some(Obstacle::Expired)));
    assert!(
        (1..100).all(|n| back_off(n, false) <= back_off(n + 1, false) && back_off(n, true) <= back_off(n + 1, true))
    );
}

#[test]
fn only_a_refused_recipient_is_a_mailbox_that_is_gone() {
    let gone = |code, response: &str, recipient| {
        Delivery::Rejected { code, response: response.into(), recipient }.mailbox_is_gone()
    };
    for answer in ["5.1.1 no such user", "no such user", "#5.1.0 address rejected.", "<a@b.example>: 5.1.10 null MX"] {
        assert!(gone(550, answer, true), "{answer}");
        assert!(!gone(550, answer, false), "{answer}");
    }
    for answer in ["5.7.1 blocked by policy", "5.7.26 unauthenticated", "5.2.2 full", "rejected (5.7.606) 198.51.100.7"]
    {
        assert!(!gone(550, answer, true), "{answer}");
    }
    assert!(!gone(554, "spam", true) && !gone(553, "relaying denied", true) && !outcome(1).mailbox_is_gone());
}

#[test]
fn only_a_mailbox_that_is_gone_ends_the_enrolment() {
    for (code, response, recipient, outlook) in [
        (550, "5.1.1 no such user", true, Outlook::Bounced),
        (550, "5.7.1 blocked by policy", true, Outlook::GoOn),
        (554, "5.7.1 listed", false, Outlook::GoOn),
        (552, "5.3.4 too large", false, Outlook::GoOn),
    ] {
        let rejected = Delivery::Rejected { code, response: response.into(), recipient };
        let bounced = settle(sending(), 1, &rejected, at(2)).unwrap().next;
        assert_eq!((bounced.state, bounced.outlook()), (EmailState::Bounced, outlook), "{response}");
    }
    let given_up = settle(sending(), 1, &outcome(1), at(5 * 1440)).unwrap().next;
    assert_eq!((given_up.state, given_up.outlook()), (EmailState::Bounced, Outlook::GoOn));
}

#[derive(Debug, Clone)]
enum Act {
    Plan(u8, u8),
    Suppress(u8, bool),
    Lift(u8),
    Begin(u8),
    Settle(u8, u8),
    Recover(u8),
    Resolve(u8, bool),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..6_u8, 0..4_u8).prop_map(|(n, to)| Act::Plan(n, to)),
        (0..4_u8, any::<bool>()).prop_map(|(to, domain)| Act::Suppress(to, domain)),
        (0..8_u8).prop_map(Act::Lift),
        (0..6_u8).prop_map(Act::Begin),
        (0..6_u8, any::<u8>()).prop_map(|(n, outcome)| Act::Settle(n, outcome)),
        (0..6_u8).prop_map(Act::Recover),
        (0..6_u8, any::<bool>()).prop_map(|(n, resend)| Act::Resolve(n, resend)),
    ]
}

fn address(to: u8) -> &'static str {
    ["ann@one.example", "Bob@one.example", "cay@mail.one.example", "dan@two.example"][usize::from(to % 4)]
}

#[test]
fn an_email_whose_last_try_falls_into_holidays_is_settled_after_them() {
    let china = &crate::calendar::shipped()["china"];
    let mut email = on_mondays();
    email.hours.as_mut().unwrap().window = serde_json::from_str(r#"{"from": "09:00", "to": "17:00"}"#).unwrap();
    // Six days after it was planned is the second of October, in the golden week.
    let planned = Email { planned_at: "2026-09-26T10:00:00Z".parse().unwrap(), ..email };
    let days = |calendar| (planned.settled_by(calendar) - planned.planned_at).num_days();
    assert_eq!((days(None), days(Some(china))), (7, 12));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever holds it up and however often it is put off: as it stands, it is settled by then, or was held up anew before.
    #[test]
    fn an_email_is_settled_by_the_moment_that_it_names(
        weekday in 0..7_usize, from in 0..24_u32, to in 0..24_u32, start in 0..10_080_i64, looks in prop::collection::vec(0..4_u8, 1..60),
    ) {
        let day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][weekday];
        let window = format!(r#"{{"weekdays": ["{day}"], "from": "{from:02}:00", "to": "{to:02}:00"}}"#);
        let hours = Some(Hours { window: serde_json::from_str(&window).unwrap(), zone: chrono_tz::UTC });
        let mut email = plan(Draft { hours, ..draft(1, "a@example.com") }, clear(), at(start)).unwrap().next;
        let mut now = at(start);
        let mut paused = 0;
        for look in looks {
            // A pause at whiles; else each try is put off.
            let known = if look == 0 { PAUSED } else { clear() };
            paused += usize::from(look == 0);
            let decision = begin(email, known, now).unwrap();
            let due = decision.jobs.first().map(|job| job.due);
            email = match decision.next.state {
                EmailState::Sending => {
                    let attempt = decision.next.attempts;
                    let settled = settle(decision.next, attempt, &outcome(1), now).unwrap();
                    let due = settled.jobs.first().map(|job| job.due);
                    if settled.next.state == EmailState::Bounced { return Ok(()); }
                    prop_assert!(due.unwrap() <= settled.next.settled_by(None), "{:?}", settled.next);
                    now = due.unwrap();
                    settled.next
                }
                _ => {
                    let held = decision.next;
                    if held.held_for == Some(HeldFor::Hours) {
                        prop_assert!(due.unwrap() <= held.settled_by(None), "{held:?}");
                    }
                    now = due.unwrap();
                    held
                }
            };
            if paused == 0 {
                prop_assert!(now <= at(start) + TimeDelta::days(30), "{email:?}");
            }
        }
    }

    /// Promise 5: whatever the order of planning, suppressing, trying, failing and resolving.
    #[test]
    fn nothing_is_begun_after_a_suppression_landed(acts in prop::collection::vec(acts(), 1..80)) {
        let mut emails: std::collections::BTreeMap<u8, Email> = Default::default();
        let mut suppressions: Vec<Suppression> = Vec::new();
        for (minute, act) in acts.into_iter().enumerate() {
            let now = at(i64::try_from(minute).unwrap());
            match act {
                Act::Plan(n, to) => {
                    let known = under(&suppressions, address(to));
                    if !emails.contains_key(&n) && let Ok(decision) = plan(draft(n.into(), address(to)), known, now) {
                        emails.insert(n, decision.next);
                    }
                }
                Act::Suppress(to, whole) => {
                    let (kind, value) = if whole {
                        (SuppressionKind::Domain, address(to).rsplit_once('@').unwrap().1.to_owned())
                    } else {
                        (SuppressionKind::Email, address(to).to_lowercase())
                    };
                    let found = suppressions.iter().position(|s| s.kind == kind && s.value == value);
                    let id = SuppressionId(Uuid::from_u128(minute as u128));
                    let wish = Wish { id, kind, value, reason: SuppressionReason::Manual, source: String::new() };
                    if let Ok(decision) = suppress(found.map(|i| suppressions[i].clone()), wish, now) {
                        match found { Some(i) => suppressions[i] = decision.next, None => suppressions.push(decision.next) }
                    }
                }
                Act::Lift(i) => {
                    if let Some(found) = suppressions.get_mut(usize::from(i))
                        && let Ok(decision) = lift(found.clone(), "consent given anew", now) {
                        *found = decision.next;
                    }
                }
                Act::Begin(n) => {
                    if let Some(email) = emails.get(&n).cloned()
                        && let Ok(decision) = begin(email.clone(), under(&suppressions, &email.to.address), now) {
                        if decision.next.state == EmailState::Sending {
                            let to = &decision.next.to.address;
                            prop_assert!(!suppressions.iter().any(|s| s.covers(to)), "begun to {to}");
                        }
                        emails.insert(n, decision.next);
                    }
                }
                Act::Settle(n, which) => {
                    if let Some(email) = emails.get(&n).cloned() {
                        let attempt = email.attempts;
                        if let Ok(decision) = settle(email, attempt, &outcome(which), now) { emails.insert(n, decision.next); }
                    }
                }
                Act::Recover(n) => {
                    if let Some(email) = emails.get(&n).cloned() && let Ok(decision) = recover(email, now) {
                        emails.insert(n, decision.next);
                    }
                }
                Act::Resolve(n, resend) => {
                    let resolution = if resend { Resolution::Resend } else { Resolution::Sent };
                    if let Some(email) = emails.get(&n).cloned() && let Ok(decision) = resolve(email, resolution, now) {
                        emails.insert(n, decision.next);
                    }
                }
            }
        }
    }

    /// Promise 2: an e-mail of unknown fate goes out again only after a person said so.
    #[test]
    fn an_unknown_email_is_never_begun_without_a_resolution(outcomes in prop::collection::vec(any::<u8>(), 1..20)) {
        let mut email = planned();
        for (minute, which) in outcomes.into_iter().enumerate() {
            let now = at(i64::try_from(minute).unwrap());
            let before = email.state;
            match begin(email.clone(), clear(), now) {
                Ok(decision) => {
                    prop_assert!(matches!(before, EmailState::Planned | EmailState::Deferred));
                    let attempt = decision.next.attempts;
                    email = settle(decision.next, attempt, &outcome(which), now).unwrap().next;
                }
                Err(refusal) => prop_assert_eq!(refusal, Refusal::NotWaiting { state: before }),
            }
        }
    }
}

#[test]
fn a_busy_mailbox_does_not_put_off_for_ever_what_a_mail_server_never_takes() {
    let busy = Room { turn: Some(crate::sending_mailbox::pace::Turn::Wait { until: None }), ..Room::default() };
    let mut email = planned();
    let mut now = at(0);
    for _ in 0..40 {
        let queued = super::begin(email, clear(), &busy, now).unwrap().next;
        assert_eq!((queued.held_for, queued.queued_at), (Some(HeldFor::Mailbox), Some(now)));
        now += TimeDelta::hours(1);
        let slot = give_slot(queued, now).unwrap().next;
        let begun = begin(slot, clear(), now).unwrap().next;
        let attempt = begun.attempts;
        email = settle(begun, attempt, &outcome(1), now).unwrap().next;
        if email.state == EmailState::Bounced {
            // Five days of trying, and what it waited in the line beside them.
            assert!(now >= at(5 * 1440) && now <= at(9 * 1440), "{now}");
            return;
        }
        assert_eq!(email.state, EmailState::Deferred);
        now += TimeDelta::hours(12);
    }
    panic!("it is never given up");
}
