//! An enrolment's story: what the entries of the ledger say about a run, in the words of somebody who asks why.
//!
//! Nothing is made up here. What decided a step is on the record as it was decided: the condition of a branch and whether it
//! held, the goal or the exit that ended a run, what a wait is for. What the person's data were is not, since the record is
//! never erased and the data must be.

use crate::codes;
use crate::ledger::Entry;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

codes! {
    /// What an entry of a story is about.
    pub enum BeatKind("kind of story entry") {
        /// The run began.
        Started = "STARTED",
        /// Steps were taken, or one was put off.
        Advanced = "ADVANCED",
        /// The run paused, or pauses for longer.
        Paused = "PAUSED",
        /// The run goes on after a pause.
        Resumed = "RESUMED",
        /// The run is over.
        Ended = "ENDED",
        /// Something became of an e-mail of the run.
        Email = "EMAIL",
        /// Something became of a task of the run.
        Task = "TASK",
        /// The person did something with an e-mail of the run.
        Interaction = "INTERACTION",
        /// Anything else on the record of the run.
        Other = "OTHER",
    }
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTaken {
    /// The step's id.
    pub step: String,
    /// Its kind, e.g. `send_email`.
    pub kind: String,
    /// The visit under which it was taken.
    pub visit: u32,
    /// The variant that a split chose.
    pub variant: Option<String>,
    /// The code of why its effect was left out, where it was.
    pub skipped: Option<String>,
    /// The condition that decided where to go, in CEL.
    pub condition: Option<String>,
    /// Whether that held.
    pub held: Option<bool>,
    /// The version of the stored template that its e-mail was taken from, e.g. `welcome_mail@3`.
    pub template: Option<String>,
    /// Why its effect was refused, where it was and the run goes on.
    pub refused: Option<Refused>,
}

/// Why the effect of a step was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The stable code.
    pub code: String,
    /// The sentence that says what to do next.
    pub message: String,
}

/// What a run waits or pauses for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// The code of the reason: of a wait, or of a pause.
    pub reason: String,
    /// Until when at the latest; none for a pause that somebody must end.
    pub until: Option<DateTime<Utc>>,
    /// What put the step off, where the reason does not say it, e.g. `CONSENT_UNKNOWN`.
    pub held_by: Option<String>,
}

/// The rule that ended a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grounds {
    /// `goal`, `exit` or `standing`.
    pub rule: String,
    /// The condition that held, in CEL; or the standing of the person.
    pub text: String,
}

/// One entry of a story.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    /// What it is about.
    pub kind: BeatKind,
    /// The steps, in the order in which they were taken.
    pub steps: Vec<StepTaken>,
    /// What the run waits or pauses for after it.
    pub waits: Option<Waits>,
    /// The rule that ended the run.
    pub grounds: Option<Grounds>,
    /// All of it in one sentence.
    pub sentence: String,
}

fn text(of: &Map<String, Value>, key: &str) -> Option<String> {
    of.get(key)?.as_str().map(str::to_owned)
}

fn moment(of: &Map<String, Value>, key: &str) -> Option<DateTime<Utc>> {
    of.get(key)?.as_str()?.parse().ok()
}

/// The steps that a fact says were taken. What is not of the form is left out.
pub fn steps_taken(detail: &Map<String, Value>) -> Vec<StepTaken> {
    let taken = detail.get("taken").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let step = |one: &Value| {
        let one = one.as_object()?;
        Some(StepTaken {
            step: text(one, "step")?,
            kind: text(one, "kind")?,
            visit: one.get("visit").and_then(Value::as_u64).and_then(|visit| u32::try_from(visit).ok())?,
            variant: text(one, "variant"),
            skipped: text(one, "skipped"),
            condition: text(one, "when"),
            held: one.get("held").and_then(Value::as_bool),
            template: text(one, "template"),
            refused: None,
        })
    };
    let mut taken: Vec<StepTaken> = taken.iter().filter_map(step).collect();
    // Only the last of the steps that were taken together has an effect.
    if let (Some(last), Some(came_of)) = (taken.last_mut(), detail.get("came_of").and_then(Value::as_object)) {
        let refused = |code| Refused { code, message: text(came_of, "message").unwrap_or_default() };
        last.refused = text(came_of, "refused").map(refused);
    }
    taken
}

