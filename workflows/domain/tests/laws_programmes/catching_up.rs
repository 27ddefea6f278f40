//! How a run catches up after a pause of its sequence: what it leaves out, where it goes, and where it stands then.

use crate::choices::Choices;
use crate::found::{begun, mail, pause_for, source, taken};
use crate::life::Person;
use crate::{cases, drawn};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tandem_domain::email::EmailState;
use tandem_domain::id::InteractionId;
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sending_mailbox::MailboxState;
use tandem_domain::sequence::backlog::{CatchUp, Way};
use tandem_domain::sequence::enrollment::{EnrollmentState, FinishReason, TaskEnd, WaitReason, finish};
use tandem_domain::sequence::hearing::Heard;
use tandem_domain::sequence::steps::split::choose;
use tandem_domain::sequence::trigger::Event;
use uuid::Uuid;

const COMPLETED: EnrollmentState = EnrollmentState::Finished(FinishReason::Completed);

const fn waiting(reason: WaitReason) -> EnrollmentState {
    EnrollmentState::Waiting(reason)
}

/// Somebody whose run rests for a day, and takes these steps then.
fn resting(steps: &[Value]) -> Person {
    let rest = json!({"id": "rest", "kind": "wait", "duration": "1d"});
    let all: Vec<Value> = std::iter::once(rest).chain(steps.iter().cloned()).collect();
    begun(&[source(Value::Array(all))])
}

fn wait(id: &str, days: u32) -> Value {
    json!({"id": id, "kind": "wait", "duration": format!("{days}d")})
}

fn reads(days: u32, settings: Value) -> Value {
    let mut step = json!({"id": "reads", "kind": "wait_for", "event": ["DOWNLOAD"], "timeout": format!("{days}d")});
    step.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    step
}

fn call(id: &str, on: Value) -> Value {
    json!({"id": id, "kind": "call_webhook", "channel": "crm", "body": "contact.email", "on": on})
}

fn task(id: &str, settings: Value) -> Value {
    let mut step = json!({"id": id, "kind": "create_task", "title": "Call", "due_in": "1d", "wait": true});
    step.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    step
}

fn tag(id: &str, next: &str) -> Value {
    json!({"id": id, "kind": "tag", "add": [id], "next": next})
}

fn end() -> Value {
    json!({"id": "done", "kind": "end"})
}

fn downloads(person: &mut Person) {
    let event = Event {
        id: InteractionId(Uuid::from_u128(5)),
        kind: InteractionKind::Download,
        name: "Paper".to_owned(),
        url: None,
        seconds: None,
        occurred_at: person.now,
        properties: Map::new(),
    };
    person.hear(0, &Heard::Event(event));
    person.pass(TimeDelta::zero());
}

fn left_out(person: &Person) -> Vec<&str> {
    person.runs[0].left_out.iter().map(|(_, step)| step.as_str()).collect()
}

/// Catches up at once, after so many days of a pause.
fn catch_up(person: &mut Person, days: i64, way: Way) {
    pause_for(person, days, Some(way), TimeDelta::zero());
}

#[test]
fn a_wait_for_whose_time_was_over_by_now_leads_to_its_time_out() {
    let mut good = mail("good");
    good["next"] = json!("done");
    let mut person = resting(&[reads(2, json!({"on_timeout": "late"})), good, mail("late"), end()]);
    catch_up(&mut person, 9, Way::Latest);
    assert_eq!(taken(&person), ["late"]);
    assert_eq!(person.runs[0].enrollment.state, COMPLETED);
}

#[test]
fn whoever_catches_up_past_a_wait_for_has_heard_nothing_in_it() {
    let asked = json!({"id": "asked", "kind": "wait_for", "event": ["DOWNLOAD"], "timeout": "30d"});
    let look =
        json!({"id": "look", "kind": "branch", "when": "enrollment.event != null", "then": "heard", "else": "none"});
    let steps = [asked, wait("rest", 1), reads(2, json!({})), look, tag("heard", "done"), tag("none", "done"), end()];
    let mut person = begun(&[source(json!(steps))]);
    downloads(&mut person);
    assert!(person.runs[0].enrollment.hearing.event.is_some());
    catch_up(&mut person, 9, Way::Latest);
    assert_eq!(taken(&person), ["none"]);
}

