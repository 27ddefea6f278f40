//! Outbound webhooks through the real commands, relay and jobs, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tandem_app::{
    AccountUpsert, Call, ContactCreate, InteractionRecord, OutboundDeliveryReplay, OutboundWebhookReplay,
    OutboundWebhookRotateSecret, OutboundWebhookSave, OutboundWebhookTest,
};
use tandem_domain::access::Role;
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::{Contact, ContactPatch};
use tandem_domain::id::OutboundWebhookId;
use tandem_domain::inbound::{Headers, Scheme};
use tandem_domain::interaction::{self, InteractionKind};
use tandem_domain::outbound::{Disabled, Draft, OutboundDelivery, OutboundWebhook, State, retry};
use tandem_store::Page;
use tandem_store::outbound::OutboundDeliveryFilter;
use tandem_testkit::{World, on_both_databases};

const URL: &str = "https://crm.example.com/hook";

fn draft(key: &str, types: &[&str]) -> Draft {
    Draft {
        key: key.to_owned(),
        name: "CRM".to_owned(),
        url: URL.to_owned(),
        types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        filter: None,
        ordered: false,
        active: true,
    }
}

async fn saved(world: &World, ops: &Call, draft: Draft) -> OutboundWebhook {
    world.app.run(ops, OutboundWebhookSave { draft }).await.unwrap()
}

async fn ops(world: &World) -> Call {
    world.user("otto", Role::SalesOps, None).await.1
}

async fn company(world: &World, ops: &Call, name: &str) {
    let account = AccountPatch { name: Some(name.to_owned()), ..AccountPatch::default() };
    world.app.run(ops, AccountUpsert { account }).await.unwrap();
}

async fn person(world: &World, ops: &Call, email: &str) -> Contact {
    let contact = ContactPatch { email: email.to_owned().into(), ..ContactPatch::default() };
    world.app.run(ops, ContactCreate { contact, default_region: None }).await.unwrap().record
}

async fn met(world: &World, ops: &Call, contact: &Contact, name: &str) {
    let draft = interaction::Draft {
        kind: InteractionKind::Meeting,
        name: name.to_owned(),
        occurred_at: None,
        seconds: None,
        url: None,
        properties: serde_json::Map::new(),
    };
    world.app.run(ops, InteractionRecord { contact: contact.id, draft, known_by: None }).await.unwrap();
}

async fn deliveries(world: &World) -> Vec<OutboundDelivery> {
    world.app.store.outbound_delivery_page(&OutboundDeliveryFilter::default(), &Page::first(100)).await.unwrap().items
}

async fn webhook(world: &World, id: OutboundWebhookId) -> OutboundWebhook {
    world.app.store.find(id).await.unwrap().unwrap()
}

fn types(bodies: &[Value]) -> Vec<&str> {
    bodies.iter().map(|body| body["type"].as_str().unwrap()).collect()
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    &headers.iter().find(|(header, _)| header == name).unwrap().1
}

/// Moves the clock to the next try of a delivery, and lets it happen; gives how long that was.
async fn next_try(world: &World) -> Option<TimeDelta> {
    let at: DateTime<Utc> = deliveries(world).await.first()?.next_at?;
    let wait = at - world.now();
    world.pass(wait).await;
    Some(wait)
}