/// The reason in a state such as `WAITING(TIME)`, where it is of this kind.
fn reason_in(state: Option<&str>, kind: &str) -> Option<String> {
    Some(state?.strip_prefix(kind)?.strip_prefix('(')?.strip_suffix(')')?.to_owned())
}

fn waits(entry: &Entry) -> Option<Waits> {
    let after = entry.state_after.as_deref();
    let held_by = text(&entry.detail, "held_by");
    if let Some(reason) = reason_in(after, "WAITING") {
        return Some(Waits { reason, until: moment(&entry.detail, "due_at"), held_by });
    }
    let pause = match entry.kind.as_str() {
        "enrollment.pause_extended" => entry.reason.clone(),
        _ => reason_in(after, "PAUSED"),
    };
    pause.map(|reason| Waits { reason, until: moment(&entry.detail, "until"), held_by })
}

fn grounds(entry: &Entry) -> Option<Grounds> {
    let found = entry.detail.get("grounds")?.as_object()?;
    let (rule, text) = found.iter().next()?;
    Some(Grounds { rule: rule.clone(), text: text.as_str()?.to_owned() })
}

/// What an entry of the ledger says about a run.
pub fn beat(entry: &Entry) -> Beat {
    let kind = match entry.kind.as_str() {
        "enrollment.started" => BeatKind::Started,
        "enrollment.advanced" => BeatKind::Advanced,
        "enrollment.paused" | "enrollment.pause_extended" => BeatKind::Paused,
        "enrollment.resumed" => BeatKind::Resumed,
        "enrollment.ended" => BeatKind::Ended,
        kind if kind.starts_with("email.") => BeatKind::Email,
        kind if kind.starts_with("work_item.") => BeatKind::Task,
        kind if kind.starts_with("interaction.") => BeatKind::Interaction,
        _ => BeatKind::Other,
    };
    let (steps, waits, grounds) = (steps_taken(&entry.detail), waits(entry), grounds(entry));
    let sentence = sentence(entry, kind, &steps, waits.as_ref(), grounds.as_ref());
    Beat { kind, steps, waits, grounds, sentence }
}

fn step_in_words(step: &StepTaken) -> String {
    let StepTaken { step, kind, variant, skipped, condition, held, template, refused, .. } = step;
    let mut words = format!("took `{step}` ({kind})");
    if let Some(template) = template {
        words.push_str(&format!(", from the template `{template}`"));
    }
    if let Some(variant) = variant {
        words.push_str(&format!(", variant `{variant}`"));
    }
    if let Some(condition) = condition {
        let held = match held {
            Some(true) => "held",
            Some(false) => "did not hold",
            None => "was looked at",
        };
        words.push_str(&format!(", since `{condition}` {held}"));
    }
    if let Some(skipped) = skipped {
        words.push_str(&format!(", without its effect: {skipped}"));
    }
    if let Some(Refused { code, message }) = refused {
        words.push_str(&format!(", which was refused: {code} ({message})"));
    }
    words
}