#[test]
fn a_wait_for_that_is_not_over_begins_now_and_hears_what_comes() {
    for way in [Way::Latest, Way::Skip] {
        let mut person = resting(&[reads(30, json!({"on_timeout": "done"})), mail("good"), end()]);
        catch_up(&mut person, 9, way);
        let run = &person.runs[0].enrollment;
        let due = Some(person.now + TimeDelta::days(30));
        assert_eq!((run.state, run.due_at, run.trail.catch_up), (waiting(WaitReason::Event), due, None));
        person.pass(TimeDelta::days(20));
        downloads(&mut person);
        assert_eq!(taken(&person), ["good"], "{way:?}");
    }
}

#[test]
fn what_came_before_a_wait_for_counts_also_for_a_run_that_catches_up() {
    for way in [Way::Latest, Way::Skip] {
        let before = reads(2, json!({"since": "enrollment", "on_timeout": "late"}));
        let mut person = resting(&[before, tag("good", "done"), tag("late", "done"), end()]);
        downloads(&mut person);
        catch_up(&mut person, 9, way);
        assert_eq!(taken(&person), ["good"], "{way:?}");
    }
}

#[test]
fn a_run_that_stood_behind_in_a_wait_for_goes_on_when_its_time_is_over() {
    let mut person =
        begun(&[source(json!([reads(2, json!({"on_timeout": "late"})), mail("good"), end(), tag("late", "done")]))]);
    let at = person.now;
    person.runs[0].enrollment.trail.catch_up = Some(CatchUp { way: Way::Latest, at });
    person.pass(TimeDelta::days(2));
    assert_eq!(taken(&person), ["late"]);
    assert_eq!(person.runs[0].enrollment.state, COMPLETED);
}

#[test]
fn a_pool_without_a_mailbox_holds_a_run_that_catches_up_and_does_not_end_it() {
    let mut first = mail("first");
    first["pool"] = json!("outreach");
    let mut person = resting(&[first.clone(), wait("more", 3), mail("second"), end()]);
    person.mailbox.state = MailboxState::Paused;
    catch_up(&mut person, 2, Way::Latest);
    let run = &person.runs[0].enrollment;
    let due = Some(person.now + TimeDelta::hours(1));
    assert_eq!((run.state, run.due_at, run.trail.catch_up), (waiting(WaitReason::Event), due, None));
    person.mailbox.state = MailboxState::Active;
    person.pass(TimeDelta::hours(1));
    assert_eq!(taken(&person), ["first"]);
    person.pass(TimeDelta::days(3));
    assert_eq!((taken(&person), person.runs[0].enrollment.state), (vec!["first", "second"], COMPLETED));
    // What would come later is left out as what would come now is.
    for (way, then) in [(Way::Latest, vec!["second"]), (Way::Skip, vec![])] {
        let mut person = resting(&[first.clone(), wait("more", 3), mail("second"), end()]);
        person.mailbox.state = MailboxState::Paused;
        catch_up(&mut person, 9, way);
        assert_eq!((left_out(&person), taken(&person)), (vec!["first"], then), "{way:?}");
    }
}

#[test]
fn what_follows_a_task_that_is_waited_for_comes_after_it_as_its_own_wait_says() {
    let mut person = resting(&[task("call", json!({})), wait("more", 3), mail("second"), end()]);
    catch_up(&mut person, 9, Way::Latest);
    let run = &person.runs[0].enrollment;
    assert_eq!((run.state, run.trail.catch_up), (waiting(WaitReason::Task), None));
    person.pass(TimeDelta::days(5));
    let visit = person.runs[0].tasks[0];
    person.end_task(0, visit, TaskEnd::Done);
    person.pass(TimeDelta::zero());
    let run = &person.runs[0].enrollment;
    assert_eq!((run.state, run.due_at), (waiting(WaitReason::Time), Some(person.now + TimeDelta::days(3))));
    assert_eq!(taken(&person), ["call"]);
}

