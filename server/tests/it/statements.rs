//! The heaviest queries send as many statements for many rows as for few: what a row refers to is loaded in batches.

use crate::server::{Server, post};
use axum::http::header;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_app::target_list::{Change, Seen};
use tandem_app::{
    AccountUpsert, Actor, Call, ChangeRequestApprove, ChangeRequestPropose, ChecklistAnswer, Command, EnrollmentCreate,
    EventsReceive, HandoffAccept, InboundDeliveryReceive, InboundWebhookSave, InteractionRecord, LeadQualify,
    LeadReceive, OpportunityDispatch, OutboundWebhookSave, Parcel, PoolSave, SequencePublish, TargetListCreate,
    TaxonomyLibraryInstall, WorkItemAnswer, WorkItemClaim, WorkItemStart, WorkItemVerify, WorkingCalendarSave,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::calendar::{self, Day};
use tandem_domain::id::{
    AccountId, ContactId, EventBatchId, EventSourceId, HandoffId, InboundWebhookId, IngestedEventId, LeadId, ListId,
    PoolId, SequenceId, UserId, WorkItemId,
};
use tandem_domain::inbound::{self, ActionDraft, ActionKind, Raw, Scheme, signature::SecretUsed};
use tandem_domain::ingest::{Envelope, Moment, SourceDraft, Trust};
use tandem_domain::interaction::{self, InteractionKind};
use tandem_domain::lead::Lead;
use tandem_domain::outbound;
use tandem_domain::routing::{MemberDraft, PoolDraft};
use tandem_domain::target_list::{ChangeKind, ChangeReason, Evidence};
use tandem_domain::verification::{Finding, Verdict};
use tandem_testkit::World;
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The queries, each with one page of rows; `$ids` are those of leads.
const QUERIES: [&str; 17] = [
    "{ workQueue(states: [QUEUED, IN_PROGRESS], first: 60) { nodes {
        title lead { source owner { name } contact { email } } contact { email account { name } }
        account { name tier { code } } claim { holder { name } } answers { item by { name } } missing { key }
        enrollment { step sequence { key } version { number } } } } }",
    "{ myWork(first: 20) { nodes {
        title lead { source owner { name } contact { email } } contact { email account { name } }
        account { name tier { code } } claim { holder { name } } answers { item by { name } } missing { key } } } }",
    "{ accounts(first: 20) { nodes {
        name tier { code } industry { code } territory { code }
        contacts(first: 5) { nodes { email account { name } interactions(last: 2) { nodes { name source { key } } } } }
        interactions(last: 3) { nodes { name contact { email } account { name } source { key } } } } } }",
    "{ leads(first: 60) { nodes {
        source contact { email account { name } } account { name } owner { name } verifiedBy { name } soldBy { name }
        ownerEnrollment { step sequence { key } }
        workItems(first: 2) { nodes { title claim { holder { name } } outcome { by { name } } } } } } }",
    "{ opportunities(first: 40) { nodes {
        name lead { source contact { email } } account { name } contact { email } dispatchedBy { name } sales { name }
        handoff { state pool { key } }
        handoffs { state offeredTo { name } assignee { name } dispatchedBy { name } pool { key } lead { source }
            receipts { rule chosen { name } considered { user { name } } } } } } }",
    "{ handoffs(first: 40) { nodes {
        state account { name } opportunity { name } lead { source } offeredTo { name } assignee { name }
        receipts { rule chosen { name } }
        pool { key calendar { key } escalateTo { name } members { user { name } calendar { key } } } } } }",
    "{ pools(first: 20) { nodes {
        key calendar { key } escalateTo { name } members { user { name } calendar { key } } } } }",
    "{ listMemberships(first: 20) { nodes {
        state account { name } list { key } keys { marketing { by { name } } sales { by { name } } }
        changeRequest { kind proposer { name } approvals { marketing { by { name } } } } } } }",
    "{ changeRequests(first: 40) { nodes {
        kind account { name } list { key } membership { state } proposer { name }
        approvals { marketing { by { name } } sales { by { name } } } } } }",
    "{ targetAccountList(key: \"all\") { versions(first: 20) { nodes {
        number by { name } list { key } changes { kind account { name } }
        entries(first: 2) { nodes { tier account { name } } } } } } }",
    "{ enrollments(first: 20) { nodes {
        state sequence { key latestVersion { number } } version { number publishedBy { name } sequence { key } }
        contact { email } lead { source } account { name } } }
       emails(first: 20) { nodes { subject to { address } } } }",
    "{ ledger(filter: { kind: \"lead.\" }, first: 100) { nodes { seq kind subjectId actor { name } } } }",
    "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Lead {
        contact { email } account { name } owner { name } workItems(first: 1) { nodes { title } } } } }",
    // Beside these, `OutboundWebhook.pending` would be counted for each row.
    "{ outboundDeliveries(first: 20) { nodes { type state webhook { key } body } } }",
    "{ inboundDeliveries(first: 20) { nodes { state webhook { key actsAs { name } } headers body } } }",
    "{ receivedEmails(first: 20) { nodes { kind contact { email } email { subject } enrollments { state } } } }",
    "{ ingestedEvents(first: 40) { nodes { messageId state source { key actsAs { name } } } } }",
];

