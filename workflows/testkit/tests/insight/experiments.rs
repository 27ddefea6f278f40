//! Experiments.

use crate::help::{
    BROWSER, SHORT, clicks, did, emails, enroll, lead_of, person, publish, record, replies, rows, stamp,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::collections::BTreeMap;
use tandem_app::insight::{ReportCounts, ReportGroup};
use tandem_app::{AppError, ExperimentChange, ExperimentDecide, ExperimentRegister, ExperimentStart, LeadQualify};
use tandem_domain::access::{Role, Side};
use tandem_domain::decision::{Decision, Fact};
use tandem_domain::experiment::{
    self, Design, Experiment, ExperimentState, Metric, Proposal, Redesign, Variant, promoted,
};
use tandem_domain::id::SequenceId;
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sequence::enrollment::Enrollment;
use tandem_domain::sequence::steps::NAMES;
use tandem_testkit::on_both_databases;

on_both_databases! {
    async fn an_experiment_counts_each_subject_once_in_its_days_and_is_decided_by_a_person(world: World) {
        let sequence = publish(&world, SHORT).await;
        let (user, ops) = world.user("ops", Role::SalesOps, None).await;
        // The step of these runs splits, as the ledger tells it.
        let variants: Vec<Variant> = ["plain", "question"].map(|key| Variant { key: key.to_owned(), weight: 1 }).to_vec();
        let design = Design {
            hypothesis: "A question is answered more often".to_owned(), metric: Metric::Replied, baseline: 0.2,
            smallest_effect: 0.3, alpha: 0.05, power: 0.8, window_days: 7,
        };
        let proposal = Proposal {
            id: world.app.env.id(world.now()), sequence, step: "which".to_owned(), variants: Some(variants.clone()), control: None,
            design: design.clone(), by: user.id,
        };
        let keep = async |decision: Decision<Experiment>| {
            let tx = world.app.store.begin(None).await.unwrap();
            if decision.next.state != ExperimentState::Registered { tx.get::<Experiment>(decision.next.id).await.unwrap(); }
            tx.commit(&stamp(world.now()), None, decision).await.unwrap()
        };
        let registered = keep(experiment::register(proposal, &[], world.now()).unwrap()).await;
        let refused = world.app.run(&ops, ExperimentStart { experiment: registered.id }).await.unwrap_err();
        assert_eq!(refused.code(), "EXPERIMENT_SPLIT_CHANGED", "the newest version has no such split");
        let changed = Redesign { window_days: Some(5), ..Redesign::default() };
        let change = ExperimentChange { experiment: registered.id, control: None, design: changed };
        let registered = world.app.run(&ops, change.clone()).await.unwrap();
        assert_eq!(registered.design, Design { window_days: 5, ..design }, "what is left out stays");
        assert_eq!(registered.variants, variants, "the newest version has no split to take over");

        let choose = async |run: &Enrollment, variant: &str| {
            let taken = json!([{"step": "which", "kind": "split", "visit": 9, "variant": variant}]);
            record(&world, Fact::ledger("enrollment.advanced", run.id).with("taken", taken)).await;
        };
        // Whoever was split before the start does not count.
        let early = enroll(&world, sequence, &person(&world, "Early", json!({})).await).await;
        choose(&early, "plain").await;
        world.pass(TimeDelta::hours(1)).await;
        let running = keep(experiment::start(registered, Some(&variants), world.now()).unwrap()).await;
        let late = world.app.run(&ops, change).await.unwrap_err();
        assert_eq!(late.code(), "EXPERIMENT_STARTED");

        let mut runs = Vec::new();
        for n in 0..40 {
            let contact = person(&world, &format!("P{n}"), json!({})).await;
            let run = enroll(&world, sequence, &contact).await;
            let variant = if n % 2 == 0 { "plain" } else { "question" };
            choose(&run, variant).await;
            // The same again, as where a loop comes by.
            choose(&run, variant).await;
            runs.push((contact, run));
        }
        let tallies = async |at: DateTime<Utc>| {
            let tallies = world.app.store.experiment_tallies(&running, at).await.unwrap();
            tallies.into_iter().map(|one| (one.variant, one.assigned, one.counted, one.converted)).collect::<Vec<_>>()
        };
        assert_eq!(tallies(world.now()).await, [("plain".to_owned(), 20, 0, 0), ("question".to_owned(), 20, 0, 0)]);
        world.pass(TimeDelta::days(2)).await;
        for (contact, _) in runs.iter().skip(1).step_by(2).take(18) {
            did(&world, contact.id, InteractionKind::EmailReply).await;
        }
        for (contact, _) in runs.iter().step_by(2).take(3) {
            did(&world, contact.id, InteractionKind::EmailReply).await;
            // And again: a subject converts once.
            did(&world, contact.id, InteractionKind::EmailReply).await;
        }
        world.pass(TimeDelta::days(4)).await;
        // After its days, an answer comes too late.
        did(&world, runs[38].0.id, InteractionKind::EmailReply).await;
        assert_eq!(tallies(world.now()).await, [("plain".to_owned(), 20, 20, 3), ("question".to_owned(), 20, 20, 18)]);
        let assessment = world.app.experiment_assessment(&running).await.unwrap();
        assert_eq!((assessment.leader.as_deref(), assessment.ratio_mismatch), (Some("question"), false));

        let decide = |winner: &str| ExperimentDecide {
            experiment: running.id, winner: Some(winner.to_owned()), why: "Six times the answers".to_owned(),
        };
        assert_eq!(world.app.run(&world.system(), decide("question")).await.unwrap_err().code(), "FORBIDDEN", "a person decides");
        let (_, marketer) = world.user("mia", Role::Marketing, Some(Side::Marketing)).await;
        assert_eq!(world.app.run(&marketer, decide("question")).await.unwrap_err().code(), "FORBIDDEN");
        assert_eq!(world.app.run(&ops, decide("none")).await.unwrap_err().code(), "EXPERIMENT_VARIANT_UNKNOWN");
        let decided = world.app.run(&ops, decide("question")).await.unwrap();
        assert_eq!((decided.winner.as_deref(), decided.decided_by), (Some("question"), Some(user.id)));
        assert_eq!(promoted([&decided], "which"), Some("question"));
        assert_eq!(world.app.run(&ops, decide("plain")).await.unwrap_err().code(), "EXPERIMENT_NOT_ALLOWED");
        let ledger = world.ledger().await;
        let entry = &ledger.iter().find(|link| link.entry.kind == "experiment.decided").unwrap().entry;
        assert_eq!((entry.actor_id, &entry.detail["why"]), (Some(user.id.into()), &json!("Six times the answers")));
        assert_eq!(entry.detail["result"]["variants"][1]["tally"]["converted"], 18);
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
        // Whoever is split from now on is given the winner, and belongs to no experiment.
        let after = enroll(&world, sequence, &person(&world, "After", json!({})).await).await;
        choose(&after, "question").await;
        let told = world.app.store.experiment_tallies(&decided, world.now()).await.unwrap();
        assert_eq!(told.iter().map(|one| one.assigned).sum::<u64>(), 40);
        let variants = rows(&world, sequence, ReportGroup::Variant).await;
        assert_eq!((variants["which: plain"].entered, variants["which: question"].entered), (21, 21));
    }

    async fn each_metric_is_counted_from_its_own_facts(world: World) {
        let sequence = publish(&world, SHORT).await;
        let sam = person(&world, "Sam", json!({})).await;
        let started = world.now();
        world.pass(TimeDelta::minutes(1)).await;
        let run = enroll(&world, sequence, &sam).await;
        let taken = json!([{"step": "which", "kind": "split", "visit": 9, "variant": "a"}]);
        record(&world, Fact::ledger("enrollment.advanced", run.id).with("taken", taken)).await;
        let experiment = |metric: Metric| Experiment {
            id: world.app.env.id(started), sequence, step: "which".to_owned(),
            variants: ["a", "b"].map(|key| Variant { key: key.to_owned(), weight: 1 }).to_vec(),
            design: Design { hypothesis: "x".to_owned(), metric, baseline: 0.1, smallest_effect: 0.1, alpha: 0.05, power: 0.8, window_days: 1 },
            state: ExperimentState::Running, winner: None, why: None, registered_by: uuid::Uuid::nil().into(), registered_at: started,
            started_at: Some(started), decided_by: None, decided_at: None,
        };
        let converted = async || {
            let mut found = Vec::new();
            for metric in Metric::ALL {
                let later = world.now() + TimeDelta::days(2);
                let [tally] = world.app.store.experiment_tallies(&experiment(*metric), later).await.unwrap().try_into().unwrap();
                if tally.converted == 1 { found.push(*metric); }
            }
            found
        };
        assert_eq!(converted().await, []);
        let note = emails(&world, &run).await.remove(0);
        world.pass(TimeDelta::minutes(2)).await;
        clicks(&world, &note, "curl/8.5.0").await;
        assert_eq!(converted().await, []);
        clicks(&world, &note, BROWSER).await;
        assert_eq!(converted().await, [Metric::Clicked]);
        did(&world, sam.id, InteractionKind::Meeting).await;
        assert_eq!(converted().await, [Metric::Meeting, Metric::Clicked]);
        let lead = lead_of(&world, sam.id).await;
        world.app.run(&world.system(), LeadQualify { lead: lead.id, grade: None, priority: None }).await.unwrap();
        record(&world, Fact::ledger("lead.won", lead.id).lead(lead.id)).await;
        assert_eq!(converted().await, [Metric::Meeting, Metric::Clicked, Metric::Qualified, Metric::Won]);
        // A colleague answers instead.
        replies(&world, "boss@acme.example", &note).await;
        assert_eq!(converted().await, Metric::ALL);
    }

    async fn an_experiment_is_made_on_a_step_that_splits_and_on_no_other(world: World) {
        let sequence = publish(&world, SHORT).await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let design = Design {
            hypothesis: "It helps".to_owned(), metric: Metric::Replied, baseline: 0.1, smallest_effect: 0.05, alpha: 0.05, power: 0.8,
            window_days: 14,
        };
        let register = |sequence: SequenceId, step: &str| ExperimentRegister {
            sequence, step: step.to_owned(), control: Some("b".to_owned()), design: design.clone(),
        };
        for step in ["note", "nowhere"] {
            let refused = world.app.run(&ops, register(sequence, step)).await.unwrap_err();
            assert_eq!(refused.code(), "EXPERIMENT_NO_SPLIT");
        }
        if !NAMES.contains(&"split") {
            return;
        }
        let source = "{key: tried, name: Tried, subject: contact, steps: [\
            {id: which, kind: split, variants: [{key: a, weight: 1, then: one}, {key: b, weight: 1, then: two}]}, \
            {id: one, kind: wait, duration: 1d, next: done}, {id: two, kind: wait, duration: 1d}, {id: done, kind: end}]}";
        let sequence = publish(&world, source).await;
        let made = world.app.run(&ops, register(sequence, "which")).await.unwrap();
        assert_eq!(made.variants.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        let started = world.app.run(&ops, ExperimentStart { experiment: made.id }).await.unwrap();
        for n in 0..12 {
            enroll(&world, sequence, &person(&world, &format!("P{n}"), json!({})).await).await;
        }
        let tallies = world.app.store.experiment_tallies(&started, world.now()).await.unwrap();
        assert_eq!(tallies.iter().map(|one| one.assigned).sum::<u64>(), 12, "{tallies:?}");
        if world.app.run(&ops, register(sequence, "which")).await.is_ok() {
            panic!("a second experiment on the same step was registered");
        }
        world.pass(TimeDelta::hours(1)).await;
        // Once one of them is promoted, everybody new is given it.
        let decide = ExperimentDecide { experiment: made.id, winner: Some("b".to_owned()), why: "It is shorter".to_owned() };
        let decided = world.app.run(&ops, decide).await.unwrap();
        let before = rows(&world, sequence, ReportGroup::Variant).await;
        for n in 20..32 {
            enroll(&world, sequence, &person(&world, &format!("P{n}"), json!({})).await).await;
        }
        let after = rows(&world, sequence, ReportGroup::Variant).await;
        assert_eq!(after["which: b"].entered, before["which: b"].entered + 12);
        assert_eq!(after["which: a"].entered, before["which: a"].entered);
        assert_eq!(world.app.store.experiment_tallies(&decided, world.now()).await.unwrap(), tallies);

        // Other weights change nothing of that; other variants were never compared, and are split as the version says.
        let given = async |from: u32, variants: &str| {
            publish(&world, &source.replace("{key: a, weight: 1, then: one}, {key: b, weight: 1, then: two}", variants)).await;
            let before = rows(&world, sequence, ReportGroup::Variant).await;
            for n in from..from + 12 {
                enroll(&world, sequence, &person(&world, &format!("P{n}"), json!({})).await).await;
            }
            let after = rows(&world, sequence, ReportGroup::Variant).await;
            let entered = |rows: &BTreeMap<String, ReportCounts>, key: &str| rows.get(key).map_or(0, |counts| counts.entered);
            ["which: a", "which: b", "which: c"].map(|key| entered(&after, key) - entered(&before, key))
        };
        assert_eq!(given(40, "{key: a, weight: 9, then: one}, {key: b, weight: 1, then: two}").await, [0, 12, 0]);
        let [a, b, c] = given(60, "{key: b, weight: 1, then: two}, {key: c, weight: 1000, then: one}").await;
        assert!(a == 0 && b + c == 12 && c >= 10, "{a} {b} {c}");
    }

    async fn an_experiment_that_is_not_started_follows_the_split_of_the_newest_version(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let source = |variants: &str| format!(
            "{{key: tried, name: Tried, subject: contact, steps: [{{id: which, kind: split, variants: [{variants}]}}, \
             {{id: one, kind: wait, duration: 1d, next: done}}, {{id: two, kind: wait, duration: 1d}}, {{id: done, kind: end}}]}}"
        );
        let sequence = publish(&world, &source("{key: a, weight: 1, then: one}, {key: b, weight: 1, then: two}")).await;
        let design = Design {
            hypothesis: "It helps".to_owned(), metric: Metric::Replied, baseline: 0.1, smallest_effect: 0.05, alpha: 0.01, power: 0.9,
            window_days: 3,
        };
        let register = ExperimentRegister { sequence, step: "which".to_owned(), control: None, design: design.clone() };
        let made = world.app.run(&ops, register.clone()).await.unwrap();
        publish(&world, &source("{key: b, weight: 2, then: two}, {key: c, weight: 5, then: one}")).await;
        let refused = world.app.run(&ops, ExperimentStart { experiment: made.id }).await.unwrap_err();
        assert_eq!(refused.code(), "EXPERIMENT_SPLIT_CHANGED");
        assert!(refused.to_string().contains("change the experiment"), "{refused}");
        let refused = world.app.run(&ops, register.clone()).await.unwrap_err();
        assert_eq!(refused.code(), "EXPERIMENT_EXISTS");
        assert!(refused.to_string().contains("is REGISTERED; change it"), "{refused}");

        // The control is gone, so that another must be named.
        let change = |control: Option<&str>, design: Redesign| ExperimentChange {
            experiment: made.id, control: control.map(str::to_owned), design,
        };
        let Err(AppError::Refused { code, field, .. }) = world.app.run(&ops, change(None, Redesign::default())).await else {
            panic!("a control that the newest version does not have was kept");
        };
        assert_eq!((code, field.as_deref()), ("EXPERIMENT_VARIANT_UNKNOWN", Some("control")));
        let hypothesis = "It is shorter".to_owned();
        let redesign = Redesign { hypothesis: Some(hypothesis.clone()), ..Redesign::default() };
        let changed = world.app.run(&ops, change(Some("c"), redesign)).await.unwrap();
        let keys = |one: &Experiment| one.variants.iter().map(|one| (one.key.clone(), one.weight)).collect::<Vec<_>>();
        assert_eq!(keys(&changed), [("c".to_owned(), 5), ("b".to_owned(), 2)]);
        assert_eq!(changed.design, Design { hypothesis, ..design }, "what is left out stays");
        let ledger = world.ledger().await;
        let entry = &ledger.iter().find(|link| link.entry.kind == "experiment.changed").unwrap().entry;
        assert_eq!((&entry.detail["variants_before"][0]["key"], &entry.detail["variants"][0]["key"]), (&json!("a"), &json!("c")));

        // Other weights: the control stays.
        publish(&world, &source("{key: b, weight: 1, then: two}, {key: c, weight: 1, then: one}")).await;
        let changed = world.app.run(&ops, change(None, Redesign::default())).await.unwrap();
        assert_eq!(keys(&changed), [("c".to_owned(), 1), ("b".to_owned(), 1)]);
        let started = world.app.run(&ops, ExperimentStart { experiment: made.id }).await.unwrap();
        assert_eq!(started.state, ExperimentState::Running);
        let refused = world.app.run(&ops, register).await.unwrap_err();
        assert!(refused.to_string().contains("is RUNNING; decide it first"), "{refused}");
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }
}
