//! What a webhook does with a payload: actions whose fields are expressions over it.

use crate::codes;
use crate::expression::{self, Expression};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

codes! {
    /// What an action of an inbound webhook does. Each is the command of the same name.
    pub enum ActionKind("webhook action") {
        /// Makes an account or merges into the one with the same keys.
        AccountUpsert = "ACCOUNT_UPSERT",
        /// Sets fields of an account that is there.
        AccountChange = "ACCOUNT_CHANGE",
        /// Makes a contact or merges into the one with the same keys.
        ContactUpsert = "CONTACT_UPSERT",
        /// Sets fields of a contact that is there.
        ContactChange = "CONTACT_CHANGE",
        /// Takes in a lead, once an external id.
        LeadReceive = "LEAD_RECEIVE",
        /// Grades a lead that is there, adds tags and sets custom fields.
        LeadChange = "LEAD_CHANGE",
        /// Records what the contact did.
        InteractionRecord = "INTERACTION_RECORD",
        /// Takes an e-mail in that a mail provider passes on: a reply, a report, a complaint.
        EmailReceive = "EMAIL_RECEIVE",
        /// Enrols the contact, or the lead, in a sequence.
        EnrollmentCreate = "ENROLLMENT_CREATE",
        /// Dispatches a verified lead to sales.
        OpportunityDispatch = "OPPORTUNITY_DISPATCH",
        /// Proposes a change of a target-account list.
        ChangeRequestPropose = "CHANGE_REQUEST_PROPOSE",
    }
}

const ACCOUNT: &[&str] =
    &["name", "domains", "registryNumber", "tier", "industry", "territory", "country", "tags", "source"];
const CONTACT: &[&str] = &[
    "email",
    "name",
    "phone",
    "title",
    "locale",
    "timeZone",
    "consent",
    "consentSource",
    "account",
    "accountDomain",
    "accountRegistryNumber",
    "tags",
    "source",
];

impl ActionKind {
    /// The fields it takes, beside its [families](Self::families).
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::AccountUpsert | Self::AccountChange => ACCOUNT,
            Self::ContactUpsert | Self::ContactChange => CONTACT,
            Self::LeadReceive => &["email", "phone", "source", "externalId", "grade", "priority", "tags"],
            Self::LeadChange => &["leadSource", "leadExternalId", "grade", "tags"],
            Self::InteractionRecord => &["email", "phone", "kind", "name", "occurredAt", "seconds", "url"],
            Self::EmailReceive => &[
                "raw",
                "rawBase64",
                "from",
                "subject",
                "text",
                "messageId",
                "about",
                "inReplyTo",
                "references",
                "autoSubmitted",
                "report",
                "status",
                "diagnostic",
                "recipient",
            ],
            Self::EnrollmentCreate => &["sequence", "email", "phone", "leadSource", "leadExternalId"],
            Self::OpportunityDispatch => &["leadSource", "leadExternalId", "name", "amount", "currency", "pool"],
            Self::ChangeRequestPropose => &[
                "list",
                "account",
                "accountDomain",
                "accountRegistryNumber",
                "change",
                "tier",
                "reasons",
                "note",
                "url",
            ],
        }
    }

    /// The fields it needs.
    pub const fn required(self) -> &'static [&'static str] {
        match self {
            Self::LeadReceive => &["source"],
            Self::InteractionRecord => &["kind", "name"],
            Self::EnrollmentCreate => &["sequence"],
            Self::ChangeRequestPropose => &["list", "change", "reasons"],
            _ => &[],
        }
    }

    /// What a field may begin with that ends in a name of the user's own.
    pub const fn families(self) -> &'static [&'static str] {
        match self {
            Self::AccountUpsert | Self::AccountChange | Self::ContactUpsert | Self::ContactChange => {
                &["custom.", "external."]
            }
            Self::LeadReceive => &["custom.", "external."],
            Self::LeadChange => &["custom."],
            Self::InteractionRecord => &["properties.", "external."],
            Self::EnrollmentCreate => &["vars.", "external."],
            Self::OpportunityDispatch | Self::ChangeRequestPropose | Self::EmailReceive => &[],
        }
    }

    /// Whether it takes a field of this name.
    pub fn takes(self, field: &str) -> bool {
        let ends = |family: &&str| field.strip_prefix(*family).is_some_and(|name| !name.is_empty());
        self.fields().contains(&field) || self.families().iter().any(ends)
    }
}