/// What every request asks beside what its rows refer to: for the token, its user, and the page.
const BESIDE: usize = 3;
/// How many rows of each kind there are at first, and then.
const FEW: usize = 2;
const MANY: usize = 12;
/// What a statement for each row would add, at least.
const ADDED: usize = MANY - FEW;

const SEQUENCE: &str = "
key: nurture
name: Nurture
subject: lead
steps:
  - {id: hello, kind: send_email, template: {subject: 'Hello', text: 'Good day'}}
  - {id: call, kind: create_task, title: 'Call back', due_in: 1d, priority: 70}
  - {id: pause, kind: wait, duration: 3d}
  - {id: done, kind: end}
";

/// Counts the statements that the thread sends, by the spans of SeaORM: each is one call of a connection or a
/// transaction. `BEGIN` and `COMMIT` have others.
#[derive(Clone, Default)]
struct Statements(Arc<AtomicUsize>);

impl Statements {
    const SPANS: [&str; 4] = ["execute_raw", "execute_unprepared", "query_one_raw", "query_all_raw"];

    fn sent(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S: Subscriber> Layer<S> for Statements {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if Self::SPANS.contains(&span.metadata().name()) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a query showed and sent.
struct Measured {
    rows: usize,
    statements: usize,
}

/// The length of the page that an answer has; of the pages beside each other, the longest.
fn rows(answer: &Value) -> usize {
    match answer {
        Value::Array(rows) => rows.len(),
        Value::Object(fields) => match fields.get("nodes") {
            Some(nodes) => rows(nodes),
            None => fields.values().map(rows).max().unwrap_or_default(),
        },
        _ => 0,
    }
}

/// Notes of each field whether any row has something in it.
fn note<'v>(value: &'v Value, filled: &mut BTreeMap<&'v str, bool>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| note(item, filled)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                *filled.entry(name.as_str()).or_default() |= !empty;
                note(value, filled);
            }
        }
        _ => {}
    }
}

/// A company's worth of everything, as often as it is asked for.
struct Scene {
    server: Server,
    token: String,
    /// The token's user as an SDR, and as an administrator.
    sdr: Call,
    admin: Call,
    ops: Call,
    marketer: Call,
    manager: (UserId, Call),
    list: ListId,
    sequence: SequenceId,
    source: EventSourceId,
    webhook: InboundWebhookId,
}