/// What a run came to know while it waited, or that it was moved; none for what no word is known for.
fn what_the_run_learnt(entry: &Entry) -> Option<String> {
    let detail = &entry.detail;
    let step = text(detail, "step")?;
    let words = match entry.kind.as_str() {
        "enrollment.answered" => {
            let way = text(detail, "next").unwrap_or(step);
            match text(detail, "code") {
                Some(code) => format!("its call failed: {code}; goes on with `{way}`"),
                None => format!("its call succeeded; goes on with `{way}`"),
            }
        }
        "enrollment.migrated" => {
            let (rule, before) = (text(detail, "from_rule")?, text(detail, "from_step")?);
            let now = entry.rule.as_deref()?.trim_start_matches("sequence:");
            format!("moved from {rule} to {now}: before it stood at `{before}`, now at `{step}`")
        }
        "enrollment.email_settled" => {
            let email = detail.get("email").and_then(Value::as_object)?;
            let (of, state) = (text(email, "step")?, text(email, "state")?);
            let obstacle = text(email, "obstacle").map(|obstacle| format!(" ({obstacle})")).unwrap_or_default();
            format!("its e-mail of `{of}` is {state}{obstacle}; goes on with `{step}`")
        }
        "enrollment.email_awaited" => {
            let until = moment(detail, "due_at")?.format("%Y-%m-%d %H:%M UTC");
            format!("its e-mail is held back and not sent yet; waits for it until {until}")
        }
        "enrollment.task_settled" => {
            let (outcome, way) = (text(detail, "outcome")?, text(detail, "goes_on_at").unwrap_or(step));
            format!("its task ended as {outcome}; goes on with `{way}`")
        }
        "enrollment.event_heard" => {
            let kind = text(detail, "kind").map(|kind| format!(" {kind}")).unwrap_or_default();
            let noted = detail.get("noted_for").and_then(Value::as_array).into_iter().flatten();
            let noted: Vec<String> = noted.filter_map(|step| Some(format!("`{}`", step.as_str()?))).collect();
            match (entry.state_after.is_some(), noted.is_empty()) {
                (false, false) => format!("heard{kind}, noted for {}", noted.join(", ")),
                _ => format!("heard{kind}, what it waited for in `{step}`"),
            }
        }
        _ => return None,
    };
    Some(words)
}

