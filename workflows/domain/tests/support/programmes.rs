//! Random programmes that break no rule: with every kind of step, ways that part and join, loops that wait, hours and calendars,
//! goals and exits. A kind that is not written here makes every test fail that uses them.

use crate::choices::Choices;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tandem_domain::sequence::steps::NAMES;

/// What conditions are made of. Each has a value for everybody.
const CONDITIONS: [&str; 14] = [
    "contact.phone != null",
    "'vip' in contact.tags",
    "has(contact.custom.mark) && contact.custom.mark == 'yes'",
    "has(contact.custom.mark)",
    "account != null && 'abm' in account.tags",
    "account != null && has(account.custom.mark)",
    "lead != null && lead.priority > 55",
    "lead != null && 'hot' in lead.tags",
    "enrollment.last_task_outcome == 'DONE'",
    "enrollment.last_task_outcome == 'TIMED_OUT'",
    "enrollment.event != null",
    "has(enrollment.vars.kept)",
    "enrollment.visit > 7",
    "timestamp(now) > timestamp('2026-03-29T00:00:00Z')",
];

/// Which values `contact.consent` and the like come to is decided outside of the programme.
const GOAL: &str = "has(contact.custom.bought) && contact.custom.bought == 'yes'";
const EXIT: &str = "'gone' in contact.tags";
const TIMES: [&str; 6] = ["09:00", "00:00", "02:30", "01:30", "17:45", "23:30"];
const SPANS: [&str; 7] = ["1d", "2h", "30m", "36h", "3d", "9d", "45d"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Which programmes are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The key of the sequence.
    pub key: &'static str,
    /// At most so many steps on its main way, at least one.
    pub most: usize,
    /// Whether ways may lead back.
    pub loops: bool,
    /// Whether a programme may have ways that part, and end early; else everybody takes all of its steps.
    pub forks: bool,
    /// Whether it may belong to the group of which a person runs through one sequence at a time.
    pub exclusive: bool,
}

struct Writer<'c> {
    choices: &'c mut Choices,
    wanted: Wanted,
    counts: BTreeMap<&'static str, u32>,
    /// From the last step to the first.
    steps: Vec<Value>,
}

/// A programme, as its source: JSON, which is YAML.
pub fn programme(choices: &mut Choices, wanted: Wanted) -> String {
    let mut header = header(choices, wanted);
    let mut writer = Writer { choices, wanted, counts: BTreeMap::new(), steps: Vec::new() };
    let outcome = *writer.choices.of(&["completed", "goal", "exit", "meeting_booked"]);
    writer.put("done", "end", json!({"outcome": outcome}));
    writer.way(1, wanted.most, 0, "done");
    let mut steps: Vec<Value> = writer.steps.into_iter().rev().collect();
    // What follows anyway need not be said.
    for at in 1..steps.len() {
        let follows = steps[at]["id"].clone();
        if let Some(step) = steps[at - 1].as_object_mut()
            && step.get("next") == Some(&follows)
        {
            step.remove("next");
        }
    }
    header.insert("steps".to_owned(), Value::Array(steps));
    Value::Object(header).to_string()
}

fn hours(choices: &mut Choices) -> Value {
    // Also over midnight, and around the clock.
    let (from, to) = (*choices.of(&TIMES), *choices.of(&["17:00", "06:00", "02:30", "09:00", "12:00"]));
    let (from, to) = if from == to { ("00:00", "00:00") } else { (from, to) };
    let mut hours = json!({"from": from, "to": to});
    if choices.once_in(3) {
        let first = choices.below(DAYS.len());
        hours["weekdays"] = json!([DAYS[first], DAYS[(first + 2) % 7], DAYS[(first + 3) % 7]]);
    }
    if choices.once_in(4) {
        hours["calendar"] = json!("china");
    }
    hours
}

