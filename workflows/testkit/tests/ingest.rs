//! Events of analytics SDKs through the real commands and jobs, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tandem_app::{AccountUpsert, Call, ContactCreate, EventsReceive, Parcel, UserChange};
use tandem_domain::access::{Role, User};
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::{Contact, ContactPatch};
use tandem_domain::edit::Edit;
use tandem_domain::id::{ContactId, EventBatchId, IngestedEventId};
use tandem_domain::ingest::{Envelope, EventRule, EventSource, IngestedEvent, Moment, SourceDraft, State, Trust};
use tandem_domain::interaction::{Automation, Interaction, InteractionKind};
use tandem_store::Page;
use tandem_store::ingest::IngestedEventFilter;
use tandem_store::interaction::{InteractionFilter, Of};
use tandem_testkit::{World, on_both_databases};

/// A source, and what it sends.
struct Sender {
    ops: Call,
    machine: User,
    source: EventSource,
}

fn draft(machine: &User, key: &str, trust: Trust) -> SourceDraft {
    SourceDraft {
        key: key.to_owned(),
        name: "Web site".to_owned(),
        trust,
        acts_as: machine.id,
        user_system: "app".to_owned(),
        phone_region: Some("US".to_owned()),
        rules: vec![EventRule { event: "Whitepaper".to_owned(), kind: InteractionKind::Download }],
        active: true,
    }
}

async fn sender(world: &World, trust: Trust) -> Sender {
    let (_, ops) = world.user("otto", Role::SalesOps, None).await;
    let (machine, _) = world.user("machine", Role::Integration, None).await;
    let (source, write_key) = world.app.save_event_source(&ops, draft(&machine, "site", trust)).await.unwrap();
    assert!(write_key.unwrap().starts_with("tdw_"));
    Sender { ops, machine, source }
}

/// Stores events as they come with one request.
async fn arrive(world: &World, source: &EventSource, events: &[Value]) {
    let now = world.now();
    let batch: EventBatchId = world.app.env.id(now);
    let envelope = Envelope { kind: None, sent_at: Moment::Untold, received_at: now };
    let read = |event: &Value| {
        let id: IngestedEventId = world.app.env.id(now);
        envelope.read(source.id, batch, id, event)
    };
    let parcel = Parcel { source: source.id, batch, events: events.iter().map(read).collect() };
    world.app.run(&world.system(), EventsReceive { parcels: vec![parcel] }).await.unwrap();
}

async fn sent(world: &World, sender: &Sender, events: &[Value]) {
    arrive(world, &sender.source, events).await;
    world.run_due_jobs().await;
}

async fn stored(world: &World) -> Vec<IngestedEvent> {
    world.app.store.ingested_event_page(&IngestedEventFilter::default(), &Page::first(100)).await.unwrap().items
}

/// What became of the events: state, and the code of the fault.
async fn outcomes(world: &World) -> Vec<(State, Option<String>)> {
    stored(world).await.into_iter().map(|event| (event.state, event.fault.map(|fault| fault.code))).collect()
}

async fn interactions(world: &World, of: Option<Of>) -> Vec<Interaction> {
    let filter = InteractionFilter { of, ..InteractionFilter::default() };
    world.app.store.interaction_page(&filter, &Page::first(100)).await.unwrap().items
}

async fn names(world: &World, contact: &Contact) -> Vec<String> {
    let found = interactions(world, Some(Of::Contact(contact.id))).await;
    found.into_iter().map(|interaction| interaction.name).collect()
}

async fn contact(world: &World, email: &str) -> Option<Contact> {
    let id = world.app.store.identity_owner("contact.email", email).await.unwrap()?;
    world.app.store.find(ContactId(id)).await.unwrap()
}

fn track(message: &str, who: &Value, event: &str) -> Value {
    let mut track = json!({ "type": "track", "messageId": message, "event": event });
    track.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    track
}

fn identify(message: &str, who: &Value, traits: &Value) -> Value {
    let mut identify = json!({ "type": "identify", "messageId": message, "traits": traits });
    identify.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    identify
}

async fn known(world: &World, ops: &Call, patch: ContactPatch) -> Contact {
    world.app.run(ops, ContactCreate { contact: patch, default_region: None }).await.unwrap().record
}