fn sentence(
    entry: &Entry,
    kind: BeatKind,
    steps: &[StepTaken],
    waits: Option<&Waits>,
    grounds: Option<&Grounds>,
) -> String {
    let mut parts: Vec<String> = Vec::new();
    let because = entry.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match kind {
        BeatKind::Started => {
            let by = if entry.actor_role == "SYSTEM" { "Tandem" } else { entry.actor_role.as_str() };
            let trigger = text(&entry.detail, "trigger").map(|trigger| format!(", by {trigger}")).unwrap_or_default();
            parts.push(format!("enrolled by {by}{trigger}"));
        }
        BeatKind::Resumed => parts.push("goes on".to_owned()),
        BeatKind::Paused => parts.push(format!("pauses{because}")),
        BeatKind::Advanced | BeatKind::Ended => {}
        BeatKind::Other if what_the_run_learnt(entry).is_some() => parts.extend(what_the_run_learnt(entry)),
        BeatKind::Email | BeatKind::Task | BeatKind::Interaction | BeatKind::Other => {
            let (family, verb) = entry.kind.split_once('.').unwrap_or(("record", entry.kind.as_str()));
            let what = match kind {
                BeatKind::Email => "the e-mail",
                BeatKind::Task => "the task",
                BeatKind::Interaction => "the person",
                _ => family,
            };
            let verb = match (kind, text(&entry.detail, "kind")) {
                (BeatKind::Interaction, Some(done)) => format!("did {done}"),
                _ => verb.replace('_', " "),
            };
            parts.push(format!("{what}: {verb}{because}"));
        }
    }
    parts.extend(steps.iter().map(step_in_words));
    if kind == BeatKind::Ended {
        let state = entry.state_after.as_deref().unwrap_or("over");
        let told = reason_in(entry.state_after.as_deref(), state.split('(').next().unwrap_or_default());
        let why = entry.reason.as_ref().filter(|reason| told.as_ref() != Some(*reason));
        let why = why.map(|why| match text(&entry.detail, "message") {
            Some(message) => format!(": {why} ({message})"),
            None => format!(": {why}"),
        });
        let rule = grounds.map(|Grounds { rule, text }| match rule.as_str() {
            "standing" => format!(", since the person's standing is {text}"),
            _ => format!(", since the {rule} says `{text}`"),
        });
        parts.push(format!("ended as {state}{}{}", rule.unwrap_or_default(), why.unwrap_or_default()));
    }
    if let Some(Waits { reason, until, held_by }) = waits {
        let held_by = held_by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
        let until = until.map(|until| format!(" until {}", until.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default();
        match kind {
            BeatKind::Paused => parts.push(format!("{}{held_by}", until.trim_start())),
            _ => parts.push(format!("waits for {reason}{held_by}{until}")),
        }
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { entry.kind.clone() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn entry(kind: &str, moved: Option<(&str, &str)>, reason: Option<&str>, detail: Value) -> Entry {
        let (state_before, state_after) = moved.map(|(a, b)| (a.to_owned(), b.to_owned())).unzip();
        Entry {
            seq: 1,
            at: 0,
            recorded_at: 0,
            book: "LEDGER".to_owned(),
            kind: kind.to_owned(),
            subject_kind: "Enrollment".to_owned(),
            subject_id: Uuid::nil(),
            lead_id: None,
            account_id: None,
            actor_id: None,
            actor_role: "SYSTEM".to_owned(),
            side: None,
            state_before,
            state_after,
            reason: reason.map(str::to_owned),
            rule: Some("sequence:welcome@3".to_owned()),
            request_id: "r".to_owned(),
            idempotency_key: None,
            detail: detail.as_object().cloned().unwrap(),
        }
    }

    #[test]
    fn a_step_tells_the_condition_that_decided_and_what_is_waited_for() {
        let taken = json!([
            {"step": "ask", "kind": "branch", "visit": 3, "when": "contact.phone != null", "held": false},
            {"step": "pause", "kind": "wait", "visit": 4},
        ]);
        let detail = json!({"taken": taken, "due_at": "2026-03-05T09:00:00Z"});
        let beat = beat(&entry("enrollment.advanced", Some(("ACTIVE", "WAITING(TIME)")), None, detail));
        assert_eq!((beat.kind, beat.steps.len()), (BeatKind::Advanced, 2));
        assert_eq!(
            (beat.steps[0].condition.as_deref(), beat.steps[0].held),
            (Some("contact.phone != null"), Some(false))
        );
        assert_eq!(beat.waits.as_ref().unwrap().reason, "TIME");
        let words = "took `ask` (branch), since `contact.phone != null` did not hold; took `pause` (wait); \
                     waits for TIME until 2026-03-05 09:00 UTC";
        assert_eq!(beat.sentence, words);
    }

    #[test]
    fn an_end_names_the_rule_that_made_it() {
        let detail = json!({"grounds": {"goal": "lead.stage == 'ACCEPTED'"}});
        let beat = beat(&entry("enrollment.ended", Some(("ACTIVE", "FINISHED(GOAL)")), Some("GOAL"), detail));
        assert_eq!(
            beat.grounds.unwrap(),
            Grounds { rule: "goal".to_owned(), text: "lead.stage == 'ACCEPTED'".to_owned() }
        );
        assert_eq!(beat.sentence, "ended as FINISHED(GOAL), since the goal says `lead.stage == 'ACCEPTED'`");
    }

    #[test]
    fn every_entry_has_words_also_one_that_nobody_knew() {
        for (kind, moved, reason, detail, words) in [
            ("enrollment.started", None, None, json!({}), "enrolled by Tandem"),
            (
                "enrollment.paused",
                Some(("ACTIVE", "PAUSED(OUT_OF_OFFICE)")),
                Some("OUT_OF_OFFICE"),
                json!({"until": "2026-03-05T09:00:00Z"}),
                "pauses: OUT_OF_OFFICE; until 2026-03-05 09:00 UTC",
            ),
            ("enrollment.resumed", Some(("PAUSED(MANUAL)", "ACTIVE")), None, json!({}), "goes on"),
            (
                "enrollment.advanced",
                Some(("ACTIVE", "WAITING(EVENT)")),
                None,
                json!({"taken": [], "due_at": "2026-03-05T09:00:00Z", "held_by": "CONSENT_UNKNOWN"}),
                "waits for EVENT (CONSENT_UNKNOWN) until 2026-03-05 09:00 UTC",
            ),
            (
                "email.refused",
                Some(("PLANNED", "REFUSED")),
                Some("SUPPRESSED"),
                json!({}),
                "the e-mail: refused: SUPPRESSED",
            ),
            (
                "enrollment.advanced",
                Some(("ACTIVE", "ACTIVE")),
                None,
                json!({"taken": [{"step": "go", "kind": "branch", "visit": 1}, {"step": "s", "kind": "start_sequence", "visit": 2}],
                    "came_of": {"refused": "SEQUENCE_NOT_ACTIVE", "message": "resume it first"}}),
                "took `go` (branch); took `s` (start_sequence), which was refused: SEQUENCE_NOT_ACTIVE (resume it first)",
            ),
            (
                "enrollment.ended",
                Some(("ACTIVE", "OPTED_OUT")),
                Some("COMPLAINT"),
                json!({"grounds": {"standing": "SUPPRESSED"}}),
                "ended as OPTED_OUT, since the person's standing is SUPPRESSED: COMPLAINT",
            ),
            (
                "enrollment.ended",
                Some(("ACTIVE", "FAILED")),
                Some("CALL_OVERDUE"),
                json!({"message": "nobody came to know"}),
                "ended as FAILED: CALL_OVERDUE (nobody came to know)",
            ),
            (
                "enrollment.answered",
                Some(("WAITING(ANSWER)", "ACTIVE")),
                None,
                json!({"step": "call", "next": "thanks", "code": null}),
                "its call succeeded; goes on with `thanks`",
            ),
            (
                "enrollment.answered",
                Some(("WAITING(ANSWER)", "ACTIVE")),
                None,
                json!({"step": "call", "next": "sorry", "code": "CALL_REFUSED"}),
                "its call failed: CALL_REFUSED; goes on with `sorry`",
            ),
            (
                "enrollment.migrated",
                None,
                None,
                json!({"step": "later", "from_rule": "welcome@2", "from_step": "pause"}),
                "moved from welcome@2 to welcome@3: before it stood at `pause`, now at `later`",
            ),
            (
                "enrollment.email_settled",
                Some(("WAITING(EMAIL)", "ACTIVE")),
                None,
                json!({"step": "pause", "email": {"step": "hello", "state": "REFUSED", "obstacle": "CAPPED"}}),
                "its e-mail of `hello` is REFUSED (CAPPED); goes on with `pause`",
            ),
            // As entries were written before.
            ("enrollment.email_settled", None, None, json!({"step": "pause"}), "enrollment: email settled"),
            (
                "enrollment.task_settled",
                Some(("WAITING(TASK)", "ACTIVE")),
                None,
                json!({"step": "after", "outcome": "DONE", "goes_on_at": "after"}),
                "its task ended as DONE; goes on with `after`",
            ),
            (
                "enrollment.event_heard",
                Some(("WAITING(EVENT)", "ACTIVE")),
                None,
                json!({"step": "hear", "kind": "EMAIL_CLICK", "noted_for": []}),
                "heard EMAIL_CLICK, what it waited for in `hear`",
            ),
            (
                "enrollment.event_heard",
                None,
                None,
                json!({"step": "hello", "kind": "EMAIL_CLICK", "noted_for": ["hear"]}),
                "heard EMAIL_CLICK, noted for `hear`",
            ),
            ("work_item.completed", None, None, json!({}), "the task: completed"),
            ("interaction.recorded", None, None, json!({"kind": "EMAIL_CLICK"}), "the person: did EMAIL_CLICK"),
            (concat!("enrollment", ".moved_on"), None, Some("X"), json!({"taken": 7}), "enrollment: moved on: X"),
            ("odd", None, None, json!({}), "record: odd"),
        ] {
            assert_eq!(beat(&entry(kind, moved, reason, detail)).sentence, words);
        }
    }
}