fn header(choices: &mut Choices, wanted: Wanted) -> Map<String, Value> {
    let mut header = Map::new();
    let mut put = |key: &str, value: Value| header.insert(key.to_owned(), value);
    put("key", json!(wanted.key));
    put("name", json!("A programme"));
    put("subject", json!("contact"));
    put("snippets", json!({"signature": "{{ sender.name }}: {{ unsubscribe_url }}"}));
    if choices.once_in(3) {
        put("subject", json!("lead"));
    }
    if choices.once_in(3) {
        put("send_window", hours(choices));
    }
    if choices.once_in(3) {
        put("calendar", json!("china"));
    }
    if choices.once_in(3) {
        put("goal", json!(GOAL));
    }
    if choices.once_in(3) {
        put("exit", json!(EXIT));
    }
    if choices.once_in(4) {
        put("reentry", json!({"key": "contact.source == null ? '' : contact.source", "after": "1d"}));
    }
    if choices.once_in(4) {
        put("stop_on_opportunity", json!(true));
    }
    if choices.once_in(4) {
        put("stop_on_meeting", json!(false));
    }
    if wanted.exclusive && choices.once_in(2) {
        put("exclusive", json!("nurture"));
        put("priority", json!(choices.below(101)));
    }
    header
}

impl Writer<'_> {
    fn name(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        format!("{kind}_{count}")
    }

    fn put(&mut self, id: &str, kind: &str, settings: Value) {
        let mut step = Map::from_iter([("id".to_owned(), json!(id)), ("kind".to_owned(), json!(kind))]);
        if let Value::Object(settings) = settings {
            step.extend(settings);
        }
        self.steps.push(Value::Object(step));
    }

    /// Writes a step that goes on to `to`, and gives its name.
    fn plain(&mut self, kind: &'static str, mut settings: Value, to: &str) -> String {
        let id = self.name(kind);
        settings["next"] = json!(to);
        self.put(&id, kind, settings);
        id
    }

    /// Writes a way of some steps that leads to `to`, from its last step to its first; gives the name of the first.
    fn way(&mut self, least: usize, most: usize, depth: usize, to: &str) -> String {
        let count = least + self.choices.below(most + 1 - least);
        let mut first = to.to_owned();
        for _ in 0..count {
            first = self.item(depth, &first);
        }
        first
    }

    /// Writes a way that leaves the main one: back to it, to the end of everything, or to an end of its own.
    fn arm(&mut self, depth: usize, to: &str) -> String {
        if !self.wanted.forks {
            return to.to_owned();
        }
        match self.choices.below(4) {
            1 if depth < 2 => self.way(0, 2, depth + 1, to),
            2 => "done".to_owned(),
            3 => self.last(depth),
            _ => to.to_owned(),
        }
    }

    fn last(&mut self, depth: usize) -> String {
        let id = self.name("end");
        let outcome = *self.choices.of(&["completed", "exit", "goal"]);
        self.put(&id, "end", json!({"outcome": outcome}));
        if depth < 2 { self.way(0, 1, depth + 1, &id) } else { id }
    }

    fn condition(&mut self) -> String {
        let one = *self.choices.of(&CONDITIONS);
        match self.choices.below(4) {
            2 => format!("!({one})"),
            3 => format!("({one}) || {}", self.choices.of(&CONDITIONS)),
            _ => one.to_owned(),
        }
    }

    /// A round that begins with a wait and is left after a while.
    fn round(&mut self, depth: usize, to: &str) -> String {
        let (head, back) = (self.name("wait"), self.name("branch"));
        let most = 4 + self.choices.below(16);
        self.put(&back, "branch", json!({"when": format!("enrollment.visit > {most}"), "then": to, "else": head}));
        let body = self.way(0, 2, depth + 1, &back);
        let span = *self.choices.of(&SPANS);
        self.put(&head, "wait", json!({"duration": span, "next": body}));
        head
    }

    /// Writes one step, with the ways that it needs, before `to`.
    fn item(&mut self, depth: usize, to: &str) -> String {
        if self.wanted.loops && depth < 2 && self.choices.once_in(9) {
            return self.round(depth, to);
        }
        let kind = *self.choices.of(NAMES);
        match kind {
            "send_email" => {
                let settings = self.email();
                self.plain("send_email", settings, to)
            }
            "wait" => {
                let settings = self.pause();
                self.plain("wait", settings, to)
            }
            "wait_for" => self.listening(depth, to),
            "create_task" => self.task(depth, to),
            "notify" => {
                let text = json!({"channel": "room", "title": "About {{ contact.name | default('somebody') }}",
                    "text": "{{ contact.email | default('-') }}, {{ enrollment.step }}"});
                self.call(depth, "notify", text, to)
            }
            "call_webhook" => {
                let mut settings = json!({"channel": "crm", "body": "{'email': contact.email, 'at': enrollment.step}"});
                if self.choices.once_in(3) {
                    settings = json!({"channel": "crm", "method": "GET", "query": {"email": "contact.email"}});
                }
                if self.choices.once_in(2) {
                    settings["as"] = json!("kept");
                }
                self.call(depth, "call_webhook", settings, to)
            }
            "branch" => {
                let (when, then) = (self.condition(), self.arm(depth, to));
                self.both("branch", to, then, |one, other| json!({"when": when, "then": one, "else": other}))
            }
            "split" => {
                let then = self.arm(depth, to);
                let weight = 1 + self.choices.below(5);
                self.both("split", to, then, |one, other| {
                    json!({"variants": [{"key": "a", "then": one}, {"key": "b", "weight": weight, "then": other}]})
                })
            }
            "end" => {
                // An end that only some come to.
                let (when, then) = (self.condition(), if self.wanted.forks { self.last(2) } else { to.to_owned() });
                self.both("branch", to, then, |one, other| json!({"when": when, "then": other, "else": one}))
            }
            "check_goal" => {
                let when = if self.wanted.forks { self.condition() } else { "enrollment.visit > 9000".to_owned() };
                self.plain("check_goal", json!({"when": when}), to)
            }
            "set_field" => {
                let settings = self
                    .choices
                    .of(&[
                        json!({"field": "contact.mark", "value": "yes"}),
                        json!({"field": "contact.mark", "value": "at {{ enrollment.visit }}"}),
                        json!({"field": "account.mark", "value": "yes"}),
                        json!({"field": "lead.priority", "value": 60}),
                        json!({"field": "lead.priority", "value": "70"}),
                        json!({"field": "lead.priority", "expression": "lead == null ? 50 : lead.priority + 1"}),
                        json!({"field": "contact.mark", "value": null}),
                    ])
                    .clone();
                self.plain("set_field", settings, to)
            }
            "tag" => {
                let settings = self
                    .choices
                    .of(&[
                        json!({"add": ["VIP"]}),
                        json!({"remove": ["vip"]}),
                        json!({"of": "account", "add": ["abm"], "remove": ["old"]}),
                        json!({"of": "lead", "add": ["hot"]}),
                    ])
                    .clone();
                self.plain("tag", settings, to)
            }
            "consent" => {
                let state = if self.wanted.forks && self.choices.once_in(6) { "withdrawn" } else { "granted" };
                self.plain("consent", json!({"state": state, "source": "the form of {{ enrollment.step }}"}), to)
            }
            "propose" => {
                let settings =
                    json!({"list": "tier-one", "tier": "T1", "reasons": ["ICP_FIT"], "proposer": "olga@example.com"});
                self.plain("propose", settings, to)
            }
            "hand_to_sdr" => {
                let settings =
                    self.choices.of(&[json!({}), json!({"team": "Inbound", "priority": 80, "notes": "Look"})]).clone();
                self.plain("hand_to_sdr", settings, to)
            }
            "start_sequence" => {
                self.plain("start_sequence", json!({"sequence": "other", "vars": {"visit": "enrollment.visit"}}), to)
            }
            "stop_sequence" => self.plain("stop_sequence", json!({"sequence": "other"}), to),
            unknown => {
                panic!("there are steps of the kind `{unknown}`, and random programmes have none: write them here")
            }
        }
    }

    /// A step with two ways, of which the main one is either.
    fn both(&mut self, kind: &'static str, to: &str, then: String, settings: impl Fn(&str, &str) -> Value) -> String {
        let id = self.name(kind);
        let settings = if self.choices.once_in(2) { settings(to, &then) } else { settings(&then, to) };
        self.put(&id, kind, settings);
        id
    }

    fn email(&mut self) -> Value {
        let template = json!({"subject": "{{ enrollment.step }} for {{ contact.first_name | default('you') }}",
            "text": "Mark {{ contact.custom.mark | default('none') }}. {% include \"signature\" %}"});
        let mut settings = json!({"template": template});
        if self.choices.once_in(4) {
            settings["languages"] = json!({"zh": {"subject": "您好 {{ enrollment.step }}", "text": "谢谢 {{ unsubscribe_url }}",
                "html": "<p>谢谢</p>"}});
        }
        if self.choices.once_in(5) {
            settings["transactional"] = json!(true);
        }
        if self.choices.once_in(4) {
            settings["pool"] = json!("outreach");
        }
        settings
    }

    fn pause(&mut self) -> Value {
        match self.choices.below(6) {
            3 => json!({"until": {"time": self.choices.of(&TIMES)}}),
            4 => {
                json!({"until": {"weekdays": [self.choices.of(&DAYS), self.choices.of(&DAYS)], "time": self.choices.of(&TIMES)}})
            }
            5 if self.choices.once_in(2) => json!({"business_days": 1 + self.choices.below(5), "calendar": "china"}),
            5 => json!({"business_time": self.choices.of(&["4h", "30m", "20h"]), "calendar": "china"}),
            _ => json!({"duration": self.choices.of(&SPANS)}),
        }
    }

    fn listening(&mut self, depth: usize, to: &str) -> String {
        let mut settings = match self.choices.below(4) {
            1 => json!({"condition": self.condition()}),
            2 => json!({"event": ["PAGE"], "when": "event.name == 'Pricing'"}),
            3 => json!({"event": ["DOWNLOAD"], "since": "enrollment"}),
            _ => json!({"event": ["DOWNLOAD", "FORM"]}),
        };
        settings["timeout"] = json!(self.choices.of(&SPANS));
        if self.choices.once_in(2) {
            settings["on_timeout"] = json!(self.arm(depth, to));
        }
        self.plain("wait_for", settings, to)
    }

    fn task(&mut self, depth: usize, to: &str) -> String {
        let due_in = *self.choices.of(&["1d", "2h", "5d"]);
        let mut settings = json!({"title": "Call {{ contact.name | default('them') }}", "due_in": due_in});
        if self.choices.once_in(3) {
            settings["channel"] = json!("call");
            settings["team"] = json!("Inbound");
            settings["notes"] = json!("Visit {{ enrollment.visit }}");
        }
        if self.choices.once_in(2) {
            settings["wait"] = json!(true);
            if self.choices.once_in(2) {
                settings["timeout"] = json!(self.choices.of(&SPANS));
            }
            for end in ["timed_out", "no_answer", "interested"] {
                if self.choices.once_in(4) {
                    settings["on"][end] = json!(self.arm(depth, to));
                }
            }
        }
        self.plain("create_task", settings, to)
    }

    fn call(&mut self, depth: usize, kind: &'static str, mut settings: Value, to: &str) -> String {
        if self.choices.once_in(4) {
            settings["retry_for"] = json!("6h");
        }
        if self.choices.once_in(2) {
            settings["on"]["failure"] = json!(self.arm(depth, to));
        }
        if self.choices.once_in(4) {
            let id = self.name(kind);
            settings["on"]["success"] = json!(to);
            self.put(&id, kind, settings);
            return id;
        }
        self.plain(kind, settings, to)
    }
}
