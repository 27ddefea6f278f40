//! The laws of how often people are written to: caps and windows are never broken, in no zone and over no change of the
//! clocks, in whatever order e-mails are planned and begun; a person is in one sequence of a group; mailboxes grow, keep their
//! people and their pace.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use tandem_domain::calendar::{Calendars, shipped};
use tandem_domain::contact_policy::{self, CapScope, ContactPolicy, Counted, FrequencyCap, PolicyDraft};
use tandem_domain::email::{self, Draft, Email, EmailState, Gate, Known, Mailbox, Room};
use tandem_domain::id::{
    AccountId, ContactId, ContactPolicyId, EmailId, EnrollmentId, SendingMailboxId, SequenceId, SequenceVersionId,
};
use tandem_domain::sending_mailbox::pace::{InLine, MailboxPace, Turn, hand_out, round_size, take};
use tandem_domain::sending_mailbox::{self, MailboxState, RampUp, SendingMailbox, choose};
use tandem_domain::sequence::enrollment::{self, Candidate, Enrollment, EnrollmentState, ExitReason, WaitReason};
use tandem_domain::sequence::publishing::{self, By, SequenceState};
use tandem_domain::sequence::simulation::{sample, simulate};
use tandem_domain::sequence::stepper::{Context, advance};
use tandem_domain::sequence::window::{Hours, SendWindow};
use tandem_domain::sequence::{Effect, validate};
use tandem_domain::standing::Standing;
use uuid::Uuid;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn policy(caps: &[(CapScope, u32, u32)]) -> ContactPolicy {
    let caps = caps.iter().map(|(scope, most, hours)| FrequencyCap { scope: *scope, most: *most, hours: *hours });
    contact_policy::save(None, ContactPolicyId(id(1)), PolicyDraft { caps: caps.collect() }).unwrap().next
}

fn known() -> Known {
    Known { standing: Standing::Allowed, contact_current: true, enrollment: Gate::Open, held_until: None }
}

fn planned(n: u128, contact: u128, hours: Option<Hours>, transactional: bool, now: DateTime<Utc>) -> Email {
    let draft = Draft {
        id: EmailId(id(n)),
        origin: (None, "test".to_owned(), 0),
        contact: ContactId(id(contact)),
        lead: None,
        account: Some(AccountId(id(7))),
        to: Mailbox::bare("ann@example.org"),
        from: Mailbox::bare("us@example.com"),
        reply_to: None,
        subject: "Hello".to_owned(),
        text: "Hello.".to_owned(),
        html: None,
        hours,
        transactional,
        mailbox: None,
    };
    email::plan(draft, known(), now).unwrap().next
}

/// What counts for an e-mail, as the store gives it: newest first.
fn counted(emails: &[Email], of: &Email, begun_alone: bool) -> Counted {
    let moments = |same: &dyn Fn(&Email) -> bool| {
        let waits = |email: &Email| matches!(email.state, EmailState::Planned | EmailState::Deferred);
        let counts = emails.iter().filter(|email| same(email) && !(begun_alone && waits(email)));
        let mut moments: Vec<DateTime<Utc>> = counts.filter_map(Email::counts_at).collect();
        moments.sort_unstable_by(|a, b| b.cmp(a));
        moments
    };
    Counted {
        person: moments(&|email| email.contact == of.contact),
        account: moments(&|email| email.account == of.account),
    }
}

fn zone(n: usize) -> Tz {
    TZ_VARIANTS[n % TZ_VARIANTS.len()]
}

