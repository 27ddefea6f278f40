//! Steps that hand over: to a target list, to the SDRs, to another sequence; and what a definition names.

use crate::scene::*;

on_both_databases! {
    async fn an_account_is_proposed_in_the_name_of_who_published_and_no_key_is_turned(world: World) {
        furnish(&world).await;
        // On a side, whose key it could turn by hand.
        let (pia, _) = world.user("pia", Role::SalesManager, Some(Side::Sales)).await;
        let ops = world.system().by(Actor::user(pia.id, Role::SalesOps, Some(Side::Sales)));
        let step = "- {id: put, kind: propose, list: tier-one, tier: T1, reasons: [INTENT_SURGE, ICP_FIT], note: 'Asked by {{ contact.name }}'}";
        let sequence = publish_as(&world, &ops, &steps("surge", step)).await.unwrap();
        let (person, account) = colleague(&world, "acme").await;
        let first = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let list = world.app.store.list_by_key("tier-one").await.unwrap().unwrap();
        let filter = RequestFilter { list: Some(list.id), ..Default::default() };
        let found = || async { world.app.store.change_request_page(&filter, &Page::first(9)).await.unwrap().items };
        let [request]: [ChangeRequest; 1] = found().await.try_into().unwrap();
        assert_eq!((request.account, request.proposer, request.side), (account.id, pia.id, None));
        assert_eq!((request.state, request.approvals.none()), (RequestState::Proposed, true), "two people agree on a list");
        assert_eq!(request.evidence[0].note, "Asked by acme Sample");
        assert_eq!(came_of(&world, first.id).await, [json!({"requests": [request.id]})]);
        let [proposed] = entries(&world, "list.change_proposed").await.try_into().unwrap();
        assert_eq!(proposed.detail["enrollment"], json!(first.id));
        assert!(world.job_kinds().await.contains(&"expire_change_request".to_owned()));
        // Proposed already: the run goes on.
        let second = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, second.id).await.state, EnrollmentState::Finished(FinishReason::Completed));
        let [came] = came_of(&world, second.id).await.try_into().unwrap();
        assert_eq!(came["refused"], "LIST_REQUEST_OPEN", "{came}");
        assert_eq!(found().await.len(), 1);
    }

    async fn what_a_definition_names_must_be_there_when_it_is_published(world: World) {
        let source = "\
key: names
name: Names
subject: contact
steps:
  - {id: go, kind: start_sequence, sequence: welcom}
  - {id: stop, kind: stop_sequence, sequence: names}
  - {id: call, kind: create_task, title: Call, due_in: 1d, team: Inbond}
  - {id: hand, kind: hand_to_sdr, team: Inbound}
  - {id: put, kind: propose, list: tier-oen, tier: T1, reasons: [ICP_FIT]}
  - {id: by, kind: propose, list: tier-one, tier: T1, reasons: [ICP_FIT], proposer: nobody@example.com}
  - {id: done, kind: end}
";
        let ops = furnish(&world).await;
        publish(&world, &steps("welcome", "- {id: pause, kind: wait, duration: 1d}")).await;
        let refused = publish_as(&world, &ops, source).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_REFERENCE_UNKNOWN");
        let said = refused.to_string();
        for expected in [
            "line 5, column 46: steps[0].sequence: there is no sequence `welcom`; did you mean `welcome`?",
            "line 7, column 66: steps[2].team: there is no team `Inbond`; did you mean `Inbound`?",
            "line 9, column 36: steps[4].list: there is no target list `tier-oen`; did you mean `tier-one`?",
            "steps[5].proposer: there is no active user who may propose for lists `nobody@example.com`",
        ] {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
        assert!(!said.contains("`names`") && !said.contains("`Inbound`;"), "what is there is no problem: {said}");
        // Who is nobody in particular has no name to propose in.
        let nameless = steps("nameless", "- {id: put, kind: propose, list: tier-one, tier: T1, reasons: [ICP_FIT]}");
        let refused = publish_as(&world, &world.system(), &nameless).await.unwrap_err();
        assert!(refused.to_string().contains("write `proposer: `"), "{refused}");
        publish(&world, &nameless.replace("[ICP_FIT]}", "[ICP_FIT], proposer: olga@example.com}")).await;
        // Two sequences that name each other: a draft is enough.
        let draft = steps("second", "- {id: go, kind: start_sequence, sequence: first}");
        world.app.run(&world.system(), SequenceDraft { source: draft.clone() }).await.unwrap();
        publish(&world, &steps("first", "- {id: go, kind: start_sequence, sequence: second}")).await;
        publish(&world, &draft).await;
    }

    async fn a_lead_is_handed_to_the_sdrs_and_the_sequence_lets_go_of_it(world: World) {
        furnish(&world).await;
        let hand = "- {id: hand, kind: hand_to_sdr, team: Inbound, priority: 80, notes: 'Asked for {{ lead.source }}'}\n\
                    - {id: mark, kind: tag, of: lead, add: [handed]}";
        let source = steps("hand", hand).replace("subject: contact", "subject: lead");
        let sequence = publish(&world, &source).await;
        let (person, _) = colleague(&world, "acme").await;
        let received = lead_of(&world, &person).await;
        let enrollment = enroll(&world, &sequence, &person, Some(received.id)).await;
        assert_eq!(lead(&world, received.id).await.owner, Owner::Sequence(enrollment.id));
        world.run_due_jobs().await;
        let handed = lead(&world, received.id).await;
        assert_eq!((handed.stage, handed.owner, handed.priority), (Stage::Queued, Owner::SdrQueue, 80));
        assert!(handed.keeps_the_law() && handed.tags.contains("handed"), "the run went on without owning it");
        let [item] = items(&world, ItemKind::VerifyLead).await.try_into().unwrap();
        let team = item.team.unwrap();
        assert_eq!((item.state, item.lead, item.priority), (ItemState::Queued, Some(received.id), 80));
        assert_eq!(item.notes.as_deref(), Some("Asked for webinar"));
        assert_eq!(world.app.store.find::<tandem_domain::access::Team>(team).await.unwrap().unwrap().name, "Inbound");
        let ended = run(&world, enrollment.id).await;
        assert_eq!(ended.state, EnrollmentState::Finished(FinishReason::Completed));
        // The end of the run took nothing back, and neither does a second hand-over.
        let again = enroll(&world, &publish(&world, &steps("more", "- {id: hand, kind: hand_to_sdr}")).await, &person, None).await;
        world.run_due_jobs().await;
        assert_eq!(came_of(&world, again.id).await, [json!({"lead": received.id, "already": "QUEUED"})]);
        assert_eq!(lead(&world, received.id).await.stage, Stage::Queued);
        assert_eq!(items(&world, ItemKind::VerifyLead).await.len(), 1);
    }

    async fn whoever_has_no_open_lead_gets_one_to_hand_over(world: World) {
        let hand = "- {id: hand, kind: hand_to_sdr}\n- {id: mark, kind: tag, of: lead, add: [mine]}";
        let sequence = publish(&world, &steps("hand", hand)).await;
        let (person, account) = colleague(&world, "acme").await;
        let old = lead_of(&world, &person).await;
        world.app.run(&world.system(), LeadClose { lead: old.id, reason: "NO_BUDGET".to_owned() }).await.unwrap();
        let enrollment = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let ended = run(&world, enrollment.id).await;
        assert_eq!(ended.state, EnrollmentState::Finished(FinishReason::Completed));
        let made = lead(&world, ended.lead.unwrap()).await;
        assert_ne!(made.id, old.id);
        assert_eq!((made.source.as_str(), made.stage, made.account), ("sequence:hand", Stage::Queued, Some(account.id)));
        assert!(made.tags.contains("mine") && made.keeps_the_law(), "the lead is the run's from then on");
        let [item] = items(&world, ItemKind::VerifyLead).await.try_into().unwrap();
        assert_eq!((item.lead, item.priority), (Some(made.id), 50));
        assert_eq!(lead(&world, old.id).await.stage, Stage::Closed);
        // A lead that marketing holds is taken up instead of a second one.
        let (kim, _) = colleague(&world, "kim").await;
        let open = lead_of(&world, &kim).await;
        let other = enroll(&world, &sequence, &kim, None).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, other.id).await.lead, Some(open.id));
        assert_eq!(lead(&world, open.id).await.stage, Stage::Queued);
    }

    async fn a_sequence_starts_another_once_and_goes_on_where_that_refuses(world: World) {
        let target = "- {id: mark, kind: tag, add: ['from-{WHO}']}\n- {id: pause, kind: wait, duration: 30d}";
        let other = publish(&world, &steps("other", &target.replace("{WHO}", "other"))).await;
        let go = "- {id: go, kind: start_sequence, sequence: other, vars: {who: 'contact.name', n: '1 + 1'}}\n\
                  - {id: mark, kind: tag, add: [went-on]}";
        let sequence = publish(&world, &steps("first", go)).await;
        let (person, _) = colleague(&world, "acme").await;
        let first = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let [started] = runs(&world, other.id).await.try_into().unwrap();
        assert_eq!((started.vars["who"].as_str(), &started.vars["n"]), (Some("acme Sample"), &json!(2)));
        assert_eq!(started.memory.chain.unwrap().by, first.id);
        assert_eq!(came_of(&world, first.id).await, [json!({"enrollment": started.id})]);
        assert_eq!(tags(&world, person.id).await, ["from-other", "went-on"]);
        let second = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let [came] = came_of(&world, second.id).await.into_iter().take(1).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(came["refused"], "ENROLLMENT_EXISTS", "{came}");
        assert_eq!(run(&world, second.id).await.state, EnrollmentState::Finished(FinishReason::Completed));
        assert_eq!(runs(&world, other.id).await.len(), 1);
    }

    async fn sequences_that_start_each_other_come_to_a_stop(world: World) {
        let draft = steps("pong", "- {id: go, kind: start_sequence, sequence: ping}");
        world.app.run(&world.system(), SequenceDraft { source: draft.clone() }).await.unwrap();
        // Each run is over before the next of its kind begins, so no other rule ends the loop.
        let ping = publish(&world, &steps("ping", "- {id: pause, kind: wait, duration: 1m}\n- {id: go, kind: start_sequence, sequence: pong}")).await;
        let pong = publish(&world, &draft.replace("steps:", "steps:\n  - {id: pause, kind: wait, duration: 1m}")).await;
        let (person, _) = colleague(&world, "acme").await;
        enroll(&world, &ping, &person, None).await;
        for _ in 0..60 {
            world.pass(TimeDelta::minutes(1)).await;
        }
        let (pings, pongs) = (runs(&world, ping.id).await, runs(&world, pong.id).await);
        assert_eq!(pings.len() + pongs.len(), 11, "the first, and ten that were started");
        assert!(pings.iter().chain(&pongs).all(|run| !run.state.is_live()));
        let advanced = entries(&world, "enrollment.advanced").await;
        let refused: Vec<&Value> = advanced.iter().filter_map(|entry| entry.detail.get("came_of")?.get("refused")).collect();
        assert_eq!(refused, ["ENROLLMENT_CHAIN_TOO_LONG"]);
        // A day later it is no loop any more, but one programme after the other.
        world.pass(TimeDelta::hours(25)).await;
        enroll(&world, &ping, &person, None).await;
        world.run_due_jobs().await;
        world.pass(TimeDelta::minutes(1)).await;
        assert_eq!(runs(&world, pong.id).await.len(), pongs.len() + 1);
    }

    async fn a_sequence_ends_the_runs_of_the_same_person_through_another(world: World) {
        let task = "- {id: call, kind: create_task, title: Call, due_in: 1d}\n- {id: pause, kind: wait, duration: 30d}";
        let other = publish(&world, &steps("other", task).replace("subject: contact", "subject: lead")).await;
        let stop = publish(&world, &steps("stop", "- {id: stop, kind: stop_sequence, sequence: other}")).await;
        let (sam, _) = colleague(&world, "sam").await;
        let (kim, _) = colleague(&world, "kim").await;
        let (of_sam, of_kim) = (lead_of(&world, &sam).await, lead_of(&world, &kim).await);
        let ended = enroll(&world, &other, &sam, Some(of_sam.id)).await;
        let goes_on = enroll(&world, &other, &kim, Some(of_kim.id)).await;
        world.run_due_jobs().await;
        let stopping = enroll(&world, &stop, &sam, None).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, ended.id).await.state, EnrollmentState::Exited(ExitReason::Superseded));
        assert!(run(&world, goes_on.id).await.state.is_live());
        assert_eq!(came_of(&world, stopping.id).await, [json!({"ended": [ended.id]})]);
        let freed = lead(&world, of_sam.id).await;
        assert_eq!((freed.stage, freed.owner), (Stage::Received, Owner::Marketing), "nothing falls out of the loop");
        let states: BTreeSet<_> = items(&world, ItemKind::Task).await.into_iter().map(|task| (task.contact, task.state)).collect();
        assert_eq!(states, BTreeSet::from([(sam.id, ItemState::Cancelled), (kim.id, ItemState::Queued)]));
        let exits = entries(&world, "enrollment.ended").await;
        assert!(exits.iter().any(|entry| entry.detail.get("stopped_by") == Some(&json!(stopping.id))));
    }
}