impl Scene {
    async fn over(world: World) -> Self {
        let server = Server::over(world);
        let (ada, issued) = server.token("ada", Role::Admin, None).await;
        let world = &server.world;
        let (_, ops) = world.user("otto", Role::SalesOps, None).await;
        let (_, marketer) = world.user("mira", Role::Marketing, Some(Side::Marketing)).await;
        let (manager, by_manager) = world.user("magda", Role::SalesManager, Some(Side::Sales)).await;
        let (machine, _) = world.user("machine", Role::Integration, None).await;
        let app = &world.app;
        app.run(&ops, TaxonomyLibraryInstall).await.unwrap();
        let create = TargetListCreate {
            key: "all".to_owned(),
            name: "All".to_owned(),
            description: String::new(),
            request_days: None,
            suspension_hours: None,
        };
        let list = app.run(&marketer, create).await.unwrap().id;
        let sequence = app.run(&ops, SequencePublish { source: SEQUENCE.to_owned() }).await.unwrap().0.id;
        let draft = SourceDraft {
            key: "site".to_owned(),
            name: "Site".to_owned(),
            trust: Trust::Server,
            acts_as: machine.id,
            user_system: "app".to_owned(),
            phone_region: None,
            rules: Vec::new(),
            active: true,
        };
        let (source, _) = app.save_event_source(&ops, draft).await.unwrap();
        let action = ActionDraft {
            kind: ActionKind::ContactUpsert,
            when: None,
            values: [("email".to_owned(), "payload.email".to_owned())].into(),
            optional: false,
        };
        let draft = inbound::Draft {
            key: "form".to_owned(),
            name: "Form".to_owned(),
            scheme: Scheme::StandardWebhooks,
            acts_as: machine.id,
            phone_region: None,
            delivery_id: None,
            filter: None,
            actions: vec![action],
            active: true,
        };
        let webhook = app.run(&ops, InboundWebhookSave { draft, secret: None }).await.unwrap().id;
        let draft = outbound::Draft {
            key: "crm".to_owned(),
            name: "CRM".to_owned(),
            url: "https://crm.example.com/hook".to_owned(),
            types: vec!["handoff.dispatched".to_owned()],
            filter: None,
            ordered: false,
            active: true,
        };
        app.run(&ops, OutboundWebhookSave { draft }).await.unwrap();
        let ada = |role| Call::new(Actor::user(ada.id, role, None), "test");
        Self {
            token: issued.secret.unwrap(),
            sdr: ada(Role::Sdr),
            admin: ada(Role::Admin),
            ops,
            marketer,
            manager: (manager.id, by_manager),
            list,
            sequence,
            source: source.id,
            webhook,
            server,
        }
    }

    async fn run<C: Command>(&self, call: &Call, command: C) -> C::Output {
        self.server.world.app.run(call, command).await.unwrap()
    }

    async fn grow(&self, numbers: Range<usize>) {
        for n in numbers {
            self.add(n).await;
        }
    }

    /// A company with five people and a lead of each, on the list, with a seller and a pool of its own.
    async fn add(&self, n: usize) {
        let company = json!({
            "name": format!("Acme {n}"), "domains": [format!("acme{n}.example")],
            "tier": "T1", "industry": "ENERGY", "territory": "US_EAST",
        });
        let account = AccountUpsert { account: serde_json::from_value(company).unwrap() };
        let account = self.run(&self.ops, account).await.record.id;
        self.agree(account).await;

        let queued = self.lead("queued", n).await.id;
        self.run(&self.ops, LeadQualify { lead: queued, grade: None, priority: None }).await;
        let held = self.lead("held", n).await;
        self.hold(held.id, 1).await;
        let lead = Some(self.lead("nurtured", n).await.id);
        let enroll = EnrollmentCreate { sequence: self.sequence, contact: None, lead, vars: Map::new() };
        self.run(&self.ops, enroll).await;
        let (pool, by_seller) = self.pool(n).await;
        self.dispatch("offered", n, pool).await;
        let accepted = self.dispatch("accepted", n, pool).await;
        self.hear(n, held.contact).await;
        self.server.world.run_due_jobs().await;

        let world = &self.server.world;
        let sent = world.mailer.sent().pop().unwrap().message_id;
        world.inbox.put(&format!(
            "From: nurtured@acme{n}.example\nSubject: Re: Hello\nMessage-ID: <r{n}@acme{n}.example>\n\
             Auto-Submitted: auto-replied\nIn-Reply-To: <{sent}>\n\nI am on vacation.\n"
        ));
        world.app.poll_inbox(&world.system()).await.unwrap();
        world.run_due_jobs().await;
        self.run(&by_seller, HandoffAccept { handoff: accepted }).await;
    }