fn mailbox(n: u128, daily_cap: u32, interval: u32) -> SendingMailbox {
    SendingMailbox {
        id: SendingMailboxId(id(n)),
        address: format!("m{n}@example.com"),
        name: Some("Team".to_owned()),
        reply_to: None,
        pool: "outreach".to_owned(),
        zone: Tz::UTC,
        daily_cap,
        ramp_up: None,
        interval,
        state: MailboxState::Active,
        version: 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Sixteen weeks over both changes of the clocks; e-mails to three people of one account come at random moments, each is
    /// tried when its job is due, and tries end in any way.
    #[test]
    fn caps_and_windows_are_never_broken_in_any_zone_over_a_change_of_the_clocks(
        zone_of in 0..TZ_VARIANTS.len(),
        start in prop::sample::select(vec!["2026-02-20T00:00:00Z", "2026-09-15T00:00:00Z"]),
        hours in (0_u32..24, 0_u32..24),
        caps in (1_u32..3, 1_u32..72, 1_u32..5, 24_u32..400),
        comes in prop::collection::vec((0_i64..60 * 24 * 60, 0_u128..3, any::<u8>()), 1..40),
    ) {
        let zone = zone(zone_of);
        let policy = policy(&[
            (CapScope::Person, caps.0, caps.1),
            (CapScope::Person, caps.0 + 1, caps.1 + 100),
            (CapScope::Account, caps.2, caps.3),
        ]);
        let time = |hour: u32| format!("{hour:02}:30").parse().unwrap();
        let window = SendWindow { weekdays: serde_json::from_value(json!(["mon", "wed", "thu", "sun"])).unwrap(),
            from: time(hours.0), to: time(hours.1), calendar: Some("china".to_owned()) };
        let calendars = shipped();
        let calendar = calendars.get("china");
        let window = Hours { window, zone };
        let mut emails: Vec<Email> = Vec::new();
        // What is due, and when: e-mails that come, by their number in `comes`, and jobs of those that are there.
        let mut due: BTreeMap<(DateTime<Utc>, usize), (bool, usize)> = BTreeMap::new();
        let mut order = 0;
        for (n, (minute, ..)) in comes.iter().enumerate() {
            due.insert((at(start) + TimeDelta::minutes(*minute), order), (true, n));
            order += 1;
        }
        let mut tries = 0;
        while let Some(((now, _), (new, n))) = due.pop_first() {
            tries += 1;
            prop_assert!(tries < 40 * 60, "an e-mail is looked at again and again");
            if new {
                let (_, contact, kind) = comes[n];
                let email = planned(n as u128, contact, Some(window.clone()), kind % 7 == 0, now);
                // A transactional one has no hours: its sequence says so.
                let email = if email.transactional { Email { hours: None, ..email } } else { email };
                emails.push(email);
                due.insert((now, order), (false, emails.len() - 1));
                order += 1;
                continue;
            }
            let email = emails[n].clone();
            let capped = policy.holds(&counted(&emails, &email, true), now);
            let room = Room { calendar, capped, turn: None };
            let decision = email::begin(email.clone(), known(), &room, now).unwrap();
            for job in &decision.jobs {
                prop_assert!(job.due > now, "it is put off, not tried again at once");
                due.insert((job.due, order), (false, n));
                order += 1;
            }
            let begun = decision.next;
            if begun.state != EmailState::Sending {
                prop_assert!(!begun.transactional, "what people wait for is never held back");
                emails[n] = begun;
                continue;
            }
            if !begun.transactional {
                prop_assert!(window.window.is_open(now, zone, calendar), "{zone} {now} {window:?}");
            }
            let outcome = match comes[n % comes.len()].2 % 5 {
                0 if begun.attempts < 3 => email::Delivery::Deferred { code: 451, response: "later".into() },
                1 => email::Delivery::Unknown { error: "reset".into() },
                _ => email::Delivery::Accepted { response: "ok".into() },
            };
            emails[n] = begun.clone();
            let settled = email::settle(begun.clone(), begun.attempts, &outcome, now).unwrap();
            for job in &settled.jobs {
                due.insert((job.due, order), (false, n));
                order += 1;
            }
            emails[n] = settled.next;
        }
        // The law itself, by counting: in no span of a cap's window are more begun than it allows.
        let sent = |same: &dyn Fn(&Email) -> bool| {
            let sent = emails.iter().filter(|email| !email.transactional && email.state != EmailState::Refused && same(email));
            let mut moments: Vec<_> = sent.filter_map(|email| email.begun_at).collect();
            moments.sort_unstable();
            moments
        };
        for cap in &policy.caps {
            let groups: Vec<Vec<DateTime<Utc>>> = match cap.scope {
                CapScope::Person => (0..3).map(|who| sent(&|email| email.contact == ContactId(id(who)))).collect(),
                CapScope::Account => vec![sent(&|_| true)],
            };
            for moments in groups {
                for span in moments.windows(cap.most as usize + 1) {
                    prop_assert!(*span.last().unwrap() - span[0] >= cap.window(), "{cap} {span:?}");
                }
            }
        }
        prop_assert!(emails.iter().all(|email| email.state != EmailState::Planned), "each of them went in the end");
    }

    /// The moment that is named is the first one: before it the caps hold, at it they do not.
    #[test]
    fn the_moment_at_which_a_cap_opens_is_computed_and_is_the_first(
        caps in prop::collection::vec((any::<bool>(), 1_u32..6, 1_u32..200), 1..5),
        minutes in prop::collection::vec(0_i64..20_000, 0..12),
        now in 0_i64..20_000,
    ) {
        let mut caps: Vec<_> = caps.into_iter()
            .map(|(person, most, hours)| (if person { CapScope::Person } else { CapScope::Account }, most, hours)).collect();
        caps.sort_by_key(|(scope, _, hours)| (*scope, *hours));
        caps.dedup_by_key(|(scope, _, hours)| (*scope, *hours));
        let policy = policy(&caps);
        let moment = |minute: i64| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        let mut moments: Vec<_> = minutes.iter().map(|minute| moment(*minute)).collect();
        moments.sort_unstable_by(|a, b| b.cmp(a));
        let counted = Counted { person: moments.clone(), account: moments };
        let now = moment(now);
        if let Some(capped) = policy.holds(&counted, now) {
            prop_assert!(capped.until > now);
            prop_assert_eq!(policy.holds(&counted, capped.until), None);
            let before = capped.until - TimeDelta::milliseconds(1);
            prop_assert_eq!(policy.holds(&counted, before).map(|held| held.until), Some(capped.until));
        }
    }

    #[test]
    fn a_ramp_up_never_shrinks_and_never_passes_the_cap(
        cap in 1_u32..500, start in 1_u32..500, per_day in 1_u32..100, days in 0_u64..400,
    ) {
        let from = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let ramp_up = Some(RampUp { from, start: start.min(cap), per_day });
        let mailbox = SendingMailbox { ramp_up, ..mailbox(1, cap, 0) };
        let (one, next) = (mailbox.allowance(from + Days::new(days)), mailbox.allowance(from + Days::new(days + 1)));
        prop_assert!(one <= next && next <= cap && next - one <= per_day);
        prop_assert_eq!(mailbox.allowance(from), start.min(cap));
        prop_assert_eq!(mailbox.allowance(from + Days::new(500)), cap);
    }

    /// The days of a mailbox follow each other, whatever the clocks do.
    #[test]
    fn every_moment_is_in_one_day_of_a_mailbox(
        zone_of in 0..TZ_VARIANTS.len(), minute in 0_i64..3 * 365 * 24 * 60, later in 1_i64..3 * 24 * 60,
    ) {
        let mailbox = SendingMailbox { zone: zone(zone_of), ..mailbox(1, 10, 0) };
        let now = at("2025-01-01T00:00:00Z") + TimeDelta::minutes(minute);
        let (day, other) = (mailbox.day(now), mailbox.day(now + TimeDelta::minutes(later)));
        prop_assert!(day.ends > now && day.ends <= now + TimeDelta::hours(49), "{day:?}");
        prop_assert!(day.date <= other.date);
        prop_assert_eq!(day == other, now + TimeDelta::minutes(later) < day.ends);
        prop_assert!(mailbox.day(day.ends).date > day.date);
    }

    #[test]
    fn a_mailbox_more_or_less_moves_only_the_people_that_are_its_own(
        count in 1_u128..8, people in prop::collection::vec(any::<u128>(), 50..120), sequence in any::<u128>(), which in any::<prop::sample::Index>(),
    ) {
        let before: Vec<SendingMailbox> = (0..count).map(|n| mailbox(n, 10, 0)).collect();
        let mut after = before.clone();
        after.push(mailbox(99, 10, 0));
        let of = |mailboxes: &[SendingMailbox], person: u128| {
            choose(mailboxes, "outreach", SequenceId(id(sequence)), ContactId(id(person))).unwrap().id
        };
        for person in &people {
            let (old, new) = (of(&before, *person), of(&after, *person));
            prop_assert!(new == old || new == SendingMailboxId(id(99)));
        }
        // Paused, a mailbox gives its own people to others, and nobody else moves.
        let mut paused = before.clone();
        let at = which.index(paused.len());
        paused[at].state = MailboxState::Paused;
        let gone = paused[at].id;
        for person in &people {
            let old = of(&before, *person);
            let new = choose(&paused, "outreach", SequenceId(id(sequence)), ContactId(id(*person))).map(|mailbox| mailbox.id);
            prop_assert!(old == gone || new == Some(old));
            prop_assert!(new != Some(gone));
        }
    }

    /// E-mails of several sequences come to one mailbox at random moments; jobs run a little late, as jobs do.
    #[test]
    fn a_mailbox_keeps_its_interval_and_its_daily_cap_and_forgets_nobody(
        interval in prop::sample::select(vec![0_u32, 1, 7, 30, 90]),
        daily_cap in 1_u32..40,
        comes in prop::collection::vec((0_i64..4_000, 0_u128..4, 0_i64..4), 1..60),
    ) {
        let mailbox = SendingMailbox { zone: Tz::America__New_York, ..mailbox(1, daily_cap, interval) };
        let start = at("2026-03-08T04:30:00Z");
        let mut pace = MailboxPace::new(mailbox.id, start);
        let mut line: Vec<InLine> = Vec::new();
        // What is due: an e-mail that comes or has its moment, or a round.
        #[derive(Debug, Clone, Copy)]
        enum Due { Email(usize, Option<DateTime<Utc>>), Round(u32) }
        let mut due: BTreeMap<(DateTime<Utc>, usize), Due> = BTreeMap::new();
        let mut order = 0;
        for (n, (second, ..)) in comes.iter().enumerate() {
            due.insert((start + TimeDelta::seconds(*second), order), Due::Email(n, None));
            order += 1;
        }
        let mut sent: Vec<DateTime<Utc>> = Vec::new();
        let (mut looked_at, mut rounds) = (vec![0_u32; comes.len()], 0);
        while let Some(((now, _), what)) = due.pop_first() {
            match what {
                Due::Email(n, slot) => {
                    looked_at[n] += 1;
                    let (turn, next, planned) = take(&mailbox, &pace, slot, now);
                    pace = next;
                    if planned {
                        due.insert((pace.round_at.unwrap(), order), Due::Round(pace.round));
                        order += 1;
                    }
                    match turn {
                        Turn::Go => sent.push(now),
                        Turn::Wait { until } => {
                            prop_assert!(until.is_some_and(|until| until >= now));
                            let sequence = Some(SequenceId(id(comes[n].1)));
                            line.push(InLine { email: EmailId(id(n as u128)), sequence, since: now });
                        }
                    }
                }
                Due::Round(round) => {
                    rounds += 1;
                    prop_assert!(rounds < 2_000, "rounds without end");
                    let each = round_size(&mailbox) as usize + 1;
                    let mut seen: BTreeMap<Option<SequenceId>, usize> = BTreeMap::new();
                    line.sort_by_key(|one| (one.since, one.email));
                    let first: Vec<InLine> = line.iter().copied().filter(|one| {
                        let count = seen.entry(one.sequence).or_default();
                        *count += 1;
                        *count <= each
                    }).collect();
                    let Ok(given) = hand_out(&mailbox, &pace, round, &first, now) else { continue };
                    pace = given.next.pace;
                    prop_assert!(given.next.slots.len() <= round_size(&mailbox) as usize);
                    for (email, slot) in &given.next.slots {
                        line.retain(|one| one.email != *email);
                        let n = email.0.as_u128() as usize;
                        due.insert((*slot + TimeDelta::seconds(comes[n].2), order), Due::Email(n, Some(*slot)));
                        order += 1;
                    }
                    if let Some(next) = pace.round_at {
                        prop_assert!(next >= now);
                        due.insert((next, order), Due::Round(pace.round));
                        order += 1;
                    }
                }
            }
        }
        prop_assert_eq!((sent.len(), line.len()), (comes.len(), 0), "everybody's turn came");
        let mut days: BTreeMap<NaiveDate, u32> = BTreeMap::new();
        for moment in &sent {
            *days.entry(mailbox.day(*moment).date).or_default() += 1;
        }
        prop_assert!(days.values().all(|count| *count <= daily_cap), "{days:?}");
        if interval > 0 {
            // A job may be late by as long as it is put up with; apart from that the interval holds.
            let late = i64::from(interval.max(5));
            for (place, first) in sent.iter().enumerate() {
                for (more, last) in sent.iter().enumerate().skip(place + 1) {
                    let least = i64::from(interval) * (more - place) as i64 - late;
                    prop_assert!((*last - *first).num_seconds() >= least, "{interval} {place} {more} {sent:?}");
                }
            }
        }
        prop_assert!(looked_at.iter().all(|times| *times <= 6), "{looked_at:?}");
    }

    /// People are enrolled in sequences of a group in any order of priorities, and some runs end by themselves.
    #[test]
    fn a_person_is_in_one_sequence_of_a_group_and_the_higher_priority_has_the_person(
        order in prop::collection::vec((0_u8..=100, any::<bool>()), 1..20),
    ) {
        let mut live: Vec<Enrollment> = Vec::new();
        for (n, (priority, ends)) in order.into_iter().enumerate() {
            let now = at("2026-01-05T09:00:00Z") + TimeDelta::hours(n as i64);
            let newcomer = in_group(n as u128, priority, now);
            let had = live.iter().find(|one| one.state.is_live()).and_then(|one| one.exclusive.clone());
            match enrollment::compete(&newcomer, &live) {
                Ok(None) => prop_assert!(had.is_none()),
                Ok(Some(other)) => {
                    prop_assert!(had.unwrap().priority < priority);
                    let (rule, other) = (newcomer.id.to_string(), other.clone());
                    let ended = enrollment::supersede(other, &newcomer, now).unwrap();
                    prop_assert_eq!(ended.next.state, EnrollmentState::Exited(ExitReason::Superseded));
                    prop_assert_eq!(ended.facts[0].detail["superseded_by"].as_str(), Some(rule.as_str()));
                    let place = live.iter().position(|one| one.id == ended.next.id).unwrap();
                    live[place] = ended.next;
                }
                Err(refusal) => {
                    prop_assert!(had.unwrap().priority >= priority);
                    prop_assert_eq!(refusal.code(), "ENROLLMENT_EXCLUDED");
                    continue;
                }
            }
            live.push(newcomer);
            prop_assert_eq!(live.iter().filter(|one| one.state.is_live()).count(), 1);
            if ends {
                let last = live.pop().unwrap();
                live.push(enrollment::exit(last, ExitReason::Manual, now).unwrap().next);
            }
        }
    }
}

const LETTERS: &str = "
key: letters
name: Letters
subject: contact
exclusive: nurture
priority: PRIORITY
calendar: china
send_window: {from: '09:00', to: '17:00'}
steps:
  - {id: hello, kind: send_email, pool: outreach, template: {subject: 'From {{ sender.name }}', text: '{{ sender.email }}'}}
  - {id: days, kind: wait, business_days: 2}
  - {id: hours, kind: wait, business_time: 4h}
  - {id: done, kind: end}
";

fn in_group(n: u128, priority: u8, now: DateTime<Utc>) -> Enrollment {
    let source = LETTERS.replace("PRIORITY", &priority.to_string());
    let by = By { sequence: SequenceId(id(1_000 + n)), version: SequenceVersionId(id(2_000 + n)), user: None };
    let (sequence, version) = publishing::publish(None, &source, by, now).unwrap().next;
    let candidate =
        Candidate { id: EnrollmentId(id(n)), contact: ContactId(id(2)), lead: None, account: None, vars: Map::new() };
    let data = sample();
    let calendars = Calendars::new();
    let context = context(&data, &calendars, &[]);
    enrollment::enroll(candidate, &sequence, &version, None, &context, now).unwrap().next
}

fn context<'a>(data: &'a serde_json::Value, calendars: &'a Calendars, mailboxes: &'a [SendingMailbox]) -> Context<'a> {
    Context {
        data,
        zone: Tz::Asia__Shanghai,
        standing: Standing::Allowed,
        replied: false,
        meeting_booked: false,
        sequence: SequenceState::Active,
        calendars,
        mailboxes,
        capped: None,
    }
}

