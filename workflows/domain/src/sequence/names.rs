//! What a definition names that lives outside of it: other sequences, lists, teams, people, tiers, channels, calendars, pools,
//! custom fields.
//!
//! The reader of definitions is pure and cannot know them. Whoever publishes a definition asks here what it names, looks, and
//! reports what is not there as a problem with its line and column.

mod reading;

pub use reading::read;

use super::definition::Definition;
use super::environment::environment;
use super::steps::{Record, StepKind};
use super::tree::Tree;
use super::trigger::{Trigger, TriggerKind};
use super::validate::{Problem, Rule};
use crate::custom_field::{self, CustomField};
use crate::expression;
use crate::nearest::nearest;
use crate::outbound::channel::{self, Provider};

/// What kind of thing a definition names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A sequence, by its key.
    Sequence,
    /// A target-account list, by its key.
    List,
    /// A team, by its name.
    Team,
    /// A user who may propose for lists, by the e-mail address.
    Proposer,
    /// A tier, by its code, name or alias.
    Tier,
    /// A channel behind which there is a chat, by its key.
    Chat,
    /// A channel behind which there is another system, by its key.
    Receiver,
    /// A working calendar, by its key.
    Calendar,
    /// A pool of mailboxes, by its key: it is there while a mailbox is in it.
    Pool,
    /// A custom field of such a record, by its key.
    CustomField(Record),
}

impl Thing {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Sequence => ("sequence", "publish it first, or save a draft of it where the two name each other"),
            Self::List => ("target list", "make it first, or name another"),
            Self::Team => ("team", "make it first, or leave the team out"),
            Self::Proposer => ("active user who may propose for lists", "give the e-mail address of one"),
            Self::Tier => ("customer tier", "add it to the taxonomy first, or name another"),
            Self::Chat | Self::Receiver => ("channel", "save it first"),
            Self::Calendar => ("working calendar", "save one under this key"),
            Self::Pool => ("mailbox in the pool", "save one with this pool"),
            Self::CustomField(Record::Contact) => ("custom field of contacts", "define it first, or name another"),
            Self::CustomField(Record::Lead) => ("custom field of leads", "define it first, or name another"),
            Self::CustomField(Record::Account) => ("custom field of accounts", "define it first, or name another"),
        }
    }

    /// The rule that is broken where there is nothing behind the name.
    const fn rule(self) -> Rule {
        match self {
            Self::Chat | Self::Receiver => Rule::ChannelUnknown,
            Self::Calendar => Rule::CalendarUnknown,
            Self::Pool => Rule::PoolUnknown,
            Self::Sequence | Self::List | Self::Team | Self::Proposer | Self::Tier | Self::CustomField(_) => {
                Rule::ReferenceUnknown
            }
        }
    }

    /// Whether a channel is for the steps that name such a thing.
    pub const fn is_behind(self, provider: Provider) -> bool {
        matches!(self, Self::Chat) == provider.is_chat()
    }
}

/// Something that the settings of a step name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// The field that names it.
    pub field: &'static str,
    /// What it is.
    pub thing: Thing,
    /// Its key or name, as written.
    pub key: &'a str,
}

/// Everything that the header, the triggers and the steps name, with the path of the field that names it. The sequence itself,
/// which exists once it is published, is left out; what expressions and templates name is [`read`].
pub fn named(definition: &Definition) -> Vec<(String, Named<'_>)> {
    let header = &definition.header;
    let calendar = |field, key| Named { field, thing: Thing::Calendar, key };
    let of_window = header.send_window.as_ref().and_then(|window| window.calendar.as_deref());
    let of_header = header.calendar.as_deref().map(|key| calendar("calendar", key));
    let of_header = of_header.into_iter().chain(of_window.map(|key| calendar("send_window.calendar", key)));
    let of_triggers = header.triggers.iter().enumerate().filter_map(|(at, trigger)| {
        let named = of_trigger(trigger)?;
        Some((format!("triggers[{at}].{}", named.field), named))
    });
    let own = |named: &Named<'_>| named.thing == Thing::Sequence && named.key == header.key;
    let of_steps = definition.steps.iter().enumerate().flat_map(|(at, step)| {
        let pool = step.kind.mailbox_pool().map(|key| Named { field: "pool", thing: Thing::Pool, key });
        let more = step.kind.calendar().map(|key| calendar("calendar", key)).into_iter().chain(pool);
        let named = step.kind.names().into_iter().chain(more).filter(|named| !own(named));
        named.map(move |named| (format!("steps[{at}].{}", named.field), named))
    });
    of_header.map(|named| (named.field.to_owned(), named)).chain(of_triggers).chain(of_steps).collect()
}