    /// The company is put on the list, and its tier is in question.
    async fn agree(&self, account: AccountId) {
        let propose = |kind, tier: &str| {
            let evidence = vec![Evidence { note: "It grew by half".to_owned(), url: None }];
            let (tier, reasons) = (Some(tier.to_owned()), vec![ChangeReason::IcpFit]);
            let changes = vec![Change { account, kind, tier, reasons, evidence }];
            ChangeRequestPropose { list: self.list, changes }
        };
        let asked = self.run(&self.marketer, propose(ChangeKind::Add, "T1")).await.requests;
        let seen = asked.iter().map(|request| Seen { request: request.id, revision: request.revision });
        self.run(&self.manager.1, ChangeRequestApprove { requests: seen.collect() }).await;
        self.run(&self.marketer, propose(ChangeKind::Retier, "T2")).await;
    }

    /// A new person of the company, and the lead.
    async fn lead(&self, name: &str, n: usize) -> Lead {
        let world = &self.server.world;
        let receive = LeadReceive {
            contact: world.contact(&format!("{name}@acme{n}.example")).await.id,
            account: None,
            source: "Webinar".to_owned(),
            external_id: Some(format!("{name}-{n}")),
            grade: Some("A1".parse().unwrap()),
            priority: None,
            tags: [].into(),
            custom: [].into(),
        };
        self.run(&world.system(), receive).await
    }

    /// The SDR verifies the lead, and has so many answers; gives the item and the token.
    async fn hold(&self, lead: LeadId, answers: usize) -> (WorkItemId, u64) {
        let (item, _) = self.run(&self.ops, LeadQualify { lead, grade: None, priority: None }).await;
        let (item, _) = self.run(&self.sdr, WorkItemClaim { item: item.id }).await;
        let (item, token) = (item.id, item.fence);
        self.run(&self.sdr, WorkItemStart { item, token }).await;
        let finding = Finding { verdict: Verdict::Confirmed, value: None, evidence: None };
        let checklist = self.server.world.app.env.queue.checklist.items.iter().take(answers);
        let answers = checklist.map(|entry| ChecklistAnswer { item: entry.key.clone(), finding: finding.clone() });
        let answers = answers.collect();
        self.run(&self.sdr, WorkItemAnswer { item, token, answers }).await;
        (item, token)
    }

    async fn pool(&self, n: usize) -> (PoolId, Call) {
        let (seller, by_seller) = self.server.world.user(&format!("seller{n}"), Role::Sales, Some(Side::Sales)).await;
        let draft = calendar::Draft {
            key: format!("office-{n}"),
            name: "Office".to_owned(),
            zone: chrono_tz::UTC,
            week: Day::ALL[..5].iter().map(|day| (*day, vec!["09:00-17:00".parse().unwrap()])).collect(),
            holidays: Vec::new(),
            make_up: Vec::new(),
        };
        let calendar = self.run(&self.ops, WorkingCalendarSave { draft }).await.id;
        let draft = PoolDraft {
            key: format!("pool-{n}"),
            name: "Pool".to_owned(),
            members: vec![MemberDraft { user: seller.id, weight: 1, capacity: 9, calendar: None }],
            calendar,
            accept_within: 60,
            work_within: 240,
            progress_within: 960,
            max_attempts: 2,
            escalate_to: Some(self.manager.0),
            cooldown_days: 30,
        };
        (self.run(&self.ops, PoolSave { draft }).await.id, by_seller)
    }

    async fn dispatch(&self, name: &str, n: usize, pool: PoolId) -> HandoffId {
        let lead = self.lead(name, n).await.id;
        let (item, token) = self.hold(lead, usize::MAX).await;
        self.run(&self.sdr, WorkItemVerify { item, token, note: None }).await;
        let dispatch = OpportunityDispatch { lead, name: None, amount: None, pool: Some(pool) };
        self.run(&self.admin, dispatch).await.handoff.id
    }

