//! The shipped programmes in a whole installation: published together, each started by its own trigger and run to its end, on both
//! databases.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::contacts::ContactCreate;
use tandem_app::sequence::Applied;
use tandem_app::target_list::{Change, Seen};
use tandem_app::{
    AccountChange, AccountUpsertMany, Call, ChangeRequestApprove, ChangeRequestPropose, ChecklistAnswer, ContactChange,
    CustomFieldDefine, HandoffAccept, HandoffConvert, HandoffLose, HandoffReturn, HandoffReviewReturn, HandoffStart,
    InteractionRecord, LeadQualify, LeadReceive, OpportunityDispatch, OutboundChannelSave, PoolSave, RoutingTableSave,
    SendingMailboxSave, TargetListCreate, TaskComplete, TaxonomyLibraryInstall, WorkItemAnswer, WorkItemClaim,
    WorkItemDisqualify, WorkItemStart, WorkItemVerify, WorkingCalendarSave,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::calendar::{Day, Draft as CalendarDraft};
use tandem_domain::contact::{Contact, ContactPatch};
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::handoff::{Reason, ReviewVerdict};
use tandem_domain::id::{AccountId, ContactId, HandoffId, LeadId, ListId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::lead::{Lead, Stage};
use tandem_domain::outbound::channel::{Draft as ChannelDraft, Provider};
use tandem_domain::routing::{MemberDraft, PoolDraft, TableDraft};
use tandem_domain::sending_mailbox::MailboxDraft;
use tandem_domain::sequence::Sequence;
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState as S, ExitReason, FinishReason};
use tandem_domain::sequence::library::PROGRAMMES;
use tandem_domain::target_list::{ChangeKind, ChangeReason, Evidence};
use tandem_domain::verification::{Finding, Reason as Verification, Verdict};
use tandem_domain::work_item::{ItemKind, ItemState, TaskChannel, TaskOutcome, WorkItem};
use tandem_jobs::schedule::turn;
use tandem_store::Page;
use tandem_store::dispatch::HandoffFilter;
use tandem_store::jobs::Now;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::trigger::TriggerSkipFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};
use uuid::Uuid;

/// The people who work with it, and what the programmes need.
struct Office {
    sdr: Call,
    seller: Call,
    manager: Call,
    marketer: Call,
    key_accounts: ListId,
    sequences: BTreeMap<&'static str, Sequence>,
}

async fn define(world: &World, entity: Entity, key: &str, kind: Kind) {
    let (key, label) = (key.to_owned(), key.to_owned());
    let command = CustomFieldDefine { entity, key, label, kind, choices: Vec::new(), required: false };
    world.app.run(&world.system(), command).await.unwrap();
}

async fn channel(world: &World, key: &str, provider: Provider) {
    let url = Some(format!("https://chat.example.com/{key}"));
    let draft = ChannelDraft {
        key: key.to_owned(),
        name: key.to_owned(),
        provider,
        url,
        secret: None,
        headers: None,
        end_previous: false,
    };
    world.app.run(&world.system(), OutboundChannelSave { draft }).await.unwrap();
}

/// Sales that takes whatever is dispatched.
async fn sales(world: &World) -> Call {
    let (_, ops) = world.user("ops", Role::SalesOps, None).await;
    let (user, seller) = world.user("seller", Role::Sales, Some(Side::Sales)).await;
    let week = Day::ALL.iter().map(|day| (*day, vec!["00:00-23:59".parse().unwrap()])).collect();
    let (key, name) = ("office".to_owned(), "Office".to_owned());
    let draft = CalendarDraft { key, name, zone: chrono_tz::UTC, week, holidays: vec![], make_up: vec![] };
    let calendar = world.app.run(&ops, WorkingCalendarSave { draft }).await.unwrap().id;
    let draft = PoolDraft {
        key: "all".to_owned(),
        name: "All".to_owned(),
        members: vec![MemberDraft { user: user.id, weight: 1, capacity: 50, calendar: None }],
        calendar,
        accept_within: 60,
        work_within: 240,
        progress_within: 960,
        max_attempts: 2,
        escalate_to: None,
        cooldown_days: 30,
    };
    let pool = world.app.run(&ops, PoolSave { draft }).await.unwrap();
    let draft = TableDraft { rules: vec![], fallback: pool.id };
    world.app.run(&ops, RoutingTableSave { draft }).await.unwrap();
    seller
}

