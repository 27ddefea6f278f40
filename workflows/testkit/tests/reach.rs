//! The steps that reach out, through the real commands and jobs, with a crash at every beat, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_app::{
    AppError, Call, EnrollmentCreate, EnrollmentExit, EnrollmentPause, EnrollmentResume, OutboundCallBegin,
    OutboundCallSettle, OutboundChannelPause, OutboundChannelResume, OutboundChannelRotateSecret, OutboundChannelSave,
    OutboundChannelTest, SequencePublish,
};
use tandem_domain::access::Role;
use tandem_domain::contact::Contact;
use tandem_domain::inbound::{Headers, Scheme};
use tandem_domain::outbound::call::{Outcome, Verdict};
use tandem_domain::outbound::channel::{Draft, Provider};
use tandem_domain::outbound::{Attempt, CallState, OutboundCall, OutboundChannel};
use tandem_domain::sequence::enrollment::{
    Enrollment, EnrollmentState, ExitReason, FinishReason, PauseReason, WaitReason,
};
use tandem_store::Page;
use tandem_store::reach::OutboundCallFilter;
use tandem_testkit::{World, on_both_databases};

const CRM: &str = "https://crm.example.com/score?tenant=7";
const ROOM: &str = "https://chat.example.com/robot?access_token=s3cret";

/// Asks the CRM, and goes by its answer; where there is none, tells the room.
const ASK: &str = r#"
key: ask
name: Ask
subject: contact
steps:
  - id: ask
    kind: call_webhook
    channel: crm
    body: "{'email': contact.email}"
    as: crm
    answer: "{'score': answer.score, 'owner': answer.owner}"
    retry_for: 6h
    on: {failure: tell}
  - {id: look, kind: branch, when: enrollment.vars.crm.score > 5.0, then: mail, else: cold}
  - {id: cold, kind: end}
  - {id: mail, kind: send_email, template: {subject: 'From {{ enrollment.vars.crm.owner }}', text: 'Hello'}}
  - {id: warm, kind: end, outcome: goal}
  - {id: tell, kind: notify, channel: room, title: 'No answer', text: 'for {{ contact.email }}'}
  - {id: told, kind: end, outcome: exit}
"#;

/// Tells the room, and has no way for a failure.
const TELL: &str = r#"
key: tell
name: Tell
subject: contact
steps:
  - {id: tell, kind: notify, channel: room, text: '{{ contact.email }} waits', link: 'https://crm.example.com/{{ contact.id }}'}
  - {id: done, kind: end}
"#;

fn draft(key: &str, provider: Provider, url: &str) -> Draft {
    Draft {
        key: key.to_owned(),
        name: key.to_owned(),
        provider,
        url: Some(url.to_owned()),
        end_previous: false,
        secret: None,
        headers: None,
    }
}

async fn save(world: &World, draft: Draft) -> OutboundChannel {
    world.app.run(&world.system(), OutboundChannelSave { draft }).await.unwrap()
}

async fn channels(world: &World, provider: Provider) -> (OutboundChannel, OutboundChannel) {
    (save(world, draft("crm", Provider::Webhook, CRM)).await, save(world, draft("room", provider, ROOM)).await)
}

async fn enroll(world: &World, source: &str) -> (Enrollment, Contact) {
    let contact = world.contact("ann@acme.example").await;
    let source = SequencePublish { source: source.to_owned() };
    let sequence = world.app.run(&world.system(), source).await.unwrap().0;
    let command = EnrollmentCreate { sequence: sequence.id, contact: Some(contact.id), lead: None, vars: Map::new() };
    (world.app.run(&world.system(), command).await.unwrap().0, contact)
}

async fn now(world: &World, enrollment: &Enrollment) -> Enrollment {
    world.app.store.find(enrollment.id).await.unwrap().unwrap()
}

async fn calls(world: &World) -> Vec<OutboundCall> {
    world.app.store.outbound_call_page(&OutboundCallFilter::default(), &Page::first(100)).await.unwrap().items
}

/// Takes the step that plans the call and no more: the call waits for its job.
async fn planned(world: &World, enrollment: &Enrollment) -> OutboundCall {
    let step = tandem_app::EnrollmentAdvance { enrollment: enrollment.id, visit: enrollment.visit };
    world.app.run(&world.system(), step).await.unwrap();
    calls(world).await.remove(0)
}