on_both_databases! {
    async fn what_happens_is_told_once_signed_and_in_the_words_of_the_ledger(world: World) {
        let ops = ops(&world).await;
        company(&world, &ops, "Before").await;
        let hook = saved(&world, &ops, draft("crm", &["account.*", "contact.created"])).await;
        company(&world, &ops, "Acme").await;
        person(&world, &ops, "ann@acme.example").await;
        world.run_due_jobs().await;
        let bodies = world.hooks.bodies(URL);
        assert_eq!(types(&bodies), ["account.created", "contact.created"], "what came before the webhook is not told");
        let entry = world.ledger().await.into_iter().rfind(|link| link.entry.kind == "account.created").unwrap().entry;
        let data = &bodies[0]["data"];
        assert_eq!((&data["seq"], &data["subject"]["type"]), (&json!(entry.seq), &json!("Account")));
        assert_eq!(data["actor"]["role"], "SALES_OPS");
        let posts = world.hooks.posts();
        let headers: Headers = posts[0].headers.iter().cloned().collect();
        let secret = hook.secret().unwrap();
        let verdict = Scheme::StandardWebhooks.verify(&[secret], &headers, posts[0].body.as_bytes(), world.now());
        assert!(verdict.is_ok(), "{verdict:?}");
        assert!(deliveries(&world).await.iter().all(|one| one.state == State::Delivered && one.attempts.len() == 1));
        // Nothing is told of telling, and nothing twice.
        assert_eq!(world.run_due_jobs().await, 0);
        assert_eq!(world.hooks.posts().len(), 2);
    }

    async fn a_filter_lets_through_what_it_holds_for(world: World) {
        let ops = ops(&world).await;
        let filter = Some("data.detail.source == 'fair'".to_owned());
        saved(&world, &ops, Draft { filter, ..draft("crm", &["*"]) }).await;
        let from = |name: &str, source: &str| AccountPatch { name: Some(name.to_owned()), source: source.to_owned().into(), ..AccountPatch::default() };
        for account in [from("One", "fair"), from("Two", "web")] {
            world.app.run(&ops, AccountUpsert { account }).await.unwrap();
        }
        world.run_due_jobs().await;
        let seen: Vec<Value> = world.hooks.bodies(URL).into_iter().map(|body| body["data"]["detail"]["source"].clone()).collect();
        assert_eq!(seen.first(), Some(&json!("fair")));
        assert!(!seen.contains(&json!("web")), "{seen:?}");
    }

    async fn a_receiver_that_fails_is_tried_by_the_schedule_under_one_id(world: World) {
        let ops = ops(&world).await;
        let hook = saved(&world, &ops, draft("crm", &["account.created"])).await;
        world.hooks.answer(URL, 500, None);
        company(&world, &ops, "Acme").await;
        world.run_due_jobs().await;
        let mut waits = Vec::new();
        while let Some(wait) = next_try(&world).await {
            waits.push(wait);
        }
        for (wait, usual) in waits.iter().zip(retry::USUAL) {
            let (wait, usual) = (wait.as_seconds_f64(), f64::from(usual));
            assert!((0.8 * usual..=1.2 * usual).contains(&wait), "{wait} for {usual}");
        }
        assert_eq!(waits.len(), 9);
        let posts = world.hooks.posts();
        assert_eq!(posts.len(), 10);
        assert!(posts.iter().all(|post| header(&post.headers, "webhook-id") == header(&posts[0].headers, "webhook-id")));
        assert!(posts.windows(2).all(|two| header(&two[0].headers, "webhook-timestamp") < header(&two[1].headers, "webhook-timestamp")));
        let failed = deliveries(&world).await.remove(0);
        assert_eq!((failed.state, failed.failures, failed.attempts.len()), (State::Failed, 10, 10));
        // Three days of it are not the end of the webhook; others hear of it once.
        let after = webhook(&world, hook.id).await;
        assert!(after.is_active() && after.failing_since.is_some());
        let ledger = world.ledger_kinds().await;
        assert_eq!(ledger.iter().filter(|kind| *kind == "outbound_webhook.failing").count(), 1);
        // Mended, and replayed under the same id.
        world.hooks.answer(URL, 200, None);
        world.app.run(&ops, OutboundDeliveryReplay { delivery: failed.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(deliveries(&world).await[0].state, State::Delivered);
        assert_eq!(header(&world.hooks.posts()[10].headers, "webhook-id"), header(&posts[0].headers, "webhook-id"));
        assert_eq!(webhook(&world, hook.id).await.failing_since, None);
    }

    async fn a_receiver_is_left_alone_for_as_long_as_it_asks(world: World) {
        let ops = ops(&world).await;
        saved(&world, &ops, draft("crm", &["account.created"])).await;
        world.hooks.answer(URL, 429, Some(1_000));
        company(&world, &ops, "Acme").await;
        world.run_due_jobs().await;
        assert_eq!(next_try(&world).await, Some(TimeDelta::seconds(1_000)));
    }

    async fn what_cannot_be_reached_is_told_by_its_code_and_hurts_no_other(world: World) {
        let ops = ops(&world).await;
        saved(&world, &ops, draft("bad", &["account.created"])).await;
        let other = Draft { url: "https://other.example.com".to_owned(), ..draft("good", &["account.created"]) };
        saved(&world, &ops, other).await;
        world.hooks.fail(URL, "WEBHOOK_TIMEOUT");
        for name in ["One", "Two", "Three"] {
            company(&world, &ops, name).await;
        }
        world.run_due_jobs().await;
        assert_eq!(world.hooks.bodies("https://other.example.com").len(), 3);
        let (bad, good): (Vec<_>, Vec<_>) = deliveries(&world).await.into_iter().partition(|one| one.state == State::Pending);
        assert_eq!((bad.len(), good.len()), (3, 3));
        assert!(bad.iter().all(|one| one.attempts[0].code.as_deref() == Some("WEBHOOK_TIMEOUT")));
    }

    async fn a_webhook_that_is_gone_is_off_and_what_it_misses_is_kept(world: World) {
        let ops = ops(&world).await;
        let hook = saved(&world, &ops, draft("crm", &["account.created"])).await;
        let watch = Draft { url: "https://ops.example.com".to_owned(), ..draft("watch", &["outbound_webhook.*"]) };
        saved(&world, &ops, watch).await;
        world.hooks.answer(URL, 410, None);
        company(&world, &ops, "One").await;
        world.run_due_jobs().await;
        assert_eq!(webhook(&world, hook.id).await.disabled, Some(Disabled::Gone));
        assert_eq!(types(&world.hooks.bodies("https://ops.example.com")), ["outbound_webhook.failing", "outbound_webhook.disabled"]);
        let off = world.now();
        world.clock.advance(TimeDelta::minutes(1));
        company(&world, &ops, "Two").await;
        world.run_due_jobs().await;
        let missed: Vec<OutboundDelivery> = deliveries(&world).await.into_iter().filter(|one| one.webhook == hook.id).collect();
        assert_eq!(missed.iter().map(|one| one.state).collect::<Vec<_>>(), [State::Failed; 2]);
        assert_eq!(world.hooks.bodies(URL).len(), 1, "nothing is posted while it is off");
        let replay = OutboundWebhookReplay { webhook: hook.id, since: off };
        assert_eq!(world.app.run(&ops, replay.clone()).await.unwrap_err().code(), "OUTBOUND_OFF");
        world.hooks.answer(URL, 204, None);
        saved(&world, &ops, draft("crm", &["account.created"])).await;
        world.clock.advance(TimeDelta::minutes(1));
        world.app.run(&ops, replay).await.unwrap();
        world.run_due_jobs().await;
        let names = world.hooks.bodies(URL).len();
        assert_eq!(names, 3, "both that failed");
        assert!(deliveries(&world).await.iter().all(|one| one.state == State::Delivered));
    }

    async fn what_somebody_switched_off_misses_what_happens_meanwhile(world: World) {
        let ops = ops(&world).await;
        saved(&world, &ops, draft("crm", &["account.created"])).await;
        saved(&world, &ops, Draft { active: false, ..draft("crm", &["account.created"]) }).await;
        company(&world, &ops, "One").await;
        world.run_due_jobs().await;
        saved(&world, &ops, draft("crm", &["account.created"])).await;
        company(&world, &ops, "Two").await;
        world.run_due_jobs().await;
        assert_eq!(world.hooks.bodies(URL).len(), 1);
    }

    async fn an_ordered_webhook_gets_the_events_of_a_thing_one_after_the_other(world: World) {
        let ops = ops(&world).await;
        let types = ["contact.*", "interaction.*"];
        saved(&world, &ops, Draft { ordered: true, ..draft("crm", &types) }).await;
        let (ann, bob) = (person(&world, &ops, "ann@acme.example").await, person(&world, &ops, "bob@acme.example").await);
        world.run_due_jobs().await;
        world.hooks.answer(URL, 500, None);
        let title = |contact: &Contact, title: &str| tandem_app::ContactChange {
            id: contact.id,
            contact: ContactPatch { title: title.to_owned().into(), ..ContactPatch::default() },
            default_region: None,
        };
        world.app.run(&ops, title(&ann, "CTO")).await.unwrap();
        world.run_due_jobs().await;
        world.app.run(&ops, title(&ann, "CEO")).await.unwrap();
        world.app.run(&ops, title(&bob, "CFO")).await.unwrap();
        world.hooks.answer(URL, 204, None);
        world.run_due_jobs().await;
        // Bob does not wait for Ann; Ann's second change waits for her first.
        let seqs = |world: &World| -> Vec<i64> {
            world.hooks.bodies(URL).iter().skip(2).map(|body| body["data"]["seq"].as_i64().unwrap()).collect()
        };
        assert_eq!(seqs(&world).len(), 2, "the first try at Ann's, and Bob's");
        world.pass(TimeDelta::seconds(10)).await;
        let told = seqs(&world);
        assert_eq!(told.len(), 4);
        assert!(told[2] == told[0] && told[3] > told[2], "{told:?}");
        assert!(deliveries(&world).await.iter().all(|one| one.state == State::Delivered));
        met(&world, &ops, &ann, "Call").await;
        world.run_due_jobs().await;
        assert_eq!(world.hooks.bodies(URL).len(), 7);
    }

    async fn what_is_replayed_in_an_ordered_webhook_goes_once_and_behind_what_is_on_its_way(world: World) {
        let ops = ops(&world).await;
        let ann = person(&world, &ops, "ann@acme.example").await;
        let hook = saved(&world, &ops, Draft { ordered: true, ..draft("crm", &["interaction.*"]) }).await;
        let other = Draft { ordered: false, ..draft("crm", &["interaction.*"]) };
        assert_eq!(world.app.run(&ops, OutboundWebhookSave { draft: other }).await.unwrap_err().code(), "OUTBOUND_ORDER_FIXED");
        // Events about other things each, and all given up.
        world.hooks.answer(URL, 500, None);
        for number in 0..3 {
            met(&world, &ops, &ann, &format!("Call {number}")).await;
        }
        world.run_due_jobs().await;
        while deliveries(&world).await.iter().any(|one| one.state == State::Pending) {
            world.pass(TimeDelta::hours(30)).await;
        }
        let (tried, failed) = (world.hooks.posts().len(), deliveries(&world).await);
        assert!(failed.iter().all(|one| one.state == State::Failed));
        world.hooks.answer(URL, 200, None);
        saved(&world, &ops, Draft { ordered: true, ..draft("crm", &["interaction.*"]) }).await;
        // One by hand, and all of them at the same time: each is delivered once.
        world.app.run(&ops, OutboundDeliveryReplay { delivery: failed[1].id }).await.unwrap();
        let since = failed[0].created_at;
        world.app.run(&ops, OutboundWebhookReplay { webhook: hook.id, since }).await.unwrap();
        world.run_due_jobs().await;
        assert!(deliveries(&world).await.iter().all(|one| one.state == State::Delivered));
        assert_eq!(world.hooks.posts().len(), tried + 3);
    }

    async fn two_nodes_that_relay_at_once_tell_everything_once(world: World) {
        let ops = ops(&world).await;
        saved(&world, &ops, draft("crm", &["account.created"])).await;
        for number in 0..40 {
            company(&world, &ops, &format!("Company {number}")).await;
        }
        let (one, two) = tokio::join!(world.app.relay_events(), world.app.relay_events());
        assert!(one.unwrap() + two.unwrap() > 0);
        world.run_due_jobs().await;
        let mut seqs: Vec<i64> = world.hooks.bodies(URL).iter().map(|body| body["data"]["seq"].as_i64().unwrap()).collect();
        seqs.sort_unstable();
        seqs.dedup();
        assert_eq!((seqs.len(), world.hooks.posts().len()), (40, 40));
    }

    async fn both_secrets_sign_for_a_day_and_a_test_is_answered(world: World) {
        let ops = ops(&world).await;
        let hook = saved(&world, &ops, draft("crm", &["account.created"])).await;
        let rotate = async |end_previous| world.app.run(&ops, OutboundWebhookRotateSecret { webhook: hook.id, end_previous }).await;
        let rotated = rotate(false).await.unwrap();
        assert_eq!(rotate(false).await.unwrap_err().code(), "OUTBOUND_SECRET_OVERLAP", "the first was promised a day");
        world.app.run(&ops, OutboundWebhookTest { webhook: hook.id }).await.unwrap();
        world.app.run(&ops, OutboundWebhookTest { webhook: hook.id }).await.unwrap();
        world.run_due_jobs().await;
        let post = world.hooks.posts().remove(0);
        let headers: Headers = post.headers.iter().cloned().collect();
        for secret in [hook.secret().unwrap(), rotated.secret().unwrap()] {
            assert!(Scheme::StandardWebhooks.verify(&[secret], &headers, post.body.as_bytes(), world.now()).is_ok());
        }
        assert_eq!(types(&world.hooks.bodies(URL)), ["webhook.test"; 2]);
        world.clock.advance(TimeDelta::hours(24));
        company(&world, &ops, "Acme").await;
        world.run_due_jobs().await;
        let last = world.hooks.posts().pop().unwrap();
        assert!(!header(&last.headers, "webhook-signature").contains(' '), "one signature again");
        rotate(false).await.unwrap();
        let forced = rotate(true).await.unwrap();
        let fact = world.ledger().await.into_iter().rfind(|link| link.entry.kind == "outbound_webhook.secret_rotated").unwrap();
        assert!(!fact.entry.detail["ended_before"].is_null(), "that a promise was ended is in the record");
        company(&world, &ops, "Beta").await;
        world.run_due_jobs().await;
        let post = world.hooks.posts().pop().unwrap();
        let headers: Headers = post.headers.iter().cloned().collect();
        let signs = |secret| Scheme::StandardWebhooks.verify(&[secret], &headers, post.body.as_bytes(), world.now()).is_ok();
        assert_eq!((signs(forced.secret().unwrap()), signs(rotated.secret().unwrap())), (true, false));
        let bad = draft("x", &["*"]);
        let refused = world.app.run(&ops, OutboundWebhookSave { draft: Draft { url: "ftp://x".to_owned(), ..bad } }).await.unwrap_err();
        assert_eq!(refused.code(), "WEBHOOK_URL_INVALID");
    }

    async fn a_redirect_is_a_failure_that_says_so(world: World) {
        let ops = ops(&world).await;
        saved(&world, &ops, draft("crm", &["account.created"])).await;
        world.hooks.answer(URL, 302, None);
        company(&world, &ops, "Acme").await;
        world.run_due_jobs().await;
        let delivery = deliveries(&world).await.remove(0);
        let attempt = &delivery.attempts[0];
        assert_eq!((delivery.state, attempt.status), (State::Pending, Some(302)));
        assert_eq!(attempt.code.as_deref(), Some("WEBHOOK_REDIRECTED"));
        assert!(attempt.message.contains("none is followed"), "{}", attempt.message);
    }
}
