//! Steps that choose a way: goals, splits, and what came of a task.

use crate::scene::*;

const WAITING: &str = "
- {id: call, kind: create_task, title: 'Call {{ contact.name }}', due_in: 2d, channel: call, team: Inbound, notes: 'At {{ account.name }}', wait: true, timeout: 5d, on: {no_answer: letter, interested: hot, cancelled: called_off, timed_out: late}}
- {id: usual, kind: tag, add: [usual], next: done}
- {id: letter, kind: tag, add: ['{LAST}-letter'], next: done}
- {id: hot, kind: branch, when: \"enrollment.last_task_outcome == 'INTERESTED'\", then: warm, else: done}
- {id: warm, kind: tag, add: [warm], next: done}
- {id: called_off, kind: tag, add: [called-off], next: done}
- {id: late, kind: branch, when: \"enrollment.last_task_outcome == 'TIMED_OUT'\", then: slow, else: done}
- {id: slow, kind: tag, add: [slow], next: done}";

/// A run that waits for its task.
async fn waiting(world: &World) -> (Enrollment, WorkItem, Call) {
    let team = TeamCreate { name: "Inbound".to_owned(), side: Side::Marketing };
    let team = world.app.run(&world.system(), team).await.unwrap();
    let sequence = publish(world, &steps("calls", &WAITING.replace("{LAST}", "a"))).await;
    let (person, account) = colleague(world, "acme").await;
    let enrollment = enroll(world, &sequence, &person, None).await;
    world.run_due_jobs().await;
    let [task] = items(world, ItemKind::Task).await.try_into().unwrap();
    assert_eq!((task.title.as_str(), task.notes.as_deref()), ("Call acme Sample", Some("At acme Ltd")));
    assert_eq!((task.channel, task.team, task.account), (Some(TaskChannel::Call), Some(team.id), Some(account.id)));
    assert_eq!((task.enrollment, task.visit), (Some(enrollment.id), Some(0)));
    let waiting = run(world, enrollment.id).await;
    assert_eq!(waiting.state, EnrollmentState::Waiting(WaitReason::Task));
    assert_eq!(waiting.due_at, Some(world.now() + TimeDelta::days(5)));
    assert!(waiting.keeps_the_law());
    let sdr = world.user("sina", Role::Sdr, None).await.1;
    (waiting, task, sdr)
}

async fn claim(world: &World, call: &Call, task: &WorkItem) -> u64 {
    world.app.run(call, WorkItemClaim { item: task.id }).await.unwrap().0.fence
}

async fn complete(
    world: &World,
    call: &Call,
    task: &WorkItem,
    token: u64,
    outcome: Option<TaskOutcome>,
) -> Option<Enrollment> {
    let done = TaskComplete { item: task.id, token, outcome, note: None };
    world.app.run(call, done).await.unwrap().1
}

on_both_databases! {
    async fn a_goal_is_looked_at_where_the_step_stands(world: World) {
        let goal = "- {id: goal, kind: check_goal, when: \"'won' in contact.tags\"}\n- {id: mark, kind: tag, add: [won]}\n\
                    - {id: again, kind: check_goal, when: \"'won' in contact.tags\"}\n- {id: never, kind: tag, add: [never]}";
        let sequence = publish(&world, &steps("goal", goal)).await;
        let (person, _) = colleague(&world, "acme").await;
        let enrollment = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, enrollment.id).await.state, EnrollmentState::Finished(FinishReason::Goal));
        assert_eq!(tags(&world, person.id).await, ["won"]);
    }

    async fn a_split_gives_each_subject_one_variant_for_good_and_the_record_names_it(world: World) {
        let split = "
            - {id: test, kind: split, variants: [{key: short, weight: 1, then: mail}, {key: long, weight: 1, then: mail}]}
            - {id: mail, kind: send_email, template: {subject: 'The {{ enrollment.variants.test }} one', text: Hello}}
            - {id: which, kind: branch, when: \"enrollment.variants.test == 'short'\", then: a, else: b}
            - {id: a, kind: tag, add: [short], next: done}
            - {id: b, kind: tag, add: [long], next: done}".trim_start();
        let sequence = publish(&world, &steps("experiment", split)).await;
        let mut given = BTreeMap::new();
        for n in 0..12 {
            let (person, _) = colleague(&world, &format!("p{n}")).await;
            for round in 0..2 {
                let enrollment = enroll(&world, &sequence, &person, None).await;
                world.run_due_jobs().await;
                let ended = run(&world, enrollment.id).await;
                assert_eq!(ended.state, EnrollmentState::Finished(FinishReason::Completed));
                let variant = ended.memory.variants["test"].clone();
                assert_eq!(given.entry(person.id).or_insert_with(|| variant.clone()), &variant, "round {round}");
                assert_eq!(world.mailer.sent().last().unwrap().subject, format!("The {variant} one"));
                assert_eq!(tags(&world, person.id).await, [variant.as_str()]);
                let advanced = entries(&world, "enrollment.advanced").await.into_iter();
                let first = advanced.filter(|entry| entry.subject_id == enrollment.id.0).collect::<Vec<_>>();
                let taken = first[0].detail["taken"][0].clone();
                assert_eq!(taken, json!({"step": "test", "kind": "split", "visit": 0, "variant": variant}));
            }
        }
        assert_eq!(given.values().collect::<BTreeSet<_>>().len(), 2, "both are given: {given:?}");
    }

    async fn a_run_goes_on_by_what_came_of_its_task(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let token = claim(&world, &sdr, &task).await;
        world.pass(TimeDelta::minutes(5)).await;
        let goes_on = complete(&world, &sdr, &task, token, Some(TaskOutcome::NoAnswer)).await.unwrap();
        assert_eq!((goes_on.state, goes_on.step.as_str()), (EnrollmentState::Active, "letter"));
        assert_eq!((goes_on.due_at, goes_on.keeps_the_law()), (Some(world.now()), true), "in the same transaction");
        let [settled] = entries(&world, "enrollment.task_settled").await.try_into().unwrap();
        assert_eq!((&settled.detail["outcome"], &settled.detail["goes_on_at"]), (&json!("NO_ANSWER"), &json!("letter")));
        let [completed] = entries(&world, "work_item.completed").await.try_into().unwrap();
        assert_eq!(completed.detail["outcome"], "NO_ANSWER");
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["a-letter"]);
        let ended = run(&world, waiting.id).await;
        assert_eq!(ended.state, EnrollmentState::Finished(FinishReason::Completed));
        assert_eq!(ended.memory.last_task_outcome, Some(TaskEnd::NoAnswer));
        // The timer of the time-out finds nothing to do.
        world.pass(TimeDelta::days(6)).await;
        assert_eq!(tags(&world, waiting.contact).await, ["a-letter"]);
        assert!(world.job_kinds().await.is_empty());
    }

    async fn an_outcome_without_a_way_of_its_own_goes_on_to_the_next_step_and_conditions_see_it(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let token = claim(&world, &sdr, &task).await;
        complete(&world, &sdr, &task, token, None).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["usual"]);
        assert_eq!(run(&world, waiting.id).await.memory.last_task_outcome, Some(TaskEnd::Done));
        let sequence: Sequence = world.app.store.find(waiting.sequence).await.unwrap().unwrap();
        let again = enroll(&world, &sequence, &contact(&world, waiting.contact).await, None).await;
        world.run_due_jobs().await;
        let open = items(&world, ItemKind::Task).await.into_iter().find(|task| task.state == ItemState::Queued).unwrap();
        let token = claim(&world, &sdr, &open).await;
        complete(&world, &sdr, &open, token, Some(TaskOutcome::Interested)).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["usual", "warm"]);
        assert!(!run(&world, again.id).await.state.is_live());
    }

    async fn a_task_that_nobody_does_in_time_holds_nobody_up(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        world.pass(TimeDelta::hours(119)).await;
        assert_eq!(run(&world, waiting.id).await.state, EnrollmentState::Waiting(WaitReason::Task));
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(tags(&world, waiting.contact).await, ["slow"]);
        let ended = run(&world, waiting.id).await;
        assert_eq!(ended.memory.last_task_outcome, Some(TaskEnd::TimedOut));
        // What is done later is done, and moves nothing.
        let token = claim(&world, &sdr, &task).await;
        assert_eq!(complete(&world, &sdr, &task, token, Some(TaskOutcome::Interested)).await, None);
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["slow"]);
        assert!(entries(&world, "enrollment.task_settled").await.is_empty());
    }

    async fn a_task_that_is_called_off_lets_its_run_go_on(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let ops = world.user("omar", Role::SalesOps, None).await.1;
        let cancel = TaskCancel { item: task.id, note: Some("the customer called us".to_owned()) };
        let token = claim(&world, &sdr, &task).await;
        assert_eq!(world.app.run(&ops, cancel.clone()).await.unwrap_err().code(), "WORK_ITEM_HELD");
        world.app.run(&sdr, tandem_app::WorkItemRelease { item: task.id, token }).await.unwrap();
        let (cancelled, run_on) = world.app.run(&ops, cancel.clone()).await.unwrap();
        let outcome = cancelled.outcome.unwrap();
        assert_eq!((cancelled.state, outcome.by, outcome.task), (ItemState::Cancelled, ops.actor.user, None));
        assert_eq!(run_on.unwrap().step, "called_off");
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["called-off"]);
        assert_eq!(world.app.run(&ops, cancel).await.unwrap_err().code(), "WORK_ITEM_MOVE_NOT_ALLOWED");
        // Only tasks are called off: a lead is disqualified.
        let lead = lead_of(&world, &contact(&world, waiting.contact).await).await;
        world.app.run(&world.system(), LeadQualify { lead: lead.id, grade: None, priority: None }).await.unwrap();
        let [item] = items(&world, ItemKind::VerifyLead).await.try_into().unwrap();
        let refused = world.app.run(&ops, TaskCancel { item: item.id, note: None }).await.unwrap_err();
        assert_eq!(refused.code(), "WORK_ITEM_WRONG_KIND");
    }

    async fn a_task_done_while_its_run_pauses_counts_when_the_run_is_resumed(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let pause = EnrollmentPause { enrollment: waiting.id, reason: PauseReason::Manual, until: None };
        world.app.run(&world.system(), pause.clone()).await.unwrap();
        let token = claim(&world, &sdr, &task).await;
        let told = complete(&world, &sdr, &task, token, Some(TaskOutcome::NoAnswer)).await.unwrap();
        assert_eq!(told.state, EnrollmentState::Paused(PauseReason::Manual));
        world.pass(TimeDelta::days(6)).await;
        assert!(tags(&world, waiting.contact).await.is_empty(), "paused");
        world.app.run(&world.system(), EnrollmentResume { enrollment: waiting.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["a-letter"]);
        // Paused over the time-out: the run does not wait any longer once it is resumed.
        let sequence: Sequence = world.app.store.find(waiting.sequence).await.unwrap().unwrap();
        let again = enroll(&world, &sequence, &contact(&world, waiting.contact).await, None).await;
        world.run_due_jobs().await;
        world.app.run(&world.system(), EnrollmentPause { enrollment: again.id, ..pause }).await.unwrap();
        world.pass(TimeDelta::days(6)).await;
        world.app.run(&world.system(), EnrollmentResume { enrollment: again.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["a-letter", "slow"]);
    }

    async fn a_run_that_ended_leaves_its_task_to_nobody_and_hears_nothing_of_it(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let token = claim(&world, &sdr, &task).await;
        let exit = EnrollmentExit { enrollment: waiting.id, reason: ExitReason::Manual };
        world.app.run(&world.system(), exit).await.unwrap();
        assert_eq!(complete(&world, &sdr, &task, token, None).await, None, "its holder finishes it all the same");
        let ended = run(&world, waiting.id).await;
        assert_eq!((ended.state, ended.keeps_the_law()), (EnrollmentState::Exited(ExitReason::Manual), true));
    }

    async fn the_end_of_a_task_and_the_end_of_the_wait_at_one_moment_are_one_of_the_two(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        world.clock.advance(TimeDelta::days(5));
        let token = claim(&world, &sdr, &task).await;
        let (app, call) = (world.app.clone(), world.system());
        let step = EnrollmentAdvance { enrollment: waiting.id, visit: waiting.visit };
        let late = tokio::spawn(async move { app.run(&call, step).await });
        let (app, sdr) = (world.app.clone(), sdr.clone());
        let done = TaskComplete { item: task.id, token, outcome: Some(TaskOutcome::NoAnswer), note: None };
        let done = tokio::spawn(async move { app.run(&sdr, done).await });
        let (late, done) = (late.await.unwrap(), done.await.unwrap().unwrap());
        world.run_due_jobs().await;
        let expected = if done.1.is_some() { "a-letter" } else { "slow" };
        // Where the task came first, the timer took the step that the task led to.
        assert!(late.is_ok() || matches!(&late, Err(error) if error.code().starts_with("ENROLLMENT_")), "{late:?}");
        assert_eq!(tags(&world, waiting.contact).await, [expected]);
        assert!(!run(&world, waiting.id).await.state.is_live());
    }
}