#[test]
fn whoever_skips_stands_in_the_next_wait_for_and_gets_what_follows_it() {
    let mut person = resting(&[mail("first"), reads(14, json!({"on_timeout": "done"})), mail("second"), end()]);
    catch_up(&mut person, 9, Way::Skip);
    let run = &person.runs[0].enrollment;
    let due = Some(person.now + TimeDelta::days(14));
    assert_eq!((run.state, run.due_at, run.trail.catch_up), (waiting(WaitReason::Event), due, None));
    person.pass(TimeDelta::days(10));
    downloads(&mut person);
    assert_eq!((left_out(&person), taken(&person)), (vec!["first"], vec!["second"]));
}

#[test]
fn an_email_is_left_out_only_for_a_newer_one_that_has_fallen_due() {
    let two = json!({"success": "far", "failure": "tell"});
    let far = json!({"id": "far", "kind": "wait", "duration": "30d"});
    for (days, between) in [
        (3, vec![reads(14, json!({}))]),
        (9, vec![reads(2, json!({"on_timeout": "done"}))]),
        (9, vec![task("call", json!({}))]),
        (9, vec![call("ask", two), mail("tell"), far]),
    ] {
        let steps: Vec<Value> = std::iter::once(mail("first")).chain(between).chain([mail("second"), end()]).collect();
        let mut person = resting(&steps);
        person.helpful = true;
        catch_up(&mut person, days, Way::Latest);
        assert_eq!((taken(&person)[0], left_out(&person)), ("first", vec![]), "{steps:?}");
    }
    // And where one has come, it is the only one.
    for between in [reads(2, json!({})), call("ask", json!({"success": "second", "failure": "done"}))] {
        let mut person = resting(&[mail("first"), between, mail("second"), end()]);
        person.helpful = true;
        catch_up(&mut person, 9, Way::Latest);
        assert_eq!((left_out(&person), *taken(&person).last().unwrap()), (vec!["first"], "second"));
    }
}

#[test]
fn the_variant_of_somebody_else_is_no_newer_email() {
    let lot = choose("k", "lot", Uuid::nil(), &[1, 1]).unwrap();
    for ways in [["slow", "quick"], ["quick", "slow"]] {
        let variants = json!([{"key": "a", "then": ways[0]}, {"key": "b", "then": ways[1]}]);
        let variants = json!({"id": "lot", "kind": "split", "variants": variants});
        let mut quick = mail("quick");
        quick["next"] = json!("done");
        // The e-mail of the one variant follows in the list, whoever is given it.
        let mut person = resting(&[mail("first"), variants, quick, wait("slow", 30), mail("late"), end()]);
        catch_up(&mut person, 9, Way::Latest);
        let expected = if ways[lot] == "slow" { (vec!["first"], vec![]) } else { (vec!["quick"], vec!["first"]) };
        assert_eq!((taken(&person), left_out(&person)), expected, "{ways:?}");
    }
}

#[test]
fn a_call_that_is_left_out_counts_as_taken_and_a_task_as_not_done_in_time() {
    let two = json!({"success": "look", "failure": "tell"});
    let mut person = resting(&[call("score", two), tag("tell", "done"), tag("look", "done"), end()]);
    catch_up(&mut person, 9, Way::Skip);
    assert_eq!((left_out(&person), taken(&person)), (vec!["score"], vec!["look"]));
    // One with which the list ends.
    let go = tag("go", "score");
    let mut person = resting(&[go, end(), call("score", json!({"success": "done", "failure": "done"}))]);
    catch_up(&mut person, 9, Way::Skip);
    assert_eq!((left_out(&person), person.runs[0].enrollment.state), (vec!["score"], COMPLETED));
    let late = json!({"on": {"timed_out": "late"}});
    let mut person = resting(&[task("call", late), tag("soon", "done"), tag("late", "done"), end()]);
    catch_up(&mut person, 9, Way::Skip);
    assert_eq!((left_out(&person), taken(&person)), (vec!["call"], vec!["late"]));
}