/// One action of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What it does.
    pub kind: ActionKind,
    /// Only where this holds.
    #[serde(default)]
    pub when: Option<Expression>,
    /// Field -> its value. An expression that gives null or an empty text leaves the field out.
    pub values: BTreeMap<String, Expression>,
    /// Whether the other actions are done although this one is refused.
    #[serde(default)]
    pub optional: bool,
}

/// What expressions read.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id of the delivery.
    pub id: String,
    /// When it arrived, RFC 3339.
    pub received_at: String,
    /// The headers, by their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The payload.
    pub payload: Map<String, Value>,
}

/// The variables that expressions may read.
pub const VARIABLES: [&str; 3] = ["payload", "headers", "delivery"];

impl Event {
    /// The variables of expressions: `payload`, `headers`, and `delivery` with `id` and `receivedAt`.
    pub fn data(&self) -> Value {
        json!({
            "payload": self.payload,
            "headers": self.headers,
            "delivery": { "id": self.id, "receivedAt": self.received_at },
        })
    }
}

/// Why a delivery came to nothing: where in the definition, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The part of the definition, e.g. `filter` or `actions.0.values.email`.
    pub place: String,
    /// The stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// The code of a lack of threads, which is no verdict.
const PASSING: &str = "EXPRESSION_NO_THREAD";

impl Fault {
    /// A fault at a place.
    pub fn new(place: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        // An expression's sentence may quote the payload, in which there may be what PostgreSQL does not store.
        Self { place: place.into(), code: code.into(), message: message.into().replace('\0', "\u{fffd}") }
    }

    /// The fault that a refused expression is.
    pub(super) fn of(place: impl Into<String>, refusal: &expression::Refusal) -> Self {
        let code = if *refusal == expression::Refusal::NoThread { PASSING } else { refusal.code() };
        Self::new(place, code, refusal.to_string())
    }

    /// Whether it says nothing about the delivery: another time it may be none.
    pub fn is_passing(&self) -> bool {
        self.code == PASSING
    }
}

/// One action with the values that a payload gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its place among the actions, from 0.
    pub place: usize,
    /// What is done.
    pub kind: ActionKind,
    /// The values by field; none where the action's condition did not hold.
    pub values: Option<BTreeMap<String, Value>>,
    /// Whether the others are done although this one is refused.
    pub optional: bool,
}

/// What a webhook is going to do with a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Nothing: the filter did not let it pass.
    Filtered,
    /// These, in order and all or none.
    Steps(Vec<Step>),
}

/// Works out what `actions` do with an event that passes `filter`.
pub fn plan(filter: Option<&Expression>, actions: &[Action], event: &Event) -> Result<Plan, Fault> {
    let data = event.data();
    if let Some(filter) = filter
        && !filter.holds(&data).map_err(|refusal| Fault::of("filter", &refusal))?
    {
        return Ok(Plan::Filtered);
    }
    actions
        .iter()
        .enumerate()
        .map(|(place, action)| step(place, action, &data))
        .collect::<Result<_, _>>()
        .map(Plan::Steps)
}