/// Everything that the heads of the programmes ask for, and all of them published, as `tandem sequence apply` does it.
async fn office(world: &World) -> Office {
    let (_, sdr) = world.user("sdr", Role::Sdr, Some(Side::Marketing)).await;
    let (_, manager) = world.user("manager", Role::SalesManager, Some(Side::Sales)).await;
    let (_, marketer) = world.user("marketing", Role::Marketing, Some(Side::Marketing)).await;
    let seller = sales(world).await;
    world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
    for (key, kind) in [("last_touch_on", Kind::Date), ("lost_on", Kind::Date), ("event_on", Kind::Date)] {
        define(world, Entity::Contact, key, kind).await;
    }
    define(world, Entity::Contact, "event_name", Kind::Text).await;
    define(world, Entity::Account, "angle", Kind::Text).await;
    define(world, Entity::Lead, "partner", Kind::Text).await;
    define(world, Entity::Lead, "referral_outcome", Kind::Text).await;
    channel(world, "sales-room", Provider::Slack).await;
    channel(world, "customer-room", Provider::Slack).await;
    channel(world, "partner-portal", Provider::Webhook).await;
    let new = TargetListCreate {
        key: "key-accounts".to_owned(),
        name: "Key accounts".to_owned(),
        description: String::new(),
        request_days: None,
        suspension_hours: None,
    };
    let key_accounts = world.app.run(&marketer, new).await.unwrap().id;
    let draft = MailboxDraft {
        address: "kim@example.com".to_owned(),
        name: Some("Kim".to_owned()),
        reply_to: None,
        pool: "sdr".to_owned(),
        zone: chrono_tz::UTC,
        daily_cap: 50,
        ramp_up: None,
        interval: 0,
    };
    world.app.run(&world.system(), SendingMailboxSave { draft }).await.unwrap();
    let mut sequences = BTreeMap::new();
    for programme in PROGRAMMES {
        let applied = world.app.sequence_apply(&world.system(), programme.source.to_owned()).await;
        let Applied::Published(version) = applied.unwrap_or_else(|error| panic!("{}: {error}", programme.key)) else {
            panic!("{} was there", programme.key)
        };
        sequences.insert(programme.key, world.app.store.find(version.sequence).await.unwrap().unwrap());
    }
    world.run_due_jobs().await;
    world.clock.advance(TimeDelta::seconds(1));
    Office { sdr, seller, manager, marketer, key_accounts, sequences }
}

async fn company(world: &World, name: &str) -> AccountId {
    let rows = vec![serde_json::from_value(json!({ "name": name })).unwrap()];
    let made = world.app.run(&world.system(), AccountUpsertMany { rows }).await.unwrap();
    made.rows[0].id().unwrap().into()
}

/// A person who agreed to be written to. A Chinese one lives in Shanghai.
async fn person(world: &World, name: &str, account: AccountId, chinese: bool) -> ContactId {
    let patch: ContactPatch = serde_json::from_value(json!({
        "name": if chinese { "张三".to_owned() } else { format!("{name} Sample") },
        "email": format!("{name}@example.com"),
        "account": account,
        "title": "Planner",
        "phone": "+493012345678",
        "locale": if chinese { "zh-CN" } else { "en-GB" },
        "time_zone": if chinese { "Asia/Shanghai" } else { "Europe/London" },
        "consent": {"state": "GRANTED", "source": "form"},
    }))
    .unwrap();
    let command = ContactCreate { contact: patch, default_region: None };
    world.app.run(&world.system(), command).await.unwrap().record.id
}

async fn change(world: &World, contact: ContactId, patch: Value) {
    let contact_patch: ContactPatch = serde_json::from_value(patch).unwrap();
    let command = ContactChange { id: contact, contact: contact_patch, default_region: None };
    world.app.run(&world.system(), command).await.unwrap();
    world.run_due_jobs().await;
}

/// The person does something, and what follows from it at once follows.
async fn did(world: &World, contact: ContactId, kind: InteractionKind, name: &str) {
    let (name, properties) = (name.to_owned(), Map::new());
    let draft = Draft { kind, name, occurred_at: None, seconds: None, url: None, properties };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
    world.run_due_jobs().await;
}

/// Time goes by, hour by hour, with its schedules; where it is long, six hours at a time.
async fn pass(world: &World, time: TimeDelta) {
    let until = world.now() + time;
    let step = TimeDelta::hours(if time > TimeDelta::days(20) { 6 } else { 1 });
    while world.now() < until {
        world.clock.advance(step.min(until - world.now()));
        world.app.store.turn_schedules(Now::At(world.now()), turn).await.unwrap();
        world.run_due_jobs().await;
    }
}

async fn until(world: &World, moment: &str) {
    let moment: DateTime<Utc> = moment.parse().unwrap();
    pass(world, moment - world.now()).await;
}

async fn runs(world: &World, filter: EnrollmentFilter) -> Vec<Enrollment> {
    let mut runs = world.app.store.enrollment_page(&filter, &Page::first(1_000)).await.unwrap().items;
    runs.sort_by_key(|run| run.started_at);
    runs
}

impl Office {
    async fn runs_of(&self, world: &World, key: &str, contact: ContactId) -> Vec<Enrollment> {
        let filter = EnrollmentFilter {
            sequence: Some(self.sequences[key].id),
            contact: Some(contact),
            ..EnrollmentFilter::default()
        };
        runs(world, filter).await
    }