async fn begin(world: &World, call: &OutboundCall) -> Result<OutboundCall, AppError> {
    let command = OutboundCallBegin { call: call.id, round: call.round };
    world.app.run(&world.system(), command).await.map(|(call, _)| call)
}

async fn settle(world: &World, call: &OutboundCall, attempt: u32, verdict: Verdict) -> Result<OutboundCall, AppError> {
    let kept = Attempt { at: world.now(), took_ms: 5, status: Some(200), code: None, message: String::new() };
    let outcome = Outcome { attempt: kept, verdict };
    let command = OutboundCallSettle { call: call.id, attempt, outcome };
    world.app.run(&world.system(), command).await.map(|(call, _)| call)
}

fn score(score: f64) -> Verdict {
    Verdict::Taken(json!({ "score": score, "owner": "Otto" }))
}

fn ids(world: &World) -> BTreeSet<String> {
    let header =
        |headers: &[(String, String)]| headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1.clone();
    world.hooks.calls().iter().map(|call| header(&call.headers)).collect()
}

async fn code(world: &World, call: &Call, source: &str) -> &'static str {
    world.app.run(call, SequencePublish { source: source.to_owned() }).await.unwrap_err().code()
}

on_both_databases! {
    async fn an_answer_is_kept_and_later_steps_go_by_it(world: World) {
        let (crm, _) = channels(&world, Provider::Slack).await;
        world.hooks.say(CRM, 200, r#"{"score": 8, "owner": "Otto", "more": "left out"}"#);
        let (enrollment, _) = enroll(&world, ASK).await;
        world.run_due_jobs().await;
        let run = now(&world, &enrollment).await;
        assert_eq!(run.state, EnrollmentState::Finished(FinishReason::Goal));
        assert_eq!(Value::Object(run.vars), json!({ "crm": { "score": 8, "owner": "Otto" } }));
        assert_eq!(world.mailer.sent()[0].subject, "From Otto");
        let [call] = calls(&world).await.try_into().unwrap();
        assert_eq!((call.state, call.attempts, call.tries.len()), (CallState::Succeeded, 1, 1));
        assert_eq!((call.enrollment, call.step.as_str()), (Some(enrollment.id), "ask"));
        let kinds = world.ledger_kinds().await;
        let told: Vec<&str> = kinds.iter().map(String::as_str).filter(|kind| kind.contains("call") || kind.contains("answered")).collect();
        assert_eq!(told, ["outbound_call.planned", "outbound_call.begun", "outbound_call.succeeded", "enrollment.answered"]);
        // What was sent is what Standard Webhooks verifies.
        let sent = world.hooks.calls().remove(0);
        assert_eq!((sent.method, sent.url.as_str(), sent.body.as_deref()), ("POST", CRM, Some(r#"{"email":"ann@acme.example"}"#)));
        let headers: Headers = sent.headers.iter().cloned().collect();
        let body = sent.body.unwrap();
        assert!(Scheme::StandardWebhooks.verify(&[crm.secret().unwrap()], &headers, body.as_bytes(), world.now()).is_ok());
        assert!(world.job_kinds().await.iter().all(|kind| kind != "make_call"));
    }

    async fn every_chat_is_told_in_its_own_form(world: World) {
        for (provider, place) in [
            (Provider::Slack, "/text"),
            (Provider::Wecom, "/text/content"),
            (Provider::Dingtalk, "/text/content"),
            (Provider::Feishu, "/content/post/zh_cn/content/0/0/text"),
        ] {
            let key = provider.as_str().to_lowercase();
            let url = format!("https://{key}.example.com/robot?token=s3cret");
            let secret = matches!(provider, Provider::Dingtalk | Provider::Feishu).then(|| "SEC0123456789abcdef".to_owned());
            save(&world, Draft { secret, ..draft(&key, provider, &url) }).await;
            let source = TELL.replace("channel: room", &format!("channel: {key}")).replace("key: tell", &format!("key: {key}"));
            let contact = world.contact(&format!("{key}@acme.example")).await;
            let sequence = world.app.run(&world.system(), SequencePublish { source }).await.unwrap().0;
            let command = EnrollmentCreate { sequence: sequence.id, contact: Some(contact.id), lead: None, vars: Map::new() };
            let enrollment = world.app.run(&world.system(), command).await.unwrap().0;
            world.run_due_jobs().await;
            assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Completed), "{provider}");
            let sent = world.hooks.calls().pop().unwrap();
            assert!(sent.url.starts_with(&url), "{provider}");
            let body: Value = serde_json::from_str(sent.body.as_deref().unwrap()).unwrap();
            let text = body.pointer(place).and_then(Value::as_str).unwrap();
            assert!(text.contains(&format!("{key}@acme.example waits")), "{provider}: {text}");
            assert_eq!(sent.url.contains("&sign="), provider == Provider::Dingtalk);
            assert_eq!(body.get("sign").is_some(), provider == Provider::Feishu);
        }
    }

    async fn what_is_busy_is_asked_again_under_one_id_and_not_before_it_wants(world: World) {
        channels(&world, Provider::Slack).await;
        world.hooks.say_and_ask(CRM, 429, "slow down", Some(1_000));
        let (enrollment, _) = enroll(&world, ASK).await;
        world.run_due_jobs().await;
        let waiting = now(&world, &enrollment).await;
        assert_eq!((waiting.state, waiting.step.as_str()), (EnrollmentState::Waiting(WaitReason::Answer), "ask"));
        let call = calls(&world).await.remove(0);
        assert_eq!((call.state, call.next_at), (CallState::Planned, Some(world.now() + TimeDelta::seconds(1_000))));
        assert_eq!((call.tries[0].status, call.tries[0].code.as_deref()), (Some(429), Some("CALL_LIMITED")));
        world.pass(TimeDelta::seconds(999)).await;
        assert_eq!(world.hooks.calls().len(), 1);
        world.hooks.say(CRM, 503, "");
        world.pass(TimeDelta::seconds(1)).await;
        world.hooks.say_nothing(CRM, "WEBHOOK_TIMEOUT");
        world.pass(TimeDelta::minutes(2)).await;
        world.hooks.say(CRM, 200, r#"{"score": 1, "owner": ""}"#);
        world.pass(TimeDelta::minutes(10)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Completed));
        assert_eq!((world.hooks.calls().len(), ids(&world).len()), (4, 1), "the other side knows it by one id");
        let call = calls(&world).await.remove(0);
        assert_eq!((call.state, call.attempts, call.failures), (CallState::Succeeded, 4, 3));
    }

    async fn what_is_tried_for_too_long_goes_the_way_of_a_failure(world: World) {
        channels(&world, Provider::Slack).await;
        world.hooks.say(CRM, 500, "broken");
        let (enrollment, _) = enroll(&world, ASK).await;
        world.run_due_jobs().await;
        for _ in 0..8 {
            world.pass(TimeDelta::hours(1)).await;
        }
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Exited(ExitReason::Rule));
        let [asked, told] = calls(&world).await.try_into().unwrap();
        assert_eq!((asked.state, asked.failure.unwrap().code.as_str()), (CallState::Failed, "CALL_NOT_TAKEN"));
        assert!(asked.settled_at.unwrap() <= asked.give_up_at && asked.tries.len() > 4);
        assert_eq!(told.state, CallState::Succeeded);
        assert_eq!(world.hooks.calls().pop().unwrap().url, ROOM);
    }

    async fn a_no_for_good_is_not_asked_again_and_without_a_way_fails_the_run(world: World) {
        channels(&world, Provider::Wecom).await;
        world.hooks.say(ROOM, 200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#);
        let (enrollment, _) = enroll(&world, TELL).await;
        world.run_due_jobs().await;
        let run = now(&world, &enrollment).await;
        assert_eq!((run.state, run.failure.unwrap().code.as_str()), (EnrollmentState::Failed, "CALL_CREDENTIALS_WRONG"));
        world.pass(TimeDelta::days(3)).await;
        assert_eq!(world.hooks.calls().len(), 1);
        assert!(world.job_kinds().await.iter().all(|kind| kind != "make_call"));
    }

    async fn a_limit_that_a_chat_tells_with_the_status_200_is_waited_for(world: World) {
        channels(&world, Provider::Dingtalk).await;
        world.hooks.say(ROOM, 200, r#"{"errcode":130101,"errmsg":"send too fast"}"#);
        let (enrollment, _) = enroll(&world, TELL).await;
        world.run_due_jobs().await;
        assert_eq!(calls(&world).await[0].next_at, Some(world.now() + TimeDelta::minutes(10)));
        world.hooks.say(ROOM, 200, r#"{"errcode":0,"errmsg":"ok"}"#);
        world.pass(TimeDelta::minutes(10)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Completed));
    }

    async fn an_answer_that_is_none_is_a_failure(world: World) {
        channels(&world, Provider::Slack).await;
        for (body, expected) in [("<html>", "CALL_ANSWER_NOT_JSON"), (r#"{"points": 3}"#, "EXPRESSION_FAILED")] {
            world.hooks.say(CRM, 200, body);
            let contact = world.contact(&format!("{}@acme.example", expected.to_lowercase())).await;
            let sequence = world.app.run(&world.system(), SequencePublish { source: ASK.to_owned() }).await;
            let sequence = match sequence {
                Ok((sequence, _)) => sequence.id,
                Err(_) => world.app.store.sequence_by_key("ask").await.unwrap().unwrap().id,
            };
            let command = EnrollmentCreate { sequence, contact: Some(contact.id), lead: None, vars: Map::new() };
            let enrollment = world.app.run(&world.system(), command).await.unwrap().0;
            world.run_due_jobs().await;
            let of = OutboundCallFilter { enrollment: Some(enrollment.id), ..OutboundCallFilter::default() };
            let made = world.app.store.outbound_call_page(&of, &Page::first(10)).await.unwrap().items;
            assert_eq!((made[0].state, made[0].failure.as_ref().unwrap().code.as_str()), (CallState::Failed, expected));
            let run = now(&world, &enrollment).await;
            assert_eq!((run.state, run.vars.len()), (EnrollmentState::Exited(ExitReason::Rule), 0));
        }
    }

    async fn a_process_that_dies_after_it_began_leads_to_the_same_call_once_more(world: World) {
        channels(&world, Provider::Slack).await;
        world.hooks.say(CRM, 200, r#"{"score": 9, "owner": "Otto"}"#);
        let (enrollment, _) = enroll(&world, ASK).await;
        let call = planned(&world, &enrollment).await;
        // It dies before the request.
        let begun = begin(&world, &call).await.unwrap();
        assert_eq!((begun.state, begun.attempts), (CallState::Sending, 1));
        assert!(world.hooks.calls().is_empty());
        // The next one dies after the request: the other side has it, and nobody knows.
        let again = begin(&world, &call).await.unwrap();
        let channel: OutboundChannel = world.app.store.find(again.channel).await.unwrap().unwrap();
        world.app.env.hooks.sender.ask(again.outgoing(&channel, world.now()).unwrap()).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Goal));
        assert_eq!((world.hooks.calls().len(), ids(&world).len()), (2, 1), "one effect where the other side knows the id");
        let call = calls(&world).await.remove(0);
        assert_eq!((call.state, call.attempts), (CallState::Succeeded, 3));
        let again = world.ledger().await.into_iter().filter(|link| link.entry.kind == "outbound_call.begun");
        let again: Vec<Value> = again.map(|link| link.entry.detail["again"].clone()).collect();
        assert_eq!(again, [json!(false), json!(true), json!(true)]);
    }

    async fn what_is_settled_twice_counts_once(world: World) {
        channels(&world, Provider::Slack).await;
        let (enrollment, _) = enroll(&world, ASK).await;
        let call = planned(&world, &enrollment).await;
        let begun = begin(&world, &call).await.unwrap();
        let (one, two) = tokio::join!(settle(&world, &begun, 1, score(9.0)), settle(&world, &begun, 1, score(1.0)));
        let codes: Vec<&str> = [&one, &two].iter().filter_map(|done| done.as_ref().err().map(AppError::code)).collect();
        assert_eq!(codes, ["CALL_SETTLED"], "{one:?} {two:?}");
        let first = now(&world, &enrollment).await;
        assert_eq!((first.step.as_str(), first.state), ("look", EnrollmentState::Active));
        assert_eq!(settle(&world, &begun, 1, score(2.0)).await.unwrap_err().code(), "CALL_SETTLED");
        assert_eq!(begin(&world, &call).await.unwrap_err().code(), "CALL_SETTLED");
        assert_eq!(now(&world, &enrollment).await, first);
        world.run_due_jobs().await;
        assert!(world.hooks.calls().is_empty(), "the job that was left finds nothing to do");
        let kinds = world.ledger_kinds().await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "enrollment.answered").count(), 1);
    }

    async fn who_lost_the_lease_can_bring_a_success_and_no_failure(world: World) {
        channels(&world, Provider::Slack).await;
        let (enrollment, _) = enroll(&world, ASK).await;
        let call = planned(&world, &enrollment).await;
        let slow = begin(&world, &call).await.unwrap();
        let second = begin(&world, &call).await.unwrap();
        let no = || Verdict::Never { code: "CALL_REFUSED", message: "no".to_owned() };
        assert_eq!(settle(&world, &second, slow.attempts, no()).await.unwrap_err().code(), "CALL_STALE");
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Waiting(WaitReason::Answer));
        settle(&world, &second, slow.attempts, score(9.0)).await.unwrap();
        assert_eq!(settle(&world, &second, second.attempts, no()).await.unwrap_err().code(), "CALL_SETTLED");
        assert_eq!(now(&world, &enrollment).await.vars["crm"]["score"], json!(9.0));
    }

    async fn a_run_that_ended_takes_its_call_back_and_one_that_ended_meanwhile_stays_ended(world: World) {
        channels(&world, Provider::Slack).await;
        let (enrollment, _) = enroll(&world, ASK).await;
        planned(&world, &enrollment).await;
        let exit = EnrollmentExit { enrollment: enrollment.id, reason: ExitReason::Manual };
        world.app.run(&world.system(), exit).await.unwrap();
        world.run_due_jobs().await;
        assert!(world.hooks.calls().is_empty());
        let call = calls(&world).await.remove(0);
        assert_eq!((call.state, call.failure.unwrap().code.as_str()), (CallState::Cancelled, "CALL_NOT_AWAITED"));
        // Between the request and its record.
        let other = world.contact("bob@acme.example").await;
        let create = EnrollmentCreate { sequence: enrollment.sequence, contact: Some(other.id), lead: None, vars: Map::new() };
        let second = world.app.run(&world.system(), create).await.unwrap().0;
        let step = tandem_app::EnrollmentAdvance { enrollment: second.id, visit: 0 };
        world.app.run(&world.system(), step).await.unwrap();
        let call = calls(&world).await.pop().unwrap();
        let begun = begin(&world, &call).await.unwrap();
        let exit = EnrollmentExit { enrollment: second.id, reason: ExitReason::Manual };
        world.app.run(&world.system(), exit).await.unwrap();
        assert_eq!(settle(&world, &begun, 1, score(9.0)).await.unwrap().state, CallState::Succeeded);
        let run = now(&world, &second).await;
        assert_eq!((run.state, run.vars.len()), (EnrollmentState::Exited(ExitReason::Manual), 0));
    }

    async fn an_answer_during_a_pause_waits_for_its_end(world: World) {
        channels(&world, Provider::Slack).await;
        world.hooks.say(CRM, 200, r#"{"score": 9, "owner": "Otto"}"#);
        let (enrollment, _) = enroll(&world, ASK).await;
        planned(&world, &enrollment).await;
        let pause = EnrollmentPause { enrollment: enrollment.id, reason: PauseReason::Manual, until: None };
        world.app.run(&world.system(), pause).await.unwrap();
        world.pass(TimeDelta::days(1)).await;
        let paused = now(&world, &enrollment).await;
        assert_eq!((paused.state, paused.step.as_str()), (EnrollmentState::Paused(PauseReason::Manual), "look"));
        assert!(paused.keeps_the_law() && world.mailer.sent().is_empty());
        world.app.run(&world.system(), EnrollmentResume { enrollment: enrollment.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Goal));
    }

    async fn a_call_that_nobody_settles_does_not_hold_its_run_for_ever(world: World) {
        channels(&world, Provider::Slack).await;
        let (enrollment, _) = enroll(&world, ASK).await;
        let call = planned(&world, &enrollment).await;
        begin(&world, &call).await.unwrap();
        world.tamper("DELETE FROM job WHERE kind = 'make_call'").await.unwrap();
        world.pass(TimeDelta::hours(29)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Waiting(WaitReason::Answer));
        world.pass(TimeDelta::hours(2)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Exited(ExitReason::Rule));
        let answered = world.ledger().await.into_iter().find(|link| link.entry.kind == "enrollment.answered").unwrap();
        assert_eq!(answered.entry.detail["code"], "CALL_OVERDUE");
        // What comes to be known afterwards is recorded, and moves nothing.
        assert_eq!(settle(&world, &call, 1, score(9.0)).await.unwrap().state, CallState::Succeeded);
        assert_eq!(now(&world, &enrollment).await.vars.len(), 0);
    }

    async fn a_paused_channel_lets_its_calls_wait(world: World) {
        let (_, room) = channels(&world, Provider::Slack).await;
        world.app.run(&world.system(), OutboundChannelPause { channel: room.id }).await.unwrap();
        let (enrollment, _) = enroll(&world, TELL).await;
        world.run_due_jobs().await;
        for _ in 0..5 {
            world.pass(TimeDelta::minutes(15)).await;
        }
        assert!(world.hooks.calls().is_empty());
        assert_eq!(world.ledger_kinds().await.iter().filter(|kind| *kind == "outbound_call.held").count(), 1);
        let refused = world.app.run(&world.system(), OutboundChannelTest { channel: room.id }).await.unwrap_err();
        assert_eq!(refused.code(), "CHANNEL_PAUSED");
        world.app.run(&world.system(), OutboundChannelResume { channel: room.id }).await.unwrap();
        let again = world.app.run(&world.system(), OutboundChannelResume { channel: room.id }).await.unwrap_err();
        assert_eq!(again.code(), "CHANNEL_ALREADY_SO");
        world.pass(TimeDelta::minutes(15)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Completed));
        assert_eq!(calls(&world).await[0].attempts, 1, "waiting is no try");
    }

    async fn a_definition_names_channels_that_are_there_and_of_its_kind(world: World) {
        let (_, ops) = world.user("otto", Role::SalesOps, None).await;
        assert_eq!(code(&world, &ops, TELL).await, "CHANNEL_UNKNOWN");
        channels(&world, Provider::Slack).await;
        assert_eq!(code(&world, &ops, &TELL.replace("channel: room", "channel: crm")).await, "CHANNEL_OTHER_KIND");
        assert_eq!(code(&world, &ops, &ASK.replace("channel: crm", "channel: room")).await, "CHANNEL_OTHER_KIND");
        let (_, sdr) = world.user("ann", Role::Sdr, None).await;
        let save = OutboundChannelSave { draft: draft("x", Provider::Slack, ROOM) };
        assert_eq!(world.app.run(&sdr, save).await.unwrap_err().code(), "FORBIDDEN");
        let bad = OutboundChannelSave { draft: draft("x", Provider::Slack, "ftp://chat.example.com") };
        assert_eq!(world.app.run(&ops, bad).await.unwrap_err().code(), "WEBHOOK_URL_INVALID");
    }

    async fn no_secret_is_in_the_record(world: World) {
        let headers = Some([("authorization".to_owned(), "Bearer s3cret".to_owned())].into());
        let crm = save(&world, Draft { headers, ..draft("crm", Provider::Webhook, "https://crm.example.com/?key=s3cret") }).await;
        save(&world, draft("room", Provider::Slack, ROOM)).await;
        let before = crm.secret().unwrap().reveal().to_owned();
        let after = world.app.run(&world.system(), OutboundChannelRotateSecret { channel: crm.id, end_previous: false }).await.unwrap();
        assert_ne!(after.secret().unwrap().reveal(), before);
        world.app.run(&world.system(), OutboundChannelTest { channel: crm.id }).await.unwrap();
        world.run_due_jobs().await;
        let sent = world.hooks.calls().remove(0);
        assert!(sent.headers.contains(&("authorization".to_owned(), "Bearer s3cret".to_owned())));
        let signatures = sent.headers.iter().find(|(name, _)| name == "webhook-signature").unwrap().1.matches("v1,").count();
        assert_eq!(signatures, 2, "both secrets sign for a day");
        for link in world.ledger().await {
            let entry = serde_json::to_string(&link.entry.detail).unwrap();
            assert!(!entry.contains("s3cret") && !entry.contains("whsec_"), "{entry}");
        }
        let test = calls(&world).await.remove(0);
        assert_eq!((test.state, test.enrollment), (CallState::Succeeded, None));
        assert!(!serde_json::to_string(&test).unwrap().contains("s3cret"));
    }

    async fn calls_that_are_done_with_are_forgotten_after_ninety_days(world: World) {
        channels(&world, Provider::Slack).await;
        world.hooks.say(CRM, 500, "");
        enroll(&world, ASK).await;
        world.run_due_jobs().await;
        world.clock.advance(TimeDelta::days(100));
        let before = world.now() - TimeDelta::days(90);
        assert_eq!(world.app.store.prune_outbound_calls(before, 100).await.unwrap(), 0, "it is still on its way");
        world.run_due_jobs().await;
        world.pass(TimeDelta::hours(3)).await;
        let done = calls(&world).await.len();
        assert!(done >= 1 && calls(&world).await.iter().any(|call| call.state != CallState::Planned));
        assert!(world.app.store.prune_outbound_calls(world.now() - TimeDelta::days(90), 100).await.unwrap() >= 1);
    }
}
