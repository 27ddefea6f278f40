//! Random programmes in the real application: what is simulated for a person is what happens to the person.

use crate::choices::Choices;
use crate::programmes::{Wanted, programme};
use crate::scene::*;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tandem_app::{OutboundChannelSave, SendingMailboxSave, WorkingCalendarSave};
use tandem_domain::calendar::{self, Calendars};
use tandem_domain::outbound::channel::{Draft, Provider};
use tandem_domain::sending_mailbox::MailboxDraft;
use tandem_domain::sequence::simulation::{MAX_LINES, simulate};
use tandem_domain::sequence::{SubjectKind, validate};

/// How many programmes; `PROPTEST_CASES` says otherwise.
const PROGRAMMES: u64 = 24;

/// What a step asked for, and when.
type Asked = (DateTime<Utc>, String, u32, String);

fn seeded(seed: u64) -> Choices {
    // SplitMix64.
    let next = |at: u64| {
        let state = (seed * 1_000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) >> 40).unwrap()
    };
    Choices::new((0..160).map(next).collect())
}

/// Everything that random programmes name; gives the calendars.
async fn set_up(world: &World) -> Calendars {
    furnish(world).await;
    for entity in [Entity::Contact, Entity::Account] {
        for key in ["mark", "bought"] {
            field(world, entity, key).await;
        }
    }
    for (key, provider, url) in [
        ("crm", Provider::Webhook, "https://crm.example.com/score"),
        ("room", Provider::Slack, "https://chat.example.com/robot"),
    ] {
        let (key, name, url) = (key.to_owned(), key.to_owned(), Some(url.to_owned()));
        let draft = Draft { key, name, provider, url, secret: None, headers: None, end_previous: false };
        world.app.run(&world.system(), OutboundChannelSave { draft }).await.unwrap();
    }
    let draft = MailboxDraft {
        address: "tandem@example.com".to_owned(),
        name: Some("Tandem".to_owned()),
        reply_to: None,
        pool: "outreach".to_owned(),
        zone: Tz::UTC,
        daily_cap: 1_000,
        ramp_up: None,
        interval: 0,
    };
    world.app.run(&world.system(), SendingMailboxSave { draft }).await.unwrap();
    let shipped = calendar::shipped();
    let china = &shipped["china"];
    let draft: calendar::Draft = serde_json::from_value(json!({
        "key": china.key, "name": china.name, "zone": china.zone, "week": china.week, "holidays": china.holidays,
        "make_up": china.make_up,
    }))
    .unwrap();
    world.app.run(&world.system(), WorkingCalendarSave { draft }).await.unwrap();
    shipped
}

/// What conditions and templates see of somebody who was just enrolled, from the records.
async fn seen(world: &World, person: &Contact, account: &Account, lead: &Lead) -> Value {
    let (person, lead) = (contact(world, person.id).await, self::lead(world, lead.id).await);
    json!({
        "contact": {
            "id": person.id, "name": person.name, "email": person.email, "phone": person.phone, "title": person.title,
            "first_name": person.name.as_deref().and_then(|name| name.split(' ').next()), "locale": person.locale,
            "time_zone": person.time_zone, "consent": person.consent.state, "source": person.source, "tags": person.tags,
            "custom": person.custom,
        },
        "account": {
            "id": account.id, "name": account.name, "domains": account.domains, "tier": account.tier,
            "industry": account.industry, "territory": account.territory, "country": account.country,
            "tags": account.tags, "custom": account.custom,
        },
        "lead": {
            "id": lead.id, "stage": lead.stage, "source": lead.source, "grade": lead.grade, "priority": lead.priority,
            "received_at": lead.received_at.to_rfc3339(), "reason": lead.reason, "tags": lead.tags, "custom": lead.custom,
        },
        "sender": {"name": "Tandem", "email": "tandem@example.com"},
        "unsubscribe_url": "https://example.com/u/1",
    })
}