fn letters() -> tandem_domain::sequence::Definition {
    validate::read(&LETTERS.replace("PRIORITY", "60")).unwrap()
}

#[test]
fn a_capped_step_waits_until_caps_and_window_both_allow_it_and_names_the_rule() {
    // A Tuesday afternoon in Shanghai; the day of the cap ends at night.
    let now = at("2026-03-10T08:00:00Z");
    let (data, calendars, mailboxes) = (sample(), shipped(), [mailbox(1, 10, 0)]);
    let enrollment = in_group(1, 60, now);
    let policy = policy(&[(CapScope::Person, 1, 24)]);
    let counted = Counted { person: vec![now - TimeDelta::hours(10)], account: Vec::new() };
    let capped = policy.holds(&counted, now);
    let context = Context { capped, ..context(&data, &calendars, &mailboxes) };
    let decision = advance(&enrollment, &letters(), &context, now).unwrap();
    let waiting = decision.next.enrollment;
    assert_eq!((waiting.state, waiting.step.as_str()), (EnrollmentState::Waiting(WaitReason::Cap), "hello"));
    // 06:00 in Shanghai is before the window.
    assert_eq!(waiting.due_at, Some(at("2026-03-11T01:00:00Z")));
    assert_eq!(decision.facts[0].detail["capped_by"], "contact_policy@1: 1 in 1d a person");
    assert!(waiting.keeps_the_law() && decision.next.effect.is_none());
    let later = waiting.due_at.unwrap();
    let free = Context { capped: policy.holds(&counted, later), ..context };
    assert!(matches!(advance(&waiting, &letters(), &free, later).unwrap().next.effect, Some(Effect::SendEmail(_))));
}

