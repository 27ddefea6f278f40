//! Whether what a definition names is there: looked at when it is published, so that no run comes to a step that cannot be
//! taken.

use super::effects::may_propose;
use crate::{Call, Result};
use tandem_domain::access::User;
use tandem_domain::sequence::names::{self, Named, Thing};
use tandem_domain::sequence::publishing::Refusal;
use tandem_domain::sequence::steps::StepKind;
use tandem_domain::sequence::{Definition, Problem};
use tandem_domain::taxonomy::Taxonomy;
use tandem_store::Tx;

/// How many names are looked through for the one that was likely meant.
const LOOKED_THROUGH: u64 = 500;

/// Refuses a definition that names what is not there, with every such name at once.
pub(super) async fn check_names(tx: &Tx, call: &Call, source: &str, definition: &Definition) -> Result<()> {
    let mut problems: Vec<Problem> = Vec::new();
    for (path, named) in names::named(definition) {
        if !is_there(tx, &named).await? {
            let known = known(tx, named.thing).await?;
            problems.push(names::unknown(source, path, &named, known.iter().map(String::as_str)));
        }
    }
    let publisher = match call.actor.user {
        Some(user) => tx.peek::<User>(user).await?.filter(may_propose),
        None => None,
    };
    for (at, step) in definition.steps.iter().enumerate() {
        if publisher.is_none() && matches!(&step.kind, StepKind::Propose(propose) if propose.proposer.is_none()) {
            problems.push(names::nobody(source, format!("steps[{at}]")));
        }
    }
    problems.extend(names::unfit(source, definition, &tx.custom_fields().await?));
    if problems.is_empty() { Ok(()) } else { Err(Refusal::ReferenceUnknown { problems }.into()) }
}

async fn is_there(tx: &Tx, named: &Named<'_>) -> Result<bool> {
    Ok(match named.thing {
        Thing::Sequence => tx.peek_sequence_with_key(named.key).await?.is_some(),
        Thing::List => tx.list_with_key(named.key).await?.is_some(),
        Thing::Team => tx.team_with_name(named.key).await?.is_some(),
        Thing::Proposer => {
            let user = tx.user_with_email(&named.key.trim().to_lowercase()).await?;
            user.is_some_and(|user| may_propose(&user))
        }
        Thing::Tier => tx.taxonomies().await?.resolve(Taxonomy::Tier, named.key).is_ok(),
        Thing::CustomField(of) => {
            let fields = tx.custom_fields().await?;
            fields.iter().any(|field| field.entity == of.entity() && field.key == named.key)
        }
    })
}

/// The names there are; none of people, who are nobody's business.
async fn known(tx: &Tx, thing: Thing) -> Result<Vec<String>> {
    Ok(match thing {
        Thing::Sequence => tx.sequence_keys(LOOKED_THROUGH).await?,
        Thing::List => tx.list_keys(LOOKED_THROUGH).await?,
        Thing::Team => tx.team_names(LOOKED_THROUGH).await?,
        Thing::Proposer | Thing::Tier => Vec::new(),
        Thing::CustomField(of) => {
            let fields = tx.custom_fields().await?.into_iter();
            fields.filter(|field| field.entity == of.entity() && field.active).map(|field| field.key).collect()
        }
    })
}