#[test]
fn a_round_that_waits_for_its_task_alone_comes_to_an_end_also_where_it_is_skipped() {
    let look = json!({"id": "look", "kind": "branch", "when": "enrollment.last_task_outcome == 'DONE'", "then": "done",
        "else": "call"});
    let mut person = resting(&[task("call", json!({})), mail("news"), look, end()]);
    person.helpful = true;
    catch_up(&mut person, 9, Way::Skip);
    let run = &person.runs[0].enrollment;
    assert_eq!((run.state, run.trail.catch_up), (waiting(WaitReason::Task), None));
    assert_eq!((left_out(&person), taken(&person)), (vec!["call", "news"], vec!["call"]));
    person.finish();
    assert_eq!((taken(&person), person.runs[0].enrollment.state), (vec!["call", "news"], COMPLETED));
}

/// Steps through which every way leads on, and which no condition decides: where a run comes is the same whenever one looks.
fn steps(drawn: Vec<u32>) -> Vec<Value> {
    let mut choices = Choices::new(drawn);
    let count = 2 + choices.below(10);
    let kinds = ["mail", "wait", "mail", "reads", "tag", "ask", "call", "lot", "note"];
    let names: Vec<String> = (0..count).map(|at| format!("{}_{at}", choices.of(&kinds))).collect();
    let name = |at: usize| names.get(at).map_or("done", String::as_str);
    let mut steps: Vec<Value> = Vec::new();
    for at in 0..count {
        let (id, next, far) = (name(at), name(at + 1), name(at + 1 + choices.below(count - at)));
        let days = 1 + u32::try_from(choices.below(6)).unwrap();
        steps.push(match id.split('_').next().unwrap() {
            "mail" => mail(id),
            "wait" => wait(id, days),
            "reads" => {
                let mut step = reads(days, json!({"id": id}));
                if choices.once_in(2) {
                    step["on_timeout"] = json!(far);
                }
                step
            }
            "ask" => call(id, json!({"success": far, "failure": next})),
            "call" => task(id, json!({"on": {"timed_out": far}})),
            "note" => json!({"id": id, "kind": "create_task", "title": "Look", "due_in": "1d"}),
            "lot" => {
                let variants = json!([{"key": "a", "then": next}, {"key": "b", "then": far}]);
                json!({"id": id, "kind": "split", "variants": variants})
            }
            _ => json!({"id": id, "kind": "tag", "add": ["seen"]}),
        });
    }
    steps.push(end());
    steps
}

/// What lies on the way of a run, worked out by hand.
enum On<'s> {
    /// An effect.
    Effect(&'s str),
    /// A wait that is over.
    Over,
    /// A wait for so many days in which it stands.
    Stands(i64),
}

fn is_mail(on: &On<'_>) -> bool {
    matches!(on, On::Effect(id) if id.starts_with("mail"))
}