    /// What two people of the company did is recorded and told, and a form comes in.
    async fn hear(&self, n: usize, contact: ContactId) {
        let world = &self.server.world;
        let draft = interaction::Draft {
            kind: InteractionKind::Meeting,
            name: "First call".to_owned(),
            occurred_at: None,
            seconds: None,
            url: None,
            properties: Map::new(),
        };
        self.run(&self.ops, InteractionRecord { contact, draft, known_by: None }).await;

        let (now, user) = (world.now(), format!("u{n}"));
        let batch: EventBatchId = world.app.env.id(now);
        let envelope = Envelope { kind: None, sent_at: Moment::Untold, received_at: now };
        let traits = json!({ "email": format!("queued@acme{n}.example") });
        let told = [
            json!({ "type": "identify", "messageId": format!("i{n}"), "userId": user, "traits": traits }),
            json!({ "type": "track", "messageId": format!("t{n}"), "userId": user, "event": "Looked" }),
        ];
        let read = |event: &Value| {
            let id: IngestedEventId = world.app.env.id(now);
            envelope.read(self.source, batch, id, event)
        };
        let parcel = Parcel { source: self.source, batch, events: told.iter().map(read).collect() };
        self.run(&world.system(), EventsReceive { parcels: vec![parcel] }).await;

        let verdict =
            inbound::Verdict { scheme: Scheme::StandardWebhooks, secret: SecretUsed::Current, signed_at: None };
        let body = json!({ "email": format!("held@acme{n}.example") }).to_string();
        let raw = Raw { headers: BTreeMap::new(), body };
        let key = Some(format!("form-{n}"));
        self.run(&world.system(), InboundDeliveryReceive { webhook: self.webhook, key, id_fault: None, verdict, raw })
            .await;
    }

    async fn ask(&self, query: &str, variables: &Value) -> Value {
        let request = post().header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answer = self.server.send(request, body).await.json();
        assert_eq!(answer["errors"], Value::Null, "{query}");
        answer["data"].clone()
    }

    /// Asks every query and counts. Where two loads of one level end more than a millisecond apart, what both refer to
    /// is loaded in two batches; so the least of some tries counts.
    async fn measure(&self, statements: &Statements) -> Vec<Measured> {
        let received = "{ ledger(filter: { kind: \"lead.received\" }, first: 60) { nodes { subjectId } } }";
        let received = self.ask(received, &json!({})).await;
        let leads: Vec<&Value> =
            received["ledger"]["nodes"].as_array().unwrap().iter().map(|entry| &entry["subjectId"]).collect();
        let mut measured = Vec::new();
        for query in QUERIES {
            let variables = if query.contains("$ids") { json!({ "ids": leads }) } else { json!({}) };
            let mut of_query = Measured { rows: 0, statements: usize::MAX };
            for _ in 0..3 {
                let before = statements.sent();
                let answer = self.ask(query, &variables).await;
                of_query.statements = of_query.statements.min(statements.sent() - before);
                of_query.rows = rows(&answer);
                let mut filled = BTreeMap::new();
                note(&answer, &mut filled);
                filled.retain(|_, filled| !*filled);
                assert!(filled.is_empty(), "no row has anything in {:?}: {query}", filled.keys());
            }
            measured.push(of_query);
        }
        measured
    }
}

async fn law(world: World) {
    let scene = Scene::over(world).await;
    scene.grow(0..FEW).await;
    // `tracing` asks a subscriber about a span when the span is met first, which must not be in another test's thread
    // while this one counts: so every span is met before.
    scene.measure(&Statements::default()).await;
    let statements = Statements::default();
    let of_sea_orm = Targets::new().with_target("sea_orm::database", LevelFilter::TRACE);
    let counting = tracing_subscriber::registry().with(statements.clone().with_filter(of_sea_orm));
    let _counting = tracing::subscriber::set_default(counting);
    let few = scene.measure(&statements).await;
    scene.grow(FEW..MANY).await;
    let many = scene.measure(&statements).await;
    for (query, (few, many)) in QUERIES.iter().zip(few.iter().zip(&many)) {
        assert!(many.rows >= few.rows + ADDED, "{} rows, then {}: {query}", few.rows, many.rows);
        assert!(few.statements > BESIDE, "{} statements, so nothing was loaded: {query}", few.statements);
        // Half of what a statement a row would add: more than batches that came apart on a busy machine.
        let most = few.statements + ADDED / 2;
        assert!(many.statements < most, "{} statements, then {}: {query}", few.statements, many.statements);
    }
}

// On one thread each, which is the one that is counted on: also what is spawned runs there.

#[tokio::test]
async fn rows_add_no_statements_on_sqlite() {
    law(World::sqlite().await).await;
}

#[tokio::test]
async fn rows_add_no_statements_on_postgres() {
    if let Some(world) = World::postgres().await {
        law(world).await;
    }
}
