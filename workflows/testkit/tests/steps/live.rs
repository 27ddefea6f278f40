//! At most one live enrolment for a subject and a re-entry key, and one in a group of sequences, in whatever order people are
//! enrolled, events start runs, runs start others and runs end, also two at a time.

use crate::choices::Choices;
use crate::scene::*;
use tandem_app::InteractionRecord;
use tandem_domain::interaction::{Draft, InteractionKind};

/// Three of a group, by their priority, one beside them that starts one of them, and one that an event starts.
const SEQUENCES: [(&str, &str, &str); 5] = [
    ("low", "exclusive: nurture\npriority: 10", "- {id: pause, kind: wait, duration: 30h}"),
    ("middle", "exclusive: nurture\npriority: 50\nreentry: {after: 5h}", "- {id: pause, kind: wait, duration: 20h}"),
    (
        "high",
        "exclusive: nurture\npriority: 90",
        "- {id: stop, kind: stop_sequence, sequence: beside}\n- {id: pause, kind: wait, duration: 9h}",
    ),
    (
        "beside",
        "reentry: {key: enrollment.vars.which}",
        "- {id: go, kind: start_sequence, sequence: middle}\n- {id: pause, kind: wait, duration: 50h}",
    ),
    (
        "asked",
        "triggers: [{kind: event, event: [FORM]}]",
        "- {id: go, kind: start_sequence, sequence: high}\n- {id: pause, kind: wait, duration: 9h}",
    ),
];

async fn begin(world: &World, sequence: SequenceId, person: ContactId, which: &str) -> Result<(), AppError> {
    let vars = Map::from_iter([("which".to_owned(), json!(which))]);
    let command = EnrollmentCreate { sequence, contact: Some(person), lead: None, vars };
    world.app.run(&world.system(), command).await.map(drop)
}

/// No two live runs of the person have one sequence and key, or one group.
async fn holds(world: &World, sequences: &[Sequence], people: &[ContactId]) {
    for person in people {
        let (mut keys, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for sequence in sequences {
            for run in runs(world, sequence.id).await {
                if run.contact != *person || !run.state.is_live() {
                    continue;
                }
                assert!(run.keeps_the_law(), "{run:?}");
                assert!(keys.insert((run.sequence.0, run.reentry_key.clone())), "two of one key: {run:?}");
                if let Some(exclusive) = &run.exclusive {
                    assert!(groups.insert(exclusive.group.clone()), "two of one group: {run:?}");
                }
            }
        }
    }
}

on_both_databases! {
    async fn nobody_has_two_live_runs_of_one_key_or_one_group_in_whatever_order_they_begin_and_end(world: World) {
        let mut sequences = Vec::new();
        for (key, header, body) in SEQUENCES {
            let source = steps(key, body).replace("subject: contact", &format!("subject: contact\n{header}"));
            world.app.run(&world.system(), SequenceDraft { source }).await.unwrap();
        }
        for (key, header, body) in SEQUENCES {
            let source = steps(key, body).replace("subject: contact", &format!("subject: contact\n{header}"));
            sequences.push(publish(&world, &source).await);
        }
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            people.push(colleague(&world, name).await.0.id);
        }
        // A fixed row of choices: the order is random, and the same each time.
        let mut state = 7_u32;
        let drawn = (0..600).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        });
        let mut choices = Choices::new(drawn.collect());
        let mut begun = 0;
        for _ in 0..60 {
            let (sequence, person) = (choices.of(&sequences).id, *choices.of(&people));
            let which = *choices.of(&["a", "b"]);
            match choices.below(6) {
                0 => {
                    // Two at the same moment.
                    let other = choices.of(&sequences).id;
                    let (one, two) = tokio::join!(
                        begin(&world, sequence, person, which),
                        begin(&world, other, person, which),
                    );
                    for done in [one, two] {
                        match done {
                            Ok(()) => begun += 1,
                            Err(error) => assert!(error.is_refusal() || error.code() == "CONFLICT", "{error}"),
                        }
                    }
                }
                1 => {
                    let all = runs(&world, sequence).await;
                    if let Some(live) = all.iter().find(|run| run.contact == person && run.state.is_live()) {
                        let exit = EnrollmentExit { enrollment: live.id, reason: ExitReason::Manual };
                        world.app.run(&world.system(), exit).await.unwrap();
                    }
                }
                2 => {
                    let draft = Draft {
                        kind: InteractionKind::Form,
                        name: "Demo".to_owned(),
                        occurred_at: None,
                        seconds: None,
                        url: None,
                        properties: Map::new(),
                    };
                    let record = InteractionRecord { contact: person, draft, known_by: None };
                    world.app.run(&world.system(), record).await.unwrap();
                }
                3 => {
                    world.pass(TimeDelta::hours(i64::try_from(choices.below(30)).unwrap())).await;
                }
                _ => begun += u32::from(begin(&world, sequence, person, which).await.is_ok()),
            }
            if choices.once_in(2) {
                world.run_due_jobs().await;
            }
            holds(&world, &sequences, &people).await;
        }
        assert!(begun > 10, "{begun}");
        let ends = entries(&world, "enrollment.ended").await;
        let superseded = ends.iter().filter(|entry| entry.detail.contains_key("superseded_by")).count();
        assert!(superseded > 0, "some gave their place up");
    }
}
