//! Simulations over the people of the installation, through GraphQL.

use crate::client::{ask, change, data, global};
use serde_json::{Value, json};
use tandem_app::Call;
use tandem_domain::access::Role;
use tandem_testkit::{World, on_both_databases};
use uuid::Uuid;

const SOURCE: &str = "
key: tried
name: Tried
subject: contact
steps:
  - {id: hello, kind: send_email, template: {subject: Hello, text: hello}}
  - {id: reads, kind: wait_for, event: [DOWNLOAD], timeout: 10d, on_timeout: done}
  - {id: thanks, kind: send_email, template: {subject: Thanks, text: thanks}}
  - {id: done, kind: end}
";

const SIMULATE: &str =
    "query($source: String!, $people: SequenceSimulationPeopleInput, $course: SequenceSimulationCourseInput) {
    sequenceSimulateContacts(source: $source, people: $people, course: $course, follow: 1) {
        problems { rule } missing { line path } rule people leftOut days { date began emails } ends { code count } steps { step done }
        followed { contactId lines { step what } }
    } }";

async fn simulated(world: &World, ops: &Call, variables: Value) -> Value {
    data(world, ops, SIMULATE, variables).await["sequenceSimulateContacts"].clone()
}

on_both_databases! {
    async fn people_do_what_is_assumed_and_begin_over_the_days_that_are_given(world: World) {
        for n in 0..4 {
            world.contact(&format!("p{n}@example.com")).await;
        }
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let seen = simulated(&world, &ops, json!({"source": SOURCE})).await;
        assert_eq!((&seen["rule"], &seen["people"], &seen["leftOut"]), (&json!("tried@1"), &json!(4), &json!(false)));
        assert_eq!(seen["ends"], json!([{"code": "FINISHED(COMPLETED)", "count": 4}]));
        assert_eq!(seen["steps"][2], json!({"step": "thanks", "done": 0}), "nobody does anything");
        assert_eq!(seen["days"].as_array().unwrap().iter().filter(|day| day["began"] != json!(0)).count(), 1);

        let assumed = json!([{"what": "EVENT.DOWNLOAD", "share": 1.0}]);
        let variables = json!({"source": SOURCE, "course": {"assumptions": assumed, "enterOverDays": 4}});
        let seen = simulated(&world, &ops, variables).await;
        assert_eq!(seen["steps"][2], json!({"step": "thanks", "done": 4}));
        assert_eq!(seen["days"].as_array().unwrap().iter().filter(|day| day["began"] == json!(1)).count(), 4);

        for (what, share) in [("EVENT.SLEEP", 0.5), ("REPLY", 1.5)] {
            let variables = json!({"source": SOURCE, "course": {"assumptions": [{"what": what, "share": share}]}});
            let refused = ask(&world, &ops, SIMULATE, variables).await;
            assert_eq!(refused["errors"][0]["extensions"]["reason"], "SIMULATION_ASSUMPTION_INVALID", "{refused}");
        }
    }

    async fn the_recorded_past_is_lived_through_again_and_may_set_triggers_off(world: World) {
        let ann = world.contact("ann@example.com").await;
        world.contact("bob@example.com").await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let input = json!({"contactId": global(ann.id), "kind": "DOWNLOAD", "name": "guide", "occurredAt": world.now()});
        let recorded = change(&world, &ops, "interactionRecord", "interaction { id }", input).await;
        assert_eq!(recorded["userErrors"], json!([]));
        world.pass(chrono::TimeDelta::days(1)).await;
        let source = SOURCE.replace("subject: contact", "subject: contact\ntriggers:\n  - {kind: event, event: [DOWNLOAD]}");
        let history = |triggers: bool| {
            let from = world.now() - chrono::TimeDelta::days(2);
            json!({"from": from, "to": world.now(), "triggers": triggers})
        };
        let seen = simulated(&world, &ops, json!({"source": source, "course": {"history": history(true)}})).await;
        assert_eq!(seen["days"].as_array().unwrap().iter().map(|day| day["began"].as_i64().unwrap()).sum::<i64>(), 1);
        assert_eq!(seen["followed"][0]["contactId"], json!(global(ann.id)));
        let seen = simulated(&world, &ops, json!({"source": source, "course": {"history": history(false)}})).await;
        assert_eq!(seen["steps"][2], json!({"step": "thanks", "done": 1}), "who did it does it again");
    }

    async fn a_version_is_compared_with_and_what_is_out_of_range_is_refused(world: World) {
        world.contact("ann@example.com").await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let source = |days: u32| {
            format!(
                "key: takes\nname: Takes\nsubject: contact\nsteps:\n  - {{id: rest, kind: wait, duration: {days}d}}\n\
                 \x20 - {{id: call, kind: create_task, title: Call, due_in: 1d}}\n  - {{id: done, kind: end}}\n"
            )
        };
        for days in [1, 2] {
            let made = change(&world, &ops, "sequencePublish", "version { number }", json!({"source": source(days)})).await;
            assert_eq!(made["userErrors"], json!([]));
        }
        let query = "query($source: String!, $against: String, $days: Int! = 90, $follow: Int! = 0, $tasks: Int, \
                     $course: SequenceSimulationCourseInput! = {}) {\
                     sequenceSimulateContacts(source: $source, against: $against, days: $days, follow: $follow, tasksADay: $tasks, \
                     course: $course) { changedPeople difference { rule people days { before { tasks } after { tasks } } \
                     mailboxes { after { emails } } steps { after { step } } } } }";
        let differs = async |days: u32, against: &str| {
            let variables = json!({"source": source(days), "against": against});
            data(&world, &ops, query, variables).await["sequenceSimulateContacts"].clone()
        };
        let seen = differs(2, "takes@1").await;
        assert_eq!((&seen["changedPeople"], &seen["difference"]["rule"]), (&json!(1), &json!("takes@1")));
        let days = &seen["difference"]["days"];
        assert_eq!(days[0], json!({"before": {"tasks": 1}, "after": null}), "{seen}");
        assert_eq!(days[1], json!({"before": null, "after": {"tasks": 1}}), "{seen}");
        assert_eq!((&seen["difference"]["mailboxes"], &seen["difference"]["steps"]), (&json!([]), &json!([])));
        let seen = differs(2, "takes").await;
        assert_eq!((&seen["changedPeople"], &seen["difference"]["rule"]), (&json!(0), &json!("takes@2")));
        let triggered = json!({"from": world.now() - chrono::TimeDelta::days(2), "to": world.now(), "triggers": true});
        for (field, value, code) in [
            ("against", json!("takes@0"), "SIMULATION_SEQUENCE_UNKNOWN"),
            ("against", json!("takes@3"), "SIMULATION_VERSION_UNKNOWN"),
            ("days", json!(0), "SIMULATION_OUT_OF_RANGE"),
            ("days", json!(733), "SIMULATION_OUT_OF_RANGE"),
            ("follow", json!(21), "SIMULATION_OUT_OF_RANGE"),
            ("tasks", json!(-3), "SIMULATION_OUT_OF_RANGE"),
            ("course", json!({"enterOverDays": 0}), "SIMULATION_OUT_OF_RANGE"),
            ("course", json!({"enterOverDays": 2, "history": triggered}), "SIMULATION_ENTERING_TWICE"),
        ] {
            let mut variables = json!({"source": source(1)});
            variables[field] = value;
            let refused = ask(&world, &ops, query, variables).await;
            assert_eq!(refused["errors"][0]["extensions"]["reason"], code, "{field}: {refused}");
        }
    }

    async fn somebody_unknown_is_named_and_nobody_is_left_out_in_silence(world: World) {
        let ann = world.contact("ann@example.com").await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let people = json!({"contactIds": [global(ann.id)]});
        let seen = simulated(&world, &ops, json!({"source": SOURCE, "people": people})).await;
        assert_eq!(seen["people"], 1);
        let unknown = tandem_domain::id::global("Contact", Uuid::from_u128(7));
        let people = json!({"contactIds": [global(ann.id), unknown]});
        let refused = ask(&world, &ops, SIMULATE, json!({"source": SOURCE, "people": people})).await;
        assert_eq!(refused["errors"][0]["extensions"]["reason"], "NOT_FOUND", "{refused}");
    }

    async fn calls_keep_the_answers_that_are_given_and_what_is_not_there_is_told(world: World) {
        world.contact("ann@example.com").await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let source = "key: asks\nname: Asks\nsubject: contact\nsteps:\n\
                      \x20 - {id: score, kind: call_webhook, channel: scorer, body: '1', as: found}\n\
                      \x20 - {id: high, kind: branch, when: enrollment.vars.found.points > 60, then: hand, else: done}\n\
                      \x20 - {id: hand, kind: hand_to_sdr}\n  - {id: done, kind: end}\n";
        let asked = |answers: Value| json!({"source": source, "course": {"answers": answers}});
        let seen = simulated(&world, &ops, asked(json!({"score": {"points": 70}}))).await;
        assert_eq!(seen["missing"], json!([{"line": 5, "path": "steps[0].channel"}]));
        assert_eq!(seen["steps"][2], json!({"step": "hand", "done": 1}));
        let refused = ask(&world, &ops, SIMULATE, asked(json!({"hand": 1}))).await;
        assert_eq!(refused["errors"][0]["extensions"]["reason"], "SIMULATION_DATA_INVALID", "{refused}");
    }
}