#[test]
fn the_sender_is_the_mailbox_of_the_pool_and_without_an_active_one_the_step_waits() {
    let now = at("2026-03-10T02:00:00Z");
    let (data, calendars) = (sample(), shipped());
    let enrollment = in_group(1, 60, now);
    let mut mailboxes = vec![SendingMailbox {
        name: Some("Lin".to_owned()),
        reply_to: Some(Mailbox::bare("answers@example.com")),
        ..mailbox(1, 10, 0)
    }];
    let decision = advance(&enrollment, &letters(), &context(&data, &calendars, &mailboxes), now).unwrap();
    let Some(Effect::SendEmail(email)) = decision.next.effect else { unreachable!("{:?}", decision.next) };
    assert_eq!((email.subject.as_str(), email.text.as_str()), ("From Lin", "m1@example.com"));
    assert_eq!(email.from.unwrap().address, "m1@example.com");
    assert_eq!(email.reply_to.unwrap().address, "answers@example.com");
    assert_eq!(email.mailbox, Some(mailboxes[0].id));
    mailboxes[0] = sending_mailbox::pause(mailboxes[0].clone()).unwrap().next;
    let waiting = advance(&enrollment, &letters(), &context(&data, &calendars, &mailboxes), now).unwrap().next;
    assert_eq!(waiting.enrollment.state, EnrollmentState::Waiting(WaitReason::Event));
    assert_eq!((waiting.enrollment.step.as_str(), waiting.effect), ("hello", None));
    assert_eq!(waiting.enrollment.due_at, Some(now + TimeDelta::hours(1)));
}