fn of_trigger(trigger: &Trigger) -> Option<Named<'_>> {
    match &trigger.kind {
        TriggerKind::List(list) => Some(Named { field: "list", thing: Thing::List, key: &list.list }),
        TriggerKind::Field(field) => custom_field_of(&field.field),
        TriggerKind::Date(date) => custom_field_of(&date.field),
        _ => None,
    }
}

/// What is named by `contact.custom.size`; none where it is a field that every record has.
fn custom_field_of(field: &str) -> Option<Named<'_>> {
    let (owner, rest) = field.split_once('.')?;
    let of = [Record::Contact, Record::Lead, Record::Account].into_iter().find(|record| record.name() == owner)?;
    Some(Named { field: "field", thing: Thing::CustomField(of), key: rest.strip_prefix("custom.")? })
}

/// The problem of a name behind which there is nothing. `known` are the names there are, as far as they may be told.
pub fn unknown<'a>(source: &str, path: String, named: &Named<'_>, known: impl IntoIterator<Item = &'a str>) -> Problem {
    let (what, hint) = named.thing.words();
    let meant = nearest(named.key, known.into_iter().collect::<Vec<_>>());
    let hint = meant.map_or_else(|| hint.to_owned(), |meant| format!("did you mean `{meant}`?"));
    let hint = own_field(&path, named).unwrap_or(hint);
    let message = format!("there is no {what} `{}`; {hint}", named.key);
    problem(source, path, named.thing.rule(), message)
}

/// The problem of a step that names a channel which is for steps of another kind.
pub fn of_other_kind(source: &str, path: String, named: &Named<'_>, provider: Provider) -> Problem {
    let refusal = channel::Refusal::OtherKind { key: named.key.to_owned(), provider };
    problem(source, path, Rule::ChannelOtherKind, refusal.to_string())
}

/// What to say of a field that every record has, and that is none that sales ops defined.
fn own_field(path: &str, named: &Named<'_>) -> Option<String> {
    let Thing::CustomField(owner) = named.thing else { return None };
    environment().field(owner.name())?.field(named.key)?;
    let field = format!("{}.{}", owner.name(), named.key);
    // Only a step that sets it names it without `custom`.
    if named.field != "field" || !path.starts_with("steps") {
        return Some(format!("every record has `{field}`: write it so"));
    }
    Some(format!("`{field}` is not one of those that are defined, and a step sets no other; name one that is"))
}

/// The problems of steps that set one of these custom fields to what it does not take, as far as that is the same in every run,
/// or one that takes nothing any more.
pub fn unfit(source: &str, definition: &Definition, fields: &[CustomField]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, step) in definition.steps.iter().enumerate() {
        let StepKind::SetField(set) = &step.kind else { continue };
        let Some((of, key)) = set.custom() else { continue };
        // One that is not there is told of as such.
        let Some(field) = fields.iter().find(|field| field.entity == of.entity() && field.key == key) else { continue };
        let refused = match set.constant() {
            Some(value) => {
                let change = [(key.to_owned(), value.clone())].into();
                custom_field::apply(fields, of.entity(), &mut custom_field::Values::new(), &change).err()
            }
            None => (!field.active).then(|| custom_field::Refusal::Retired { key: key.to_owned() }),
        };
        if let Some(refused) = refused {
            let place = if field.active { "value" } else { "field" };
            problems.push(problem(source, format!("steps[{at}].{place}"), Rule::ReferenceUnknown, refused.to_string()));
        }
    }
    problems
}

/// The problem of a step that acts in somebody's name where nobody is there to name.
pub fn nobody(source: &str, path: String) -> Problem {
    let message = "a change of a list is proposed by a person, and who publishes this is none; write `proposer: ` and the \
                   e-mail address of a user";
    problem(source, path, Rule::ReferenceUnknown, message.to_owned())
}

fn problem(source: &str, path: String, rule: Rule, message: String) -> Problem {
    // On a stack of its own, as in the reader. The document was read before, so it can be read.
    let tree = expression::with_stack(|| serde_saphyr::from_str::<Tree>(source).ok());
    let place = tree.ok().flatten().map(|tree| tree.place_of(&path));
    let (line, column) = (place.map(|(line, _)| line), place.map(|(_, column)| column));
    Problem { path, rule, message, line, column, template: None }
}