fn at(world: &World, minutes: i64) -> DateTime<Utc> {
    world.now() + TimeDelta::minutes(minutes)
}

on_both_databases! {
    async fn what_a_visitor_did_becomes_the_persons_when_it_is_known_who_that_is(world: World) {
        let sender = sender(&world, Trust::Browser).await;
        let acme = AccountPatch { name: Some("Acme".to_owned()), domains: Some(vec!["acme.example".to_owned()]), ..AccountPatch::default() };
        let acme = world.app.run(&sender.ops, AccountUpsert { account: acme }).await.unwrap().record;
        let device = json!({ "anonymousId": "a-1" });
        sent(&world, &sender, &[track("m1", &device, "Whitepaper"), track("m2", &device, "Checked In")]).await;
        assert!(interactions(&world, None).await.iter().all(|one| one.contact.is_none() && one.visitor.is_some()));
        // Signed in with an address in a later request, together with what was done in the same one.
        let user = json!({ "anonymousId": "a-1", "userId": "u-1" });
        let ann = json!({ "email": "Ann@Acme.example", "firstName": "Ann", "lastName": "Example" });
        sent(&world, &sender, &[track("m3", &user, "Form Submitted"), identify("m4", &user, &ann)]).await;
        // From another device, and by the user's id alone.
        sent(&world, &sender, &[track("m5", &json!({ "anonymousId": "b-2", "userId": "u-1" }), "Bought")]).await;
        sent(&world, &sender, &[track("m6", &json!({ "anonymousId": "b-2" }), "Looked")]).await;
        let ann = contact(&world, "ann@acme.example").await.unwrap();
        assert_eq!((ann.name.as_deref(), ann.account, ann.source.as_deref()), (Some("Ann Example"), Some(acme.id), Some("site")));
        let done = interactions(&world, Some(Of::Contact(ann.id))).await;
        let kinds: Vec<InteractionKind> = done.iter().map(|one| one.kind).collect();
        use InteractionKind::{CheckIn, Download, Form, Other};
        assert_eq!(kinds, [Download, CheckIn, Form, Other, Other]);
        assert!(done.iter().all(|one| one.account == Some(acme.id) && one.source == Some(sender.source.id)));
        assert_eq!(interactions(&world, Some(Of::Account(acme.id))).await.len(), 5);
        assert!(outcomes(&world).await.iter().all(|(state, fault)| *state == State::Applied && fault.is_none()));
        let ledger = world.ledger_kinds().await;
        let count = |kind: &str| ledger.iter().filter(|one| *one == kind).count();
        assert_eq!((count("events.received"), count("events.applied"), count("visitor.identified")), (4, 4, 1));
    }

    async fn a_message_is_applied_once_however_often_it_is_sent(world: World) {
        let sender = sender(&world, Trust::Browser).await;
        let who = json!({ "anonymousId": "a" });
        let one = track("m1", &who, "Looked");
        // Twice in one request, again in another before the first was applied, and again after.
        arrive(&world, &sender.source, &[one.clone(), one.clone()]).await;
        arrive(&world, &sender.source, &[one.clone(), track("m2", &who, "Left")]).await;
        world.run_due_jobs().await;
        sent(&world, &sender, &[one]).await;
        assert_eq!(stored(&world).await.len(), 2);
        let names: Vec<String> = interactions(&world, None).await.into_iter().map(|one| one.name).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        // What has no id of its own is new each time.
        let nameless = json!({ "type": "page", "anonymousId": "a" });
        sent(&world, &sender, &[nameless.clone(), nameless]).await;
        assert_eq!(interactions(&world, None).await.len(), 4);
        assert_eq!(world.job_kinds().await, Vec::<String>::new());
    }

    async fn what_is_wrong_with_one_event_keeps_no_other_out(world: World) {
        let sender = sender(&world, Trust::Server).await;
        let who = |user: &str| json!({ "userId": user });
        sent(&world, &sender, &[
            json!("nonsense"),
            json!({ "type": "track", "event": "x" }),
            identify("m1", &who("u1"), &json!({ "email": "ann@acme.example", "phone": "not a number", "title": "CTO", "timezone": "Mars" })),
            identify("m2", &who("u2"), &json!({ "email": "no address" })),
            track("m3", &who("u1"), "Looked"),
            track("m4", &json!({ "userId": "u\u{1}" }), "Looked"),
        ]).await;
        use State::{Applied, Quarantined, Refused};
        let code = |code: &str| Some(code.to_owned());
        assert_eq!(outcomes(&world).await, [
            (Quarantined, code("EVENT_NOT_AN_OBJECT")),
            (Quarantined, code("EVENT_WITHOUT_ID")),
            (Applied, code("PHONE_INVALID")),
            (Refused, code("EMAIL_INVALID")),
            (Applied, None),
            (Quarantined, code("EVENT_ID_INVALID")),
        ]);
        let ann = contact(&world, "ann@acme.example").await.unwrap();
        assert_eq!((ann.phone, ann.title.as_deref(), ann.time_zone), (None, Some("CTO"), None));
        assert_eq!(ann.external_ids["app"], "u1");
        assert_eq!(interactions(&world, None).await.len(), 1);
    }

    async fn a_page_that_anybody_can_read_overwrites_nothing(world: World) {
        let sender = sender(&world, Trust::Browser).await;
        let known = known(&world, &sender.ops, ContactPatch {
            email: "ann@acme.example".to_owned().into(),
            name: "Ann Example".to_owned().into(),
            ..ContactPatch::default()
        }).await;
        let told = json!({ "email": "ann@acme.example", "name": "Somebody Else", "title": "CTO", "phone": "212 555 0123" });
        sent(&world, &sender, &[
            identify("m1", &json!({ "anonymousId": "a", "userId": "root" }), &told),
            json!({ "type": "group", "messageId": "m2", "userId": "root", "groupId": "g", "traits": { "name": "Evil", "domain": "evil.example" } }),
        ]).await;
        let after: Contact = world.app.store.find(known.id).await.unwrap().unwrap();
        assert_eq!((after.name.as_deref(), after.title.as_deref()), (Some("Ann Example"), Some("CTO")));
        assert_eq!(after.phone.as_deref(), Some("+12125550123"));
        assert!(after.external_ids.is_empty(), "no id that would make the sender's user this person");
        assert_eq!(outcomes(&world).await[1], (State::Applied, Some("EVENT_NEEDS_TRUST".to_owned())));
        assert_eq!(world.app.store.identity_owner("account.domain", "evil.example").await.unwrap(), None);
        // A server of ours may correct it.
        let server = draft(&sender.machine, "server", Trust::Server);
        let (server, _) = world.app.save_event_source(&sender.ops, server).await.unwrap();
        arrive(&world, &server, &[identify("m1", &json!({ "userId": "7" }), &told)]).await;
        world.run_due_jobs().await;
        let after: Contact = world.app.store.find(known.id).await.unwrap().unwrap();
        assert_eq!((after.name.as_deref(), after.external_ids["app"].as_str()), (Some("Somebody Else"), "7"));
    }

    async fn a_server_puts_right_who_a_page_said_somebody_is(world: World) {
        let page = sender(&world, Trust::Browser).await;
        let user = json!({ "userId": "1042" });
        sent(&world, &page, &[identify("m1", &user, &json!({ "email": "me@evil.example" })), track("m2", &user, "Looked")]).await;
        let server = draft(&page.machine, "server", Trust::Server);
        let (server, _) = world.app.save_event_source(&page.ops, server).await.unwrap();
        arrive(&world, &server, &[identify("m1", &user, &json!({ "email": "ann@acme.example" }))]).await;
        world.run_due_jobs().await;
        let ann = contact(&world, "ann@acme.example").await.unwrap();
        assert_eq!(names(&world, &ann).await, ["Looked"]);
        // And the page cannot take it back, nor make two users one.
        sent(&world, &page, &[
            identify("m3", &user, &json!({ "email": "me@evil.example" })),
            json!({ "type": "alias", "messageId": "m4", "previousId": "1042", "userId": "mine" }),
            track("m5", &user, "Left"),
        ]).await;
        assert_eq!(names(&world, &ann).await, ["Looked", "Left"]);
        let codes: Vec<Option<String>> = outcomes(&world).await.into_iter().map(|(_, code)| code).collect();
        assert!(codes.contains(&Some("EVENT_IDENTITIES_DIFFER".to_owned())) && codes.contains(&Some("EVENT_NEEDS_TRUST".to_owned())));
    }

    async fn a_group_of_a_server_makes_the_company_and_says_who_works_there(world: World) {
        let sender = sender(&world, Trust::Server).await;
        let who = json!({ "userId": "u" });
        sent(&world, &sender, &[
            identify("m1", &who, &json!({ "email": "ann@mail.example" })),
            json!({ "type": "group", "messageId": "m2", "userId": "u", "groupId": "g-1",
                "traits": { "name": "Acme", "website": "https://acme.example", "industry": "no such" } }),
        ]).await;
        assert_eq!(outcomes(&world).await[1], (State::Applied, Some("TAXONOMY_UNKNOWN_TERM".to_owned())));
        let acme = world.app.store.identity_owner("account.domain", "acme.example").await.unwrap().unwrap();
        let ann = contact(&world, "ann@mail.example").await.unwrap();
        assert_eq!(ann.account.map(uuid::Uuid::from), Some(acme));
        // It is a hint: a person who works somewhere is not moved.
        sent(&world, &sender, &[json!({ "type": "group", "messageId": "m3", "userId": "u", "groupId": "g-2",
            "traits": { "name": "Other", "domain": "other.example" } })]).await;
        assert_eq!(contact(&world, "ann@mail.example").await.unwrap().account.map(uuid::Uuid::from), Some(acme));
    }

    async fn an_alias_joins_two_visitors_and_never_two_people(world: World) {
        let sender = sender(&world, Trust::Server).await;
        let who = |user: &str| json!({ "userId": user });
        let alias = |message: &str, from: &str, to: &str| json!({ "type": "alias", "messageId": message, "previousId": from, "userId": to });
        sent(&world, &sender, &[track("m1", &json!({ "anonymousId": "device" }), "Looked"), track("m2", &who("old"), "Left")]).await;
        sent(&world, &sender, &[alias("m3", "device", "new"), alias("m4", "old", "new")]).await;
        sent(&world, &sender, &[identify("m5", &who("new"), &json!({ "email": "ann@acme.example" }))]).await;
        let ann = contact(&world, "ann@acme.example").await.unwrap();
        let mut done = names(&world, &ann).await;
        done.sort();
        assert_eq!(done, ["Left", "Looked"]);
        sent(&world, &sender, &[identify("m6", &who("bob"), &json!({ "email": "bob@acme.example" })), alias("m7", "bob", "new")]).await;
        let last = outcomes(&world).await.pop().unwrap();
        assert_eq!(last, (State::Applied, Some("EVENT_IDENTITIES_DIFFER".to_owned())));
        sent(&world, &sender, &[track("m8", &who("bob"), "Came")]).await;
        let bob = contact(&world, "bob@acme.example").await.unwrap();
        assert_eq!(names(&world, &bob).await, ["Came"]);
    }

    async fn a_user_is_the_contact_that_has_the_id_in_the_senders_system(world: World) {
        let sender = sender(&world, Trust::Server).await;
        let device = json!({ "anonymousId": "a", "userId": "42" });
        sent(&world, &sender, &[track("m1", &device, "Looked")]).await;
        let ann = known(&world, &sender.ops, ContactPatch {
            email: Edit::Set("ann@acme.example".to_owned()),
            external_ids: [("app".to_owned(), Some("42".to_owned()))].into(),
            ..ContactPatch::default()
        }).await;
        assert!(names(&world, &ann).await.is_empty());
        sent(&world, &sender, &[track("m2", &json!({ "userId": 42 }), "Left")]).await;
        assert_eq!(names(&world, &ann).await, ["Looked", "Left"]);
    }

    async fn crawlers_are_marked_and_reading_time_is_kept(world: World) {
        let sender = sender(&world, Trust::Browser).await;
        let page = |message: &str, agent: &str| json!({ "type": "page", "messageId": message, "anonymousId": "a", "name": "Pricing",
            "properties": { "duration": 31.7, "nul": "a\u{0}b" }, "context": { "userAgent": agent, "page": { "url": "https://acme.example/pricing" } } });
        let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        let person = "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0";
        sent(&world, &sender, &[page("m1", bot), page("m2", person)]).await;
        let done = interactions(&world, None).await;
        let marks: Vec<Option<Automation>> = done.iter().map(|one| one.automated).collect();
        assert_eq!(marks, [Some(Automation::Bot), None]);
        assert_eq!((done[0].seconds, done[0].url.as_deref()), (Some(31), Some("https://acme.example/pricing")));
        assert_eq!(done[0].properties["nul"], "a\u{fffd}b");
    }

    async fn many_events_are_applied_part_by_part(world: World) {
        let sender = sender(&world, Trust::Browser).await;
        let events: Vec<Value> = (0..600)
            .map(|n| track(&format!("m{n}"), &json!({ "anonymousId": format!("a{}", n % 7) }), "Looked"))
            .collect();
        arrive(&world, &sender.source, &events).await;
        assert_eq!(world.job_kinds().await, ["apply_events"]);
        world.run_due_jobs().await;
        let ledger = world.ledger().await;
        let applied: Vec<Value> = ledger.iter().filter(|link| link.entry.kind == "events.applied").map(|link| link.entry.detail["events"].clone()).collect();
        assert_eq!(applied, [json!(250), json!(250), json!(100)]);
        let waiting = IngestedEventFilter { states: vec![State::Received], ..IngestedEventFilter::default() };
        assert!(world.app.store.ingested_event_page(&waiting, &Page::first(1)).await.unwrap().items.is_empty());
        // Ninety days later what came is forgotten, and what was done is not.
        world.app.store.prune_events(at(&world, 1), 1_000).await.unwrap();
        assert!(stored(&world).await.is_empty());
        assert_eq!(interactions(&world, None).await.len(), 100);
    }

    async fn events_wait_while_the_user_of_their_source_may_not_act(world: World) {
        let sender = sender(&world, Trust::Browser).await;
        let (_, admin) = world.user("ada", Role::Admin, None).await;
        let switch = |active| UserChange { user: sender.machine.id, name: None, roles: None, active: Some(active), time_zone: None };
        world.app.run(&admin, switch(false)).await.unwrap();
        sent(&world, &sender, &[track("m1", &json!({ "anonymousId": "a" }), "Looked")]).await;
        assert_eq!(outcomes(&world).await, [(State::Received, None)]);
        assert_eq!(world.job_kinds().await, ["apply_events"]);
        world.app.run(&admin, switch(true)).await.unwrap();
        world.clock.advance(TimeDelta::hours(1));
        world.run_due_jobs().await;
        assert_eq!(outcomes(&world).await, [(State::Applied, None)]);
    }

    async fn a_time_that_cannot_be_used_is_a_fault_and_one_in_another_form_is_read(world: World) {
        let sender = sender(&world, Trust::Server).await;
        let now = world.now();
        let told = now - TimeDelta::hours(1);
        let seconds = told.timestamp();
        let at = |number: usize, more: &Value| {
            let mut event = track(&format!("m{number}"), &json!({ "userId": "u1" }), "Looked");
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let events = [
            json!({ "timestamp": seconds }),
            json!({ "timestamp": (seconds * 1_000).to_string() }),
            json!({ "timestamp": told.format("%Y-%m-%d %H:%M:%S").to_string() }),
            json!({ "timestamp": "yesterday" }),
            json!({ "timestamp": told, "sentAt": "2099-01-01T00:00:00Z" }),
        ];
        let events: Vec<Value> = events.iter().enumerate().map(|(number, more)| at(number, more)).collect();
        sent(&world, &sender, &events).await;
        let code = |code: &str| Some(code.to_owned());
        let faults = [None, None, None, code("EVENT_TIME_INVALID"), code("EVENT_SENT_AT_INVALID")];
        assert_eq!(outcomes(&world).await, faults.map(|fault| (State::Applied, fault)));
        let seconds_of = |moments: Vec<DateTime<Utc>>| moments.iter().map(DateTime::timestamp).collect::<Vec<_>>();
        let happened = stored(&world).await.into_iter().map(|event| event.occurred_at).collect();
        assert_eq!(seconds_of(happened), [seconds, seconds, seconds, now.timestamp(), seconds]);
        let mut did: Vec<_> = interactions(&world, None).await.into_iter().map(|one| one.occurred_at.timestamp()).collect();
        did.sort_unstable();
        assert_eq!(did, [seconds, seconds, seconds, seconds, now.timestamp()]);
    }
}