/// Plays everything until the run is over, moment by moment; tasks that are waited for are done when they are due.
async fn play(world: &World, id: EnrollmentId, sdr: &Call) -> Enrollment {
    for _ in 0..400 {
        world.run_due_jobs().await;
        let now = run(world, id).await;
        let Some(due) = now.due_at.filter(|_| now.state.is_live()) else { return now };
        let task = items(world, ItemKind::Task).await.into_iter().find(|task| {
            let awaited = now.memory.task.as_ref().map(|it| it.visit);
            task.enrollment == Some(id) && awaited.is_some() && task.visit == awaited && task.due_at <= due
        });
        let until = task.as_ref().map_or(due, |task| task.due_at);
        world.clock.advance((until - world.now()).max(TimeDelta::zero()));
        if let Some(task) = task {
            let claimed = world.app.run(sdr, WorkItemClaim { item: task.id }).await.unwrap().0;
            let done = TaskComplete { item: task.id, token: claimed.fence, outcome: None, note: None };
            world.app.run(sdr, done).await.unwrap();
        }
    }
    panic!("it goes on for ever: {:?}", run(world, id).await)
}

/// What the record says that the run asked for.
async fn asked(world: &World, id: EnrollmentId) -> Vec<Asked> {
    let advanced = entries(world, "enrollment.advanced").await.into_iter().filter(|entry| entry.subject_id == id.0);
    let effect = |entry: &Entry| {
        let name = entry.detail.get("effect")?.as_str()?.to_owned();
        let taken = entry.detail["taken"].as_array()?.last()?.clone();
        let visit = u32::try_from(taken["visit"].as_u64()?).unwrap();
        Some((DateTime::from_timestamp_millis(entry.at)?, taken["step"].as_str()?.to_owned(), visit, name))
    };
    advanced.filter_map(|entry| effect(&entry)).collect()
}

on_both_databases! {
    async fn what_is_simulated_for_a_person_is_what_happens_to_the_person(world: World) {
        let calendars = set_up(&world).await;
        let sdr = world.user("sina", Role::Sdr, None).await.1;
        let programmes = std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(PROGRAMMES);
        let mut compared = 0;
        for seed in 0..programmes {
            let wanted = Wanted { key: "programme", most: 6, loops: seed % 3 == 0, forks: true, exclusive: true };
            let source = programme(&mut seeded(seed), wanted).replace("\"programme\"", &format!("\"programme_{seed}\""));
            let definition = validate::read(&source).unwrap();
            if definition.steps.iter().any(|step| step.kind.name() == "split") {
                // Lots are drawn by the id, and a simulation is for nobody in particular.
                continue;
            }
            let sequence = publish(&world, &source).await;
            let (person, account) = colleague(&world, &format!("p{seed}")).await;
            let received = lead_of(&world, &person).await;
            let started = match definition.header.subject {
                SubjectKind::Lead => enroll(&world, &sequence, &person, Some(received.id)).await,
                SubjectKind::Contact => enroll(&world, &sequence, &person, Some(received.id)).await,
            };
            let mut data = seen(&world, &person, &account, &received).await;
            // What the other side answers, and steps keep.
            for step in definition.steps.iter().filter(|step| step.kind.name() == "call_webhook") {
                data["answers"][&step.id] = json!({"errcode": 0, "code": 0});
            }
            let zone = person.time_zone.unwrap_or(Tz::UTC);
            let lines = simulate(&definition, &data, zone, world.now(), &calendars);
            if lines.len() >= MAX_LINES {
                continue;
            }
            let simulated: Vec<Asked> = lines
                .iter()
                .filter_map(|line| {
                    let effect = line.effect.as_ref()?;
                    Some((line.at, line.step.clone(), line.visit, effect.name().to_owned()))
                })
                .collect();
            let ended = play(&world, started.id, &sdr).await;
            if lead(&world, received.id).await.stage == Stage::Closed {
                // Nobody worked on the lead meanwhile, and no simulation knows of that.
                continue;
            }
            compared += 1;
            assert_eq!(asked(&world, started.id).await, simulated, "{seed}: {source}\n{lines:#?}");
            let why = ended.failure.as_ref().map(|it| format!(": {} {}", it.code, it.message)).unwrap_or_default();
            assert_eq!(lines.last().unwrap().what, format!("end: {}{why}", ended.state), "{seed}: {source}");
        }
        assert!(compared * 4 > programmes, "{compared} of {programmes} say something");
    }
}