#[test]
fn waits_in_business_time_count_on_the_calendar_of_the_moment() {
    // Friday at 16:00 in Shanghai.
    let lines = simulate(&letters(), &sample(), Tz::Asia__Shanghai, at("2026-03-06T08:00:00Z"), &shipped());
    let moments: Vec<String> =
        lines.iter().map(|line| format!("{} {}", line.at.format("%a %H:%M"), line.step)).collect();
    assert_eq!(moments[..2], ["Fri 08:00 hello", "Fri 08:00 days"], "{lines:#?}");
    assert!(lines.iter().any(|line| line.step == "hours" && line.at == at("2026-03-10T08:00:00Z")), "{lines:#?}");
    let unknown = simulate(&letters(), &sample(), Tz::UTC, at("2026-03-06T08:00:00Z"), &Calendars::new());
    assert!(unknown.last().unwrap().what.contains("SEQUENCE_CALENDAR_UNKNOWN"), "{unknown:#?}");
}

#[test]
fn what_does_not_go_together_is_a_problem_with_its_place() {
    let step =
        |step: &str| format!("{{key: k, name: Any, subject: contact, steps: [{step}, {{id: done, kind: end}}]}}");
    let email = "{id: a, kind: send_email, pool: p, from: {address: a@example.com}, template: {subject: S, text: T}}";
    for (source, path) in [
        (step("{id: a, kind: wait, business_days: 2}"), "steps[0]"),
        (step("{id: a, kind: wait, business_days: 0, calendar: china}"), "steps[0].business_days"),
        (step("{id: a, kind: wait, business_days: 2, duration: 1d, calendar: china}"), "steps[0]"),
        (step("{id: a, kind: wait, duration: 1d, calendar: china}"), "steps[0].calendar"),
        (step("{id: a, kind: wait, business_time: 4h, calendar: 'No key'}"), "steps[0].calendar"),
        (step(email), "steps[0].from"),
        (step("{id: a, kind: wait, duration: 1d}").replace("subject:", "priority: 60, subject:"), "priority"),
        (
            step("{id: a, kind: wait, duration: 1d}").replace("subject:", "exclusive: g, priority: 101, subject:"),
            "priority",
        ),
        (step("{id: a, kind: wait, duration: 1d}").replace("subject:", "exclusive: 'G!', subject:"), "exclusive"),
    ] {
        let problems = validate::read(&source).unwrap_err();
        assert!(problems.iter().any(|problem| problem.path == path && problem.line.is_some()), "{path}: {problems:?}");
    }
}

