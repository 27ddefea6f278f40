//! Whether what a definition names is there: looked at when it is published, so that no run comes to a step that cannot be
//! taken.

use super::effects::may_propose;
use crate::Result;
use crate::reading::Reading;
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::access::User;
use tandem_domain::id::UserId;
use tandem_domain::outbound::channel::Provider;
use tandem_domain::sequence::names::{self, Named, Thing};
use tandem_domain::sequence::publishing::Refusal;
use tandem_domain::sequence::steps::StepKind;
use tandem_domain::sequence::{Definition, Problem};
use tandem_domain::taxonomy::Taxonomy;

/// How many names are looked through for the one that was likely meant.
const LOOKED_THROUGH: u64 = 500;

/// Refuses a definition that names what is not there, with every such name at once. `user` is who publishes it.
pub(super) async fn check_names(
    reading: &Reading<'_>,
    user: Option<UserId>,
    source: &str,
    definition: &Definition,
) -> Result<()> {
    let problems = not_there(reading, user, source, definition).await?;
    if problems.is_empty() { Ok(()) } else { Err(Refusal::unknown(problems).into()) }
}

/// Everything that a definition names and that is not there, in the order of the document.
pub(super) async fn not_there(
    reading: &Reading<'_>,
    user: Option<UserId>,
    source: &str,
    definition: &Definition,
) -> Result<Vec<Problem>> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut looked: BTreeMap<(Thing, &str), There> = BTreeMap::new();
    let read = names::read(definition);
    let read = read.iter().map(|(path, thing, key)| (path.clone(), Named { field: "", thing: *thing, key }));
    // The name of a field alone, as a trigger has it, reads like an expression.
    let mut told: BTreeSet<(String, Thing)> = BTreeSet::new();
    for (path, named) in names::named(definition).into_iter().chain(read) {
        if named.field.is_empty() && told.contains(&(path.clone(), named.thing)) {
            continue;
        }
        told.insert((path.clone(), named.thing));
        let there = match looked.get(&(named.thing, named.key)) {
            Some(there) => *there,
            None => is_there(reading, &named).await?,
        };
        looked.insert((named.thing, named.key), there);
        match there {
            There::Yes => {}
            There::No => {
                let known = known(reading, named.thing).await?;
                problems.push(names::unknown(source, path, &named, known.iter().map(String::as_str)));
            }
            There::OfOtherKind(provider) => problems.push(names::of_other_kind(source, path, &named, provider)),
        }
    }
    let nobody = |step: &StepKind| matches!(step, StepKind::Propose(propose) if propose.proposer.is_none());
    if definition.steps.iter().any(|step| nobody(&step.kind)) {
        let publisher: Option<User> = match user {
            Some(user) => reading.find(user).await?,
            None => None,
        };
        if publisher.filter(may_propose).is_none() {
            let steps = definition.steps.iter().enumerate().filter(|(_, step)| nobody(&step.kind));
            problems.extend(steps.map(|(at, _)| names::nobody(source, format!("steps[{at}]"))));
        }
    }
    problems.extend(names::unfit(source, definition, &reading.custom_fields().await?));
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Ok(problems)
}

/// What is behind a name.
#[derive(Clone, Copy)]
enum There {
    Yes,
    No,
    /// A channel that is for other steps.
    OfOtherKind(Provider),
}

impl From<bool> for There {
    fn from(there: bool) -> Self {
        if there { Self::Yes } else { Self::No }
    }
}

async fn is_there(reading: &Reading<'_>, named: &Named<'_>) -> Result<There> {
    let key = named.key;
    Ok(match named.thing {
        Thing::Sequence => reading.has_sequence(key).await?.into(),
        Thing::List => reading.has_list(key).await?.into(),
        Thing::Team => reading.team(key).await?.is_some().into(),
        Thing::Proposer => {
            let user = reading.user(&key.trim().to_lowercase()).await?;
            user.is_some_and(|user| may_propose(&user)).into()
        }
        Thing::Tier => reading.taxonomies().await?.resolve(Taxonomy::Tier, key).is_ok().into(),
        Thing::Chat | Thing::Receiver => match reading.channel(key).await? {
            Some(channel) if named.thing.is_behind(channel.provider) => There::Yes,
            Some(channel) => There::OfOtherKind(channel.provider),
            None => There::No,
        },
        Thing::Calendar => reading.calendars().await?.contains_key(key).into(),
        Thing::Pool => reading.mailboxes().await?.iter().any(|mailbox| mailbox.pool == key).into(),
        Thing::CustomField(of) => {
            let fields = reading.custom_fields().await?;
            fields.iter().any(|field| field.entity == of.entity() && field.key == key).into()
        }
    })
}

/// The names there are; none of people, who are nobody's business, and none of channels, which are shown to few.
async fn known(reading: &Reading<'_>, thing: Thing) -> Result<Vec<String>> {
    Ok(match thing {
        Thing::Sequence => reading.sequence_keys(LOOKED_THROUGH).await?,
        Thing::List => reading.list_keys(LOOKED_THROUGH).await?,
        Thing::Team => reading.team_names(LOOKED_THROUGH).await?,
        Thing::Calendar => reading.calendars().await?.keys().cloned().collect(),
        Thing::Pool => reading.mailboxes().await?.iter().map(|mailbox| mailbox.pool.clone()).collect(),
        Thing::Proposer | Thing::Tier | Thing::Chat | Thing::Receiver => Vec::new(),
        Thing::CustomField(of) => {
            let fields = reading.custom_fields().await?.into_iter();
            fields.filter(|field| field.entity == of.entity() && field.active).map(|field| field.key).collect()
        }
    })
}