/// The way of a run from the first step on. `behind` is when that was due, where what was over by `now` is passed; none where it
/// stands in the first wait.
fn way(steps: &[Value], behind: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Vec<On<'_>> {
    let place = |id: &Value| steps.iter().position(|step| step["id"] == *id);
    let (mut on, mut here, mut at) = (Vec::new(), 0, behind);
    loop {
        let step = &steps[here];
        let id = step["id"].as_str().unwrap();
        let days = ["duration", "timeout"].iter().find_map(|field| step[*field].as_str());
        let days: i64 = days.map_or(0, |days| days.trim_end_matches('d').parse().unwrap());
        let next = match id.split('_').next().unwrap() {
            "done" => return on,
            "wait" | "reads" => {
                at = at.map(|at| at + TimeDelta::days(days));
                if at.is_none_or(|at| at > now) {
                    on.push(On::Stands(days));
                    return on;
                }
                on.push(On::Over);
                place(&step["on_timeout"])
            }
            "lot" => {
                let variant = choose("k", id, Uuid::nil(), &[1, 1]).unwrap();
                place(&step["variants"][variant]["then"])
            }
            kind => {
                on.push(On::Effect(id));
                match kind {
                    // With the newest alone it is made, and waited for.
                    "call" if behind.is_some() => return on,
                    "call" => place(&step["on"]["timed_out"]),
                    _ => place(&step["on"]["success"]),
                }
            }
        };
        here = next.unwrap_or(here + 1);
    }
}

fn effects<'s>(on: &[On<'s>]) -> Vec<&'s str> {
    on.iter().filter_map(|on| if let On::Effect(id) = on { Some(*id) } else { None }).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn with_the_newest_alone_everything_happens_that_would_have_by_now_but_for_the_emails_before_it(
        drawn in drawn(60),
        days in 1..40_i64,
    ) {
        let steps = steps(drawn);
        let mut person = resting(&steps);
        person.helpful = true;
        let behind = person.now + TimeDelta::days(1);
        catch_up(&mut person, days, Way::Latest);
        let on = way(&steps, Some(behind), person.now);
        let newest = on.iter().rposition(is_mail);
        let (before, after) = on.split_at(newest.unwrap_or(0));
        // What follows an e-mail waits from that on.
        let until = after.iter().position(|on| newest.is_some() && matches!(on, On::Over)).unwrap_or(after.len());
        let (old, rest): (Vec<&str>, Vec<&str>) = effects(before).into_iter().partition(|id| id.starts_with("mail"));
        let expected: Vec<&str> = rest.into_iter().chain(effects(&after[..until])).collect();
        prop_assert_eq!((taken(&person), left_out(&person)), (expected, old.clone()), "{:#?}", steps);
        person.finish();
        prop_assert_eq!((person.runs[0].enrollment.state, left_out(&person)), (COMPLETED, old), "{:#?}", steps);
    }

    #[test]
    fn whoever_skips_leaves_out_everything_up_to_the_next_wait_and_nothing_after_it(drawn in drawn(60), days in 1..40_i64) {
        let steps = steps(drawn);
        let mut person = resting(&steps);
        person.helpful = true;
        catch_up(&mut person, days, Way::Skip);
        let on = way(&steps, None, person.now);
        let (kept, skipped): (Vec<&str>, Vec<&str>) = effects(&on).into_iter().partition(|id| id.starts_with("tag"));
        prop_assert_eq!((taken(&person), left_out(&person)), (kept, skipped.clone()), "{:#?}", steps);
        let due = match on.last() {
            Some(On::Stands(days)) => Some(person.now + TimeDelta::days(*days)),
            _ => None,
        };
        let run = &person.runs[0].enrollment;
        prop_assert_eq!((run.due_at, run.state.is_live(), run.trail.catch_up), (due, due.is_some(), None));
        person.finish();
        prop_assert_eq!((person.runs[0].enrollment.state, left_out(&person)), (COMPLETED, skipped), "{:#?}", steps);
    }
}

#[test]
fn an_e_mail_that_is_put_off_is_not_sent_once_the_goal_of_its_run_came_about() {
    let mut person = resting(&[mail("good"), end()]);
    person.fates = Choices::new(vec![1]);
    person.pass(TimeDelta::hours(24));
    assert_eq!(person.emails[0].state, EmailState::Deferred);
    let ended = finish(person.runs[0].enrollment.clone(), FinishReason::Goal, person.now).unwrap();
    person.took(0, ended);
    person.pass(TimeDelta::days(9));
    assert_eq!(person.emails[0].state, EmailState::Refused);
}
