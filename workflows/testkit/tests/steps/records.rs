//! Steps that change records: tags, fields, a consent; and what every kind has in common.

use crate::scene::*;

/// A step of every kind that has an effect inside Tandem, and the fact of which there must be one.
const KINDS: [(&str, &str, &str); 9] = [
    ("tag", "of: contact, add: [once]", "contact.changed"),
    ("set_field", "field: account.round, value: second", "account.changed"),
    ("consent", "state: granted, source: 'double opt-in'", "contact.consent_set"),
    ("propose", "list: tier-one, tier: T1, reasons: [INTENT_SURGE]", "list.change_proposed"),
    ("hand_to_sdr", "team: Inbound, priority: 80", "lead.qualified"),
    ("start_sequence", "sequence: other", "enrollment.started"),
    ("stop_sequence", "sequence: other", "enrollment.ended"),
    ("create_task", "title: Call, due_in: 1d, wait: true", "work_item.queued"),
    ("create_task", "title: Write, due_in: 1d", "work_item.queued"),
];

on_both_databases! {
    async fn every_kind_of_step_that_is_repeated_happens_once(world: World) {
        let call = furnish(&world).await;
        for (at, (kind, settings, fact)) in KINDS.into_iter().enumerate() {
            let source = steps(&format!("once_{at}"), &format!("- {{id: step, kind: {kind}, {settings}}}"));
            let sequence = publish_as(&world, &call, &source).await.unwrap();
            let (person, _) = colleague(&world, &format!("once{at}")).await;
            if kind == "stop_sequence" {
                let other = world.app.store.sequence_by_key("other").await.unwrap().unwrap();
                enroll(&world, &other, &person, None).await;
            }
            let enrollment = enroll(&world, &sequence, &person, None).await;
            let before = entries(&world, fact).await.len();
            let step = EnrollmentAdvance { enrollment: enrollment.id, visit: 0 };
            // Undone before its commit: nothing is left of it, and the next try does it.
            let mut batch = world.app.batch().await.unwrap();
            batch.run(&world.system(), &step).await.unwrap();
            batch.undo().await.unwrap();
            assert_eq!(entries(&world, fact).await.len(), before, "{kind}: undone");
            assert_eq!(run(&world, enrollment.id).await.visit, 0, "{kind}");
            let racers = (0..4).map(|_| {
                let (app, call, step) = (world.app.clone(), world.system(), step.clone());
                tokio::spawn(async move { app.run(&call, step).await })
            });
            let mut done = 0;
            for racer in racers.collect::<Vec<_>>() {
                match racer.await.unwrap() {
                    Ok(_) => done += 1,
                    Err(error) => assert_eq!(error.code(), "ENROLLMENT_STALE", "{kind}"),
                }
            }
            assert_eq!(done, 1, "{kind}");
            // The job that was planned for the same visit finds nothing to do.
            world.run_due_jobs().await;
            let expected = if fact == "enrollment.ended" { 2 } else { 1 };
            let found = entries(&world, fact).await.len() - before;
            assert_eq!(found, expected, "{kind}: {fact}");
        }
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn tags_are_those_of_the_contact_the_lead_or_the_account(world: World) {
        let sequence = publish(&world, &steps("tags", "
            - {id: one, kind: tag, add: [VIP, 'Key Person'], remove: [old]}
            - {id: two, kind: tag, of: lead, add: [hot]}
            - {id: three, kind: tag, of: account, add: [abm]}
            - {id: again, kind: tag, of: account, add: [abm], remove: [gone]}".trim_start())).await;
        let (person, account) = colleague(&world, "acme").await;
        let tagged = tandem_app::ContactTag { id: person.id, add: vec!["old".to_owned()], remove: Vec::new() };
        world.app.run(&world.system(), tagged).await.unwrap();
        let lead_id = lead_of(&world, &person).await.id;
        let enrollment = enroll(&world, &sequence, &person, Some(lead_id)).await;
        world.run_due_jobs().await;
        assert_eq!(tags(&world, person.id).await, ["key-person", "vip"]);
        assert!(lead(&world, lead_id).await.tags.contains("hot"));
        let account: Account = world.app.store.find(account.id).await.unwrap().unwrap();
        assert_eq!(account.tags.into_iter().collect::<Vec<_>>(), ["abm"]);
        assert_eq!(came_of(&world, enrollment.id).await, [json!({"unchanged": true})]);
        assert_eq!(entries(&world, "lead.changed").await[0].detail["fields"], json!(["tags"]));
        assert_eq!(run(&world, enrollment.id).await.state, EnrollmentState::Finished(FinishReason::Completed));
        // Somebody whose company is not known goes on, and the record says why nothing was changed.
        let nobody = world.contact("nobody@example.com").await;
        let lead_id = lead_of(&world, &nobody).await.id;
        let other = enroll(&world, &sequence, &nobody, Some(lead_id)).await;
        world.run_due_jobs().await;
        let refused: Vec<Value> = came_of(&world, other.id).await.iter().map(|came| came["refused"].clone()).collect();
        assert_eq!(refused, ["ENROLLMENT_ACCOUNT_MISSING"; 2]);
        assert_eq!(run(&world, other.id).await.state, EnrollmentState::Finished(FinishReason::Completed));
        // One without a lead cannot take a step that changes it.
        let (kim, _) = colleague(&world, "kim").await;
        let third = enroll(&world, &sequence, &kim, None).await;
        world.run_due_jobs().await;
        let third = run(&world, third.id).await;
        assert_eq!((third.state, third.failure.unwrap().code.as_str()), (EnrollmentState::Failed, "ENROLLMENT_LEAD_MISSING"));
    }

    async fn fields_of_the_account_and_the_priority_of_the_lead_are_set(world: World) {
        field(&world, Entity::Account, "round").await;
        let sequence = publish(&world, &steps("fields", "
            - {id: one, kind: set_field, field: account.round, value: 'of {{ contact.name }}'}
            - {id: two, kind: set_field, field: lead.priority, expression: 'lead.priority + 25'}".trim_start())).await;
        let (person, account) = colleague(&world, "acme").await;
        let received = lead_of(&world, &person).await;
        world.app.run(&world.system(), LeadQualify { lead: received.id, grade: None, priority: None }).await.unwrap();
        enroll(&world, &sequence, &person, Some(received.id)).await;
        world.run_due_jobs().await;
        let account: Account = world.app.store.find(account.id).await.unwrap().unwrap();
        assert_eq!(account.custom.get("round"), Some(&json!("of acme Sample")));
        assert_eq!(lead(&world, received.id).await.priority, 75);
        let [item] = items(&world, ItemKind::VerifyLead).await.try_into().unwrap();
        assert_eq!(item.priority, 75, "the item takes its new place in the queue");
        let far = "- {id: one, kind: set_field, field: lead.priority, expression: 'lead.priority * 2'}";
        let sequence = publish(&world, &steps("too_far", far)).await;
        let enrollment = enroll(&world, &sequence, &person, Some(received.id)).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, enrollment.id).await.failure.unwrap().code, "LEAD_PRIORITY_OUT_OF_RANGE");
        assert_eq!(lead(&world, received.id).await.priority, 75);
    }

    async fn a_consent_is_recorded_with_its_source_and_ends_the_run_when_it_is_withdrawn(world: World) {
        let yes = "- {id: opted_in, kind: consent, state: granted, source: 'opt-in of {{ contact.email }}'}";
        let sequence = publish(&world, &steps("opt_in", yes)).await;
        let (person, _) = colleague(&world, "acme").await;
        enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let consent = contact(&world, person.id).await.consent;
        assert_eq!((consent.state, consent.at), (ConsentState::Granted, world.now()));
        assert_eq!(consent.source.as_deref(), Some("opt-in of person@acme.example"));
        let no = "- {id: opted_out, kind: consent, state: withdrawn, source: form}\n- {id: never, kind: tag, add: [never]}";
        let sequence = publish(&world, &steps("opt_out", no)).await;
        let enrollment = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        assert_eq!(contact(&world, person.id).await.consent.state, ConsentState::Withdrawn);
        assert_eq!(run(&world, enrollment.id).await.state, EnrollmentState::OptedOut);
        assert!(tags(&world, person.id).await.is_empty(), "nothing after it");
    }
}