#[test]
fn definitions_without_any_of_it_keep_their_form() {
    let source = "{key: k, name: Any, subject: contact, send_window: {from: '09:00', to: '17:00'}, steps: [\
                  {id: a, kind: send_email, template: {subject: S, text: T}}, {id: b, kind: wait, duration: 1d}, {id: z, kind: end}]}";
    let stored = serde_json::to_string(&validate::read(source).unwrap()).unwrap();
    for word in ["calendar", "exclusive", "priority", "pool", "business"] {
        assert!(!stored.contains(word), "{word}: {stored}");
    }
}

#[test]
fn sequences_take_turns_in_the_line_of_a_mailbox() {
    let mailbox = mailbox(1, 1_000, 60);
    let now = at("2026-03-10T02:00:00Z");
    let mut pace = MailboxPace { round: 1, round_at: Some(now), ..MailboxPace::new(mailbox.id, now) };
    let one = |n: u128, sequence: u128| InLine {
        email: EmailId(id(n)),
        sequence: Some(SequenceId(id(sequence))),
        since: now + TimeDelta::seconds(n as i64),
    };
    // A great many of one sequence, and then three of another.
    let mut line: Vec<InLine> = (0..50).map(|n| one(n, 1)).chain((50..53).map(|n| one(n, 2))).collect();
    let mut gone = Vec::new();
    let mut moment = now;
    for _ in 0..6 {
        let first: Vec<InLine> = line
            .iter()
            .copied()
            .take(2)
            .chain(line.iter().copied().filter(|one| one.since >= now + TimeDelta::seconds(50)).take(2))
            .collect();
        let given = hand_out(&mailbox, &pace, pace.round, &first, moment).unwrap().next;
        let [(email, slot)] = given.slots[..] else { unreachable!("one a minute") };
        assert_eq!(slot, moment);
        line.retain(|one| one.email != email);
        gone.push(email.0.as_u128());
        pace = take(&mailbox, &given.pace, Some(slot), slot).1;
        moment = pace.round_at.unwrap();
    }
    assert_eq!(gone, [0, 50, 1, 51, 2, 52]);
}