    async fn run_of(&self, world: &World, key: &str, contact: ContactId) -> Enrollment {
        let runs = self.runs_of(world, key, contact).await;
        let count = runs.len();
        <[Enrollment; 1]>::try_from(runs).unwrap_or_else(|_| panic!("{count} runs through {key}"))[0].clone()
    }

    /// Somebody takes the person's task with these words in its title, and says what came of it.
    async fn does(&self, world: &World, contact: ContactId, title: &str, outcome: TaskOutcome) -> WorkItem {
        let task = task(world, contact, title).await;
        let (item, _) = world.app.run(&self.sdr, WorkItemClaim { item: task.id }).await.unwrap();
        let complete = TaskComplete { item: item.id, token: item.fence, outcome: Some(outcome), note: None };
        world.app.run(&self.sdr, complete).await.unwrap();
        world.run_due_jobs().await;
        task
    }

    /// A lead of the person that sales works on.
    async fn worked(&self, world: &World, contact: ContactId, account: AccountId) -> (LeadId, HandoffId) {
        let lead = receive(world, contact, account, "webinar", BTreeMap::new()).await;
        let qualify = LeadQualify { lead: lead.id, grade: None, priority: None };
        let (item, _) = world.app.run(&world.system(), qualify).await.unwrap();
        let (item, _) = world.app.run(&self.sdr, WorkItemClaim { item: item.id }).await.unwrap();
        let token = item.fence;
        world.app.run(&self.sdr, WorkItemStart { item: item.id, token }).await.unwrap();
        let finding = Finding { verdict: Verdict::Confirmed, value: None, evidence: None };
        let checklist = &world.app.env.queue.checklist.items;
        let answers =
            checklist.iter().map(|entry| ChecklistAnswer { item: entry.key.clone(), finding: finding.clone() });
        let answers = answers.collect();
        world.app.run(&self.sdr, WorkItemAnswer { item: item.id, token, answers }).await.unwrap();
        world.app.run(&self.sdr, WorkItemVerify { item: item.id, token, note: None }).await.unwrap();
        let dispatch = OpportunityDispatch { lead: lead.id, name: Some("Seats".to_owned()), amount: None, pool: None };
        let handoff = world.app.run(&self.sdr, dispatch).await.unwrap().handoff.id;
        world.run_due_jobs().await;
        world.app.run(&self.seller, HandoffAccept { handoff }).await.unwrap();
        world.app.run(&self.seller, HandoffStart { handoff }).await.unwrap();
        world.run_due_jobs().await;
        let known = world.app.store.handoff_page(&HandoffFilter::default(), &Page::first(99)).await.unwrap().items;
        assert!(known.iter().any(|one| one.id == handoff));
        (lead.id, handoff)
    }
}

async fn receive(
    world: &World,
    contact: ContactId,
    account: AccountId,
    source: &str,
    custom: BTreeMap<String, Value>,
) -> Lead {
    let command = LeadReceive {
        contact,
        account: Some(account),
        source: source.to_owned(),
        external_id: None,
        grade: Some("B2".parse().unwrap()),
        priority: None,
        tags: BTreeSet::new(),
        custom,
    };
    world.app.run(&world.system(), command).await.unwrap()
}

async fn tasks(world: &World, contact: ContactId) -> Vec<WorkItem> {
    let filter = WorkItemFilter {
        kind: Some(ItemKind::Task),
        contact: Some(contact),
        states: vec![ItemState::Queued],
        ..WorkItemFilter::default()
    };
    world.app.store.work_item_page(&filter, &Page::first(100)).await.unwrap().items
}

async fn task(world: &World, contact: ContactId, title: &str) -> WorkItem {
    let tasks = tasks(world, contact).await;
    let titles: Vec<_> = tasks.iter().map(|task| task.title.clone()).collect();
    let found = tasks.into_iter().find(|task| task.title.contains(title));
    found.unwrap_or_else(|| panic!("no task {title}, but {titles:?}"))
}

async fn tags(world: &World, contact: ContactId) -> Vec<String> {
    let contact: Contact = world.app.store.find(contact).await.unwrap().unwrap();
    contact.tags.into_iter().collect()
}

async fn custom(world: &World, contact: ContactId, key: &str) -> Value {
    let contact: Contact = world.app.store.find(contact).await.unwrap().unwrap();
    contact.custom.get(key).cloned().unwrap_or_default()
}

async fn lead(world: &World, run: &Enrollment) -> Lead {
    world.app.store.find(run.lead.unwrap()).await.unwrap().unwrap()
}