fn step(place: usize, action: &Action, data: &Value) -> Result<Step, Fault> {
    let kind = action.kind;
    if let Some(when) = &action.when
        && !when.holds(data).map_err(|refusal| Fault::of(format!("actions.{place}.when"), &refusal))?
    {
        return Ok(Step { place, kind, values: None, optional: action.optional });
    }
    let mut values = BTreeMap::new();
    for (field, expression) in &action.values {
        let at = format!("actions.{place}.values.{field}");
        let value = match expression.evaluate(data) {
            Err(expression::Refusal::Nul { .. }) => {
                let sentence = "the value holds the character NUL, which cannot be stored";
                return Err(Fault::new(at, "INBOUND_VALUE_INVALID", sentence));
            }
            evaluated => evaluated.map_err(|refusal| Fault::of(&at, &refusal))?,
        };
        match value {
            Value::Null => {}
            Value::String(text) if text.trim().is_empty() => {}
            value => drop(values.insert(field.clone(), value)),
        }
    }
    if let Some(missing) = kind.required().iter().find(|field| !values.contains_key(**field)) {
        let sentence = format!("`{missing}` is needed, and this payload gives none");
        return Err(Fault::new(format!("actions.{place}.values.{missing}"), "INBOUND_VALUE_MISSING", sentence));
    }
    Ok(Step { place, kind, values: Some(values), optional: action.optional })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: Value) -> Event {
        let Value::Object(payload) = payload else { panic!("an object") };
        let headers = [("x-kind".to_owned(), "form".to_owned())].into();
        Event { id: "m1".to_owned(), received_at: "2026-03-02T00:00:00Z".to_owned(), headers, payload }
    }

    fn action(kind: ActionKind, when: Option<&str>, values: &[(&str, &str)]) -> Action {
        let parse = |text: &str| Expression::parse(text).unwrap();
        let values = values.iter().map(|(field, text)| ((*field).to_owned(), parse(text))).collect();
        Action { kind, when: when.map(parse), values, optional: false }
    }

    #[test]
    fn the_filter_decides_first_and_each_action_has_a_condition_of_its_own() {
        let filter = Expression::parse("payload.type == 'form' && headers['x-kind'] == 'form'").unwrap();
        let actions = [
            action(ActionKind::ContactUpsert, None, &[("email", "payload.email"), ("name", "payload.name")]),
            action(
                ActionKind::LeadReceive,
                Some("payload.demo"),
                &[("source", "'web'"), ("externalId", "delivery.id")],
            ),
        ];
        assert_eq!(plan(Some(&filter), &actions, &event(json!({"type": "other"}))), Ok(Plan::Filtered));
        let given = event(json!({"type": "form", "email": "a@b.example", "name": "  ", "demo": false}));
        let Ok(Plan::Steps(steps)) = plan(Some(&filter), &actions, &given) else { panic!("steps") };
        assert_eq!(steps[0].values, Some([("email".to_owned(), json!("a@b.example"))].into()));
        assert_eq!(steps[1].values, None);
        let given = event(json!({"type": "form", "email": null, "name": "A", "demo": true}));
        let Ok(Plan::Steps(steps)) = plan(Some(&filter), &actions, &given) else { panic!("steps") };
        assert_eq!(steps[0].values, Some([("name".to_owned(), json!("A"))].into()));
        let lead = [("externalId".to_owned(), json!("m1")), ("source".to_owned(), json!("web"))];
        assert_eq!(steps[1].values, Some(lead.into()));
    }

    #[test]
    fn a_fault_names_its_place() {
        let faults = |filter: Option<&str>, action: Action, payload: Value| {
            let filter = filter.map(|text| Expression::parse(text).unwrap());
            let fault = plan(filter.as_ref(), &[action], &event(payload)).unwrap_err();
            (fault.place, fault.code)
        };
        let contact = || action(ActionKind::ContactUpsert, None, &[("email", "payload.email")]);
        let of = |place: &str, code: &str| (place.to_owned(), code.to_owned());
        assert_eq!(faults(Some("payload.a"), contact(), json!({"a": 1})), of("filter", "EXPRESSION_NOT_BOOLEAN"));
        assert_eq!(faults(None, contact(), json!({})), of("actions.0.values.email", "EXPRESSION_FAILED"));
        let lead = action(ActionKind::LeadReceive, None, &[("source", "payload.source")]);
        assert_eq!(faults(None, lead, json!({"source": ""})), of("actions.0.values.source", "INBOUND_VALUE_MISSING"));
        let when = action(ActionKind::LeadReceive, Some("1"), &[]);
        assert_eq!(faults(None, when, json!({})), of("actions.0.when", "EXPRESSION_NOT_BOOLEAN"));
    }

    #[test]
    fn fields_are_those_of_the_kind_and_its_families() {
        assert!(ActionKind::ContactUpsert.takes("email") && ActionKind::ContactUpsert.takes("custom.shoe_size"));
        assert!(!ActionKind::ContactUpsert.takes("custom.") && !ActionKind::ContactUpsert.takes("mail"));
        assert!(ActionKind::EnrollmentCreate.takes("vars.topic") && !ActionKind::LeadReceive.takes("vars.topic"));
        for kind in ActionKind::ALL {
            assert!(kind.required().iter().all(|field| kind.takes(field)), "{kind}");
        }
    }
}