/// The subjects of what was sent to somebody, in order. Whoever reads Chinese gets nothing else.
fn subjects(world: &World, name: &str, chinese: bool) -> Vec<String> {
    let to = format!("{name}@example.com");
    let sent: Vec<_> = world.mailer.sent().into_iter().filter(|out| out.to.address == to).collect();
    for out in &sent {
        assert_eq!(out.text.contains("您"), chinese, "{}", out.text);
        assert!(!out.text.contains("{{"), "{}", out.text);
    }
    sent.into_iter().map(|out| out.subject).collect()
}

/// The ledger has the run from its start to its end, with the right number of e-mails, and holds.
async fn is_on_record(world: &World, run: &Enrollment, emails: usize) {
    let ledger = world.ledger().await;
    let of_run: Vec<&str> = ledger
        .iter()
        .filter(|link| link.entry.subject_id == Uuid::from(run.id))
        .map(|link| link.entry.kind.as_str())
        .collect();
    assert_eq!((of_run.first(), of_run.last()), (Some(&"enrollment.started"), Some(&"enrollment.ended")), "{of_run:?}");
    let name = json!(run.id);
    let sent = ledger
        .iter()
        .filter(|link| link.entry.kind == "email.sent" && link.entry.detail.get("enrollment") == Some(&name));
    let planned = ledger
        .iter()
        .filter(|link| link.entry.kind == "email.planned" && link.entry.detail.get("enrollment") == Some(&name));
    assert_eq!((planned.count(), sent.count() <= emails), (emails, true));
    assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
}

on_both_databases! {
    async fn a_fresh_installation_takes_those_that_need_nothing_and_says_what_the_others_need(world: World) {
        let mut refused = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for programme in PROGRAMMES {
            match world.app.sequence_apply(&world.system(), programme.source.to_owned()).await {
                Ok(_) => drop(taken.insert(programme.key)),
                Err(error) => drop(refused.insert(programme.key, error.code())),
            }
        }
        assert_eq!(taken, ["no_show", "welcome"].into());
        let expected = [
            ("closed_lost", "SEQUENCE_REFERENCE_UNKNOWN"),
            ("content_download", "SEQUENCE_REFERENCE_UNKNOWN"),
            ("demo_request", "CHANNEL_UNKNOWN"),
            ("dormant_reactivation", "SEQUENCE_REFERENCE_UNKNOWN"),
            ("event_follow_up", "SEQUENCE_REFERENCE_UNKNOWN"),
            ("onboarding", "CHANNEL_UNKNOWN"),
            ("partner_referral", "SEQUENCE_REFERENCE_UNKNOWN"),
            ("recycle_by_reason", "SEQUENCE_REFERENCE_UNKNOWN"),
            ("tier_one", "SEQUENCE_REFERENCE_UNKNOWN"),
        ];
        assert_eq!(refused, expected.into());
    }

    async fn a_demo_request_is_called_within_minutes_and_a_booking_goes_to_an_sdr(world: World) {
        let office = office(&world).await;
        let lin = person(&world, "lin", company(&world, "Example").await, true).await;
        did(&world, lin, InteractionKind::Form, "预约演示").await;
        assert_eq!(subjects(&world, "lin", true), ["已收到您的演示申请"]);
        let call = task(&world, lin, "asked for a demo").await;
        assert_eq!((call.priority, call.channel), (100, Some(TaskChannel::Call)));
        assert!(call.due_at - world.now() <= TimeDelta::minutes(5));
        assert_eq!(world.hooks.calls().len(), 1, "the room knows");
        office.does(&world, lin, "now", TaskOutcome::NoAnswer).await;
        pass(&world, TimeDelta::minutes(2)).await;
        assert_eq!(subjects(&world, "lin", true).last().unwrap(), "演示安排在什么时间方便？");
        did(&world, lin, InteractionKind::Meeting, "Demo").await;
        let run = office.run_of(&world, "demo_request", lin).await;
        assert_eq!(run.state, S::Finished(FinishReason::MeetingBooked));
        assert_eq!(tags(&world, lin).await, ["demo-booked", "demo-request"]);
        let lead = lead(&world, &run).await;
        assert_eq!((lead.stage, lead.source.as_str(), lead.priority), (Stage::Queued, "demo_request", 90));
        is_on_record(&world, &run, 2).await;
    }

    async fn a_demo_request_that_nobody_reaches_comes_to_an_end(world: World) {
        let office = office(&world).await;
        let sam = person(&world, "sam", company(&world, "Example").await, false).await;
        did(&world, sam, InteractionKind::Form, "Demo request").await;
        pass(&world, TimeDelta::hours(4)).await;
        assert_eq!(world.hooks.calls().len(), 2, "the room hears that nobody has called");
        office.does(&world, sam, "now", TaskOutcome::NoAnswer).await;
        pass(&world, TimeDelta::days(1)).await;
        office.does(&world, sam, "again", TaskOutcome::NoAnswer).await;
        pass(&world, TimeDelta::days(6)).await;
        let run = office.run_of(&world, "demo_request", sam).await;
        assert_eq!(run.state, S::Finished(FinishReason::Completed));
        let subjects = subjects(&world, "sam", false);
        assert_eq!(subjects, ["Your demo: we have your request", "When would the demo suit you?", "The demo stays open"]);
        assert!(tags(&world, sam).await.contains(&"demo-unreached".to_owned()));
        is_on_record(&world, &run, 3).await;
    }

    async fn a_key_account_is_worked_by_one_person_until_an_opportunity_is_opened_there(world: World) {
        let office = office(&world).await;
        let account = company(&world, "Example").await;
        let (sam, lin) = (person(&world, "sam", account, false).await, person(&world, "lin", account, true).await);
        let evidence = vec![Evidence { note: "grew".into(), url: None }];
        let (kind, tier) = (ChangeKind::Add, Some("T1".to_owned()));
        let add = Change { account, kind, tier, reasons: vec![ChangeReason::IcpFit], evidence };
        let propose = ChangeRequestPropose { list: office.key_accounts, changes: vec![add] };
        let proposed = world.app.run(&office.marketer, propose).await.unwrap();
        let seen = proposed.requests.iter().map(|request| Seen { request: request.id, revision: request.revision });
        world.app.run(&office.seller, ChangeRequestApprove { requests: seen.collect() }).await.unwrap();
        world.run_due_jobs().await;
        let patch = serde_json::from_value(json!({"custom": {"angle": "You open a second plant."}})).unwrap();
        world.app.run(&world.system(), AccountChange { id: account, account: patch }).await.unwrap();
        for contact in [sam, lin] {
            office.does(&world, contact, "Research", TaskOutcome::Done).await;
        }
        until(&world, "2026-03-03T12:00:00Z").await;
        assert_eq!(subjects(&world, "sam", false), ["Example: a thought"]);
        assert_eq!(subjects(&world, "lin", true), ["关于Example的一点想法"]);
        assert!(world.mailer.sent().iter().all(|out| out.from.address == "kim@example.com"));
        assert!(world.mailer.sent().iter().all(|out| out.text.contains("You open a second plant.")));
        assert_eq!(task(&world, sam, "Connect").await.channel, Some(TaskChannel::Social));
        until(&world, "2026-03-10T12:00:00Z").await;
        office.does(&world, sam, "Call", TaskOutcome::NoAnswer).await;
        until(&world, "2026-03-12T12:00:00Z").await;
        assert_eq!(subjects(&world, "sam", false).last().unwrap(), "How others settled who has an account");
        // A colleague of theirs buys.
        let kim = person(&world, "colleague", account, false).await;
        office.worked(&world, kim, account).await;
        for contact in [sam, lin] {
            let run = office.run_of(&world, "tier_one", contact).await;
            assert_eq!(run.state, S::Finished(FinishReason::OpportunityOpened));
        }
        is_on_record(&world, &office.run_of(&world, "tier_one", sam).await, 2).await;
    }

    async fn a_key_account_that_answers_nothing_is_left_in_peace_after_six_weeks(world: World) {
        let office = office(&world).await;
        let account = company(&world, "Example").await;
        let lin = person(&world, "lin", account, true).await;
        change(&world, lin, json!({"title": "运营总监"})).await;
        let evidence = vec![Evidence { note: "grew".into(), url: None }];
        let (kind, tier) = (ChangeKind::Add, Some("T1".to_owned()));
        let add = Change { account, kind, tier, reasons: vec![ChangeReason::IcpFit], evidence };
        let propose = ChangeRequestPropose { list: office.key_accounts, changes: vec![add] };
        let proposed = world.app.run(&office.marketer, propose).await.unwrap();
        let seen = proposed.requests.iter().map(|request| Seen { request: request.id, revision: request.revision });
        world.app.run(&office.seller, ChangeRequestApprove { requests: seen.collect() }).await.unwrap();
        world.run_due_jobs().await;
        let patch = serde_json::from_value(json!({"custom": {"angle": "第二座工厂即将投产。"}})).unwrap();
        world.app.run(&world.system(), AccountChange { id: account, account: patch }).await.unwrap();
        office.does(&world, lin, "Research", TaskOutcome::Done).await;
        pass(&world, TimeDelta::days(75)).await;
        let run = office.run_of(&world, "tier_one", lin).await;
        assert_eq!(run.state, S::Finished(FinishReason::Completed));
        let expected = ["关于Example的一点想法", "别人是怎样理清客户归属的", "先写到这里"];
        assert_eq!(subjects(&world, "lin", true), expected);
        let channels: BTreeSet<_> = tasks(&world, lin).await.into_iter().filter_map(|task| task.channel).collect();
        let expected = [TaskChannel::Call, TaskChannel::Social, TaskChannel::Letter];
        assert_eq!(channels, expected.into(), "what nobody did is still to be done");
        assert!(custom(&world, lin, "last_touch_on").await.is_string());
        is_on_record(&world, &run, 3).await;
    }

    async fn who_came_to_an_event_and_who_did_not_are_written_to_differently(world: World) {
        let office = office(&world).await;
        let account = company(&world, "Example").await;
        let (sam, lin) = (person(&world, "sam", account, false).await, person(&world, "lin", account, true).await);
        for contact in [sam, lin] {
            change(&world, contact, json!({"custom": {"event_on": "2026-03-03", "event_name": "Spring Forum"}})).await;
        }
        until(&world, "2026-03-03T14:00:00Z").await;
        did(&world, sam, InteractionKind::CheckIn, "Spring Forum").await;
        until(&world, "2026-03-04T12:00:00Z").await;
        assert_eq!(subjects(&world, "sam", false), ["Thank you for coming to Spring Forum"]);
        assert_eq!(subjects(&world, "lin", true), ["没能到场也没关系，这是录像"]);
        let skips = TriggerSkipFilter { contact: Some(sam), ..Default::default() };
        let skips = world.app.store.trigger_skip_page(&skips, &Page::first(9)).await.unwrap().items;
        assert_eq!(skips[0].code, "ENROLLMENT_EXISTS", "the morning after passes over who came");
        did(&world, sam, InteractionKind::Download, "Slides").await;
        assert!(world.ledger_kinds().await.iter().any(|kind| kind == "list.change_proposed"));
        office.does(&world, sam, "Call", TaskOutcome::Interested).await;
        let run = office.run_of(&world, "event_follow_up", sam).await;
        assert_eq!(run.state, S::Finished(FinishReason::Goal));
        assert_eq!((lead(&world, &run).await.stage, lead(&world, &run).await.source.as_str()), (Stage::Queued, "event"));
        pass(&world, TimeDelta::days(8)).await;
        let absent = office.run_of(&world, "event_follow_up", lin).await;
        assert_eq!(absent.state, S::Finished(FinishReason::Completed));
        assert_eq!(tags(&world, lin).await, ["event-missed"]);
        is_on_record(&world, &run, 1).await;
        is_on_record(&world, &absent, 1).await;
    }

    async fn who_takes_a_paper_and_says_nothing_is_asked_again_half_a_year_later_and_then_left_alone(world: World) {
        let office = office(&world).await;
        let lin = person(&world, "lin", company(&world, "Example").await, true).await;
        did(&world, lin, InteractionKind::Download, "One list").await;
        pass(&world, TimeDelta::days(40)).await;
        let run = office.run_of(&world, "content_download", lin).await;
        assert_eq!(run.state, S::Finished(FinishReason::Completed));
        assert_eq!(run.memory.variants.len(), 1);
        assert_eq!(subjects(&world, "lin", true).len(), 2);
        let touched = custom(&world, lin, "last_touch_on").await;
        assert_eq!(touched, json!(run.ended_at.unwrap().date_naive().to_string()));
        is_on_record(&world, &run, 2).await;
        pass(&world, TimeDelta::days(200)).await;
        let dormant = office.run_of(&world, "dormant_reactivation", lin).await;
        let silent = dormant.started_at.date_naive() - run.ended_at.unwrap().date_naive();
        assert_eq!(silent.num_days(), 180);
        assert_eq!(dormant.state, S::Finished(FinishReason::Completed));
        assert_eq!(subjects(&world, "lin", true)[2..], ["我们的邮件对您还有用吗？", "如无回应，这是最后一封邮件"]);
        assert_eq!(tags(&world, lin).await, ["sunset"]);
        is_on_record(&world, &dormant, 2).await;
    }

    async fn what_sales_gave_back_goes_on_by_its_reason_once_a_manager_has_said_so(world: World) {
        let office = office(&world).await;
        let (one, two) = (company(&world, "One").await, company(&world, "Two").await);
        let (lin, sam) = (person(&world, "lin", one, true).await, person(&world, "sam", two, false).await);
        for (contact, account, reason) in [(lin, one, Reason::BadTiming), (sam, two, Reason::BadContact)] {
            let (_, handoff) = office.worked(&world, contact, account).await;
            world.app.run(&office.seller, HandoffReturn { handoff, reason, note: None }).await.unwrap();
            world.run_due_jobs().await;
            let waits = office.run_of(&world, "recycle_by_reason", contact).await;
            assert_eq!((waits.step.as_str(), &waits.vars["why"]), ("review", &json!(reason)));
            let (verdict, until) = (ReviewVerdict::ToNurture, Some(world.now() + TimeDelta::days(60)));
            let review = HandoffReviewReturn { handoff, verdict, note: None, pool: None, until };
            world.app.run(&office.manager, review).await.unwrap();
            world.run_due_jobs().await;
        }
        office.does(&world, sam, "Find who decides", TaskOutcome::Done).await;
        let wrong = office.run_of(&world, "recycle_by_reason", sam).await;
        assert_eq!(wrong.state, S::Exited(ExitReason::Rule));
        assert!(subjects(&world, "sam", false).is_empty(), "the wrong person is not written to");
        pass(&world, TimeDelta::days(30)).await;
        assert_eq!(subjects(&world, "lin", true), ["您看哪个月更合适？"]);
        assert!(office.run_of(&world, "recycle_by_reason", lin).await.state.is_live());
        // On the day that the manager said the lead is the SDRs' again.
        pass(&world, TimeDelta::days(31)).await;
        let over = office.run_of(&world, "recycle_by_reason", lin).await;
        assert_eq!(over.state, S::Finished(FinishReason::Goal));
        assert_eq!(lead(&world, &over).await.stage, Stage::Queued);
        is_on_record(&world, &over, 1).await;
    }

    async fn who_did_not_come_to_a_meeting_is_offered_another_within_the_hour(world: World) {
        let office = office(&world).await;
        let account = company(&world, "Example").await;
        let (lin, sam) = (person(&world, "lin", account, true).await, person(&world, "sam", account, false).await);
        did(&world, lin, InteractionKind::Other, "未到会").await;
        did(&world, sam, InteractionKind::Other, "No-show").await;
        pass(&world, TimeDelta::hours(1)).await;
        assert_eq!(subjects(&world, "lin", true), ["这次没能与您碰上"]);
        assert_eq!(subjects(&world, "sam", false), ["We missed each other"]);
        did(&world, lin, InteractionKind::Meeting, "First talk").await;
        let booked = office.run_of(&world, "no_show", lin).await;
        assert_eq!(booked.state, S::Finished(FinishReason::MeetingBooked));
        until(&world, "2026-03-03T10:00:00Z").await;
        assert!(tasks(&world, lin).await.is_empty());
        office.does(&world, sam, "did not come", TaskOutcome::NoAnswer).await;
        pass(&world, TimeDelta::days(10)).await;
        let over = office.run_of(&world, "no_show", sam).await;
        assert_eq!(over.state, S::Finished(FinishReason::Completed));
        assert_eq!(subjects(&world, "sam", false).last().unwrap(), "Shall we leave it?");
        assert_eq!(tags(&world, sam).await, ["no-show"]);
        is_on_record(&world, &booked, 1).await;
        is_on_record(&world, &over, 2).await;
    }

    async fn a_lost_sale_is_asked_about_half_a_year_later_and_holds_nobody_meanwhile(world: World) {
        let office = office(&world).await;
        let account = company(&world, "Example").await;
        let lin = person(&world, "lin", account, true).await;
        let (_, handoff) = office.worked(&world, lin, account).await;
        let lost = HandoffLose { handoff, reason: Reason::NoBudget, note: None };
        world.app.run(&office.seller, lost).await.unwrap();
        world.run_due_jobs().await;
        let noted = office.run_of(&world, "closed_lost", lin).await;
        assert_eq!(noted.state, S::Finished(FinishReason::Completed));
        assert_eq!(custom(&world, lin, "lost_on").await, json!("2026-03-02"));
        pass(&world, TimeDelta::days(181)).await;
        assert!(subjects(&world, "lin", true).is_empty());
        pass(&world, TimeDelta::days(3)).await;
        assert_eq!(subjects(&world, "lin", true), ["半年过去，进展如何？"]);
        pass(&world, TimeDelta::days(14)).await;
        office.does(&world, lin, "lost half a year ago", TaskOutcome::Interested).await;
        let run = office.runs_of(&world, "closed_lost", lin).await.pop().unwrap();
        assert_eq!(run.state, S::Finished(FinishReason::Goal));
        assert_eq!((lead(&world, &run).await.stage, lead(&world, &run).await.source.as_str()), (Stage::Queued, "win_back"));
        is_on_record(&world, &run, 1).await;
    }

    async fn a_sale_hands_the_customer_over_and_ends_what_sells_to_them(world: World) {
        let office = office(&world).await;
        let account = company(&world, "Example").await;
        let lin = person(&world, "lin", account, true).await;
        let (_, handoff) = office.worked(&world, lin, account).await;
        did(&world, lin, InteractionKind::Download, "One list").await;
        assert!(office.runs_of(&world, "content_download", lin).await.is_empty(), "sales has them");
        did(&world, lin, InteractionKind::Other, "未到会").await;
        assert!(office.run_of(&world, "no_show", lin).await.state.is_live());
        world.app.run(&office.seller, HandoffConvert { handoff, amount: None }).await.unwrap();
        world.run_due_jobs().await;
        assert!(!office.run_of(&world, "no_show", lin).await.state.is_live());
        assert_eq!(subjects(&world, "lin", true), ["欢迎合作：接下来的安排"]);
        assert_eq!(world.hooks.calls().len(), 1);
        assert_eq!(tags(&world, lin).await, ["customer"]);
        office.does(&world, lin, "over to customer success", TaskOutcome::Done).await;
        did(&world, lin, InteractionKind::EmailReply, "Re: 欢迎合作").await;
        assert!(office.run_of(&world, "onboarding", lin).await.state.is_live(), "an answer ends nothing here");
        did(&world, lin, InteractionKind::Meeting, "Kick-off").await;
        assert!(tags(&world, lin).await.contains(&"onboarding".to_owned()));
        pass(&world, TimeDelta::days(29)).await;
        assert_eq!(subjects(&world, "lin", true).last().unwrap(), "启用两周了，有什么不顺的地方吗？");
        office.does(&world, lin, "First month", TaskOutcome::Done).await;
        let run = office.run_of(&world, "onboarding", lin).await;
        assert_eq!(run.state, S::Finished(FinishReason::Goal));
        assert_eq!(tags(&world, lin).await, ["customer", "onboarded"]);
        is_on_record(&world, &run, 2).await;
    }

    async fn a_partner_is_told_what_came_of_the_recommendation(world: World) {
        let office = office(&world).await;
        let account = company(&world, "Example").await;
        let lin = person(&world, "lin", account, true).await;
        let partner = BTreeMap::from([("partner".to_owned(), json!("示例伙伴"))]);
        let received = receive(&world, lin, account, "Partner: Example", partner).await;
        world.run_due_jobs().await;
        assert_eq!(subjects(&world, "lin", true), ["示例伙伴建议我们认识一下"]);
        did(&world, lin, InteractionKind::EmailReply, "Re: 认识一下").await;
        let run = office.run_of(&world, "partner_referral", lin).await;
        assert_eq!((run.lead, lead(&world, &run).await.stage), (Some(received.id), Stage::Queued));
        assert_eq!(lead(&world, &run).await.priority, 85);
        let item = world.app.store.work_items_of_leads(&[received.id], 5).await.unwrap().remove(0);
        let (item, _) = world.app.run(&office.sdr, WorkItemClaim { item: item.id }).await.unwrap();
        world.app.run(&office.sdr, WorkItemStart { item: item.id, token: item.fence }).await.unwrap();
        let judge =
            WorkItemDisqualify { item: item.id, token: item.fence, reason: Verification::NotIcp, note: None };
        world.app.run(&office.sdr, judge).await.unwrap();
        world.run_due_jobs().await;
        let told = world.hooks.calls().pop().unwrap();
        assert!(told.url.starts_with("https://chat.example.com/partner-portal"));
        let told: Value = serde_json::from_str(told.body.as_deref().unwrap()).unwrap();
        assert_eq!(told, json!({"lead": received.id, "partner": "示例伙伴", "outcome": "DISQUALIFIED"}));
        let run = office.run_of(&world, "partner_referral", lin).await;
        assert_eq!(run.state, S::Finished(FinishReason::Completed));
        is_on_record(&world, &run, 1).await;
    }

    async fn a_person_who_qualifies_for_several_is_in_one_at_a_time(world: World) {
        let office = office(&world).await;
        let sam = person(&world, "sam", company(&world, "Example").await, false).await;
        let live = async || {
            let all = runs(&world, EnrollmentFilter { contact: Some(sam), ..EnrollmentFilter::default() }).await;
            all.into_iter().filter(|run| run.state.is_live()).map(|run| run.rule).collect::<Vec<_>>()
        };
        did(&world, sam, InteractionKind::Download, "One list").await;
        assert_eq!(live().await, ["content_download@1"]);
        did(&world, sam, InteractionKind::CheckIn, "Spring Forum").await;
        assert_eq!(live().await, ["event_follow_up@1"], "what is more urgent takes the place");
        did(&world, sam, InteractionKind::Form, "Demo request").await;
        assert_eq!(live().await, ["demo_request@1"]);
        did(&world, sam, InteractionKind::Other, "No-show").await;
        assert_eq!(live().await, ["demo_request@1"], "what is less urgent is refused");
        for key in ["content_download", "event_follow_up"] {
            assert_eq!(office.run_of(&world, key, sam).await.state, S::Exited(ExitReason::Superseded), "{key}");
        }
        let skips = TriggerSkipFilter { contact: Some(sam), ..Default::default() };
        let skips = world.app.store.trigger_skip_page(&skips, &Page::first(9)).await.unwrap().items;
        assert_eq!(skips.iter().map(|skip| skip.code.as_str()).collect::<Vec<_>>(), ["ENROLLMENT_EXCLUDED"]);
        pass(&world, TimeDelta::days(3)).await;
        let subjects = subjects(&world, "sam", false);
        assert!(subjects.iter().all(|subject| subject.to_lowercase().contains("demo")), "{subjects:?}");
    }
}
