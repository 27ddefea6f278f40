//! The routing table: which pool an opportunity goes to.

use super::Refusal;
use crate::decision::{Decision, Fact};
use crate::expression::Expression;
use crate::id::{PoolId, RoutingTableId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingRule {
    /// Its name; unique within the table.
    pub name: String,
    /// A CEL condition over `opportunity`, `lead` and `account`.
    pub when: String,
    /// Where an opportunity goes for which the condition holds.
    pub pool: PoolId,
}

/// The rules that choose a pool. There is one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingTable {
    /// Its id.
    pub id: RoutingTableId,
    /// Counts the definitions from 1.
    pub version: u32,
    /// The rules; the first that holds decides.
    pub rules: Vec<RoutingRule>,
    /// Where everything else goes.
    pub fallback: PoolId,
}

/// The table as sales ops writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDraft {
    /// The rules, at most 200; the first that holds decides.
    pub rules: Vec<RoutingRule>,
    /// Where everything else goes.
    pub fallback: PoolId,
}

/// The pool that the table chose, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The pool.
    pub pool: PoolId,
    /// The version of the rule that decided: `routing@3#name`, or `routing@3#fallback`.
    pub rule: String,
    /// Rules that could not be evaluated on this opportunity, by name, and why; they count as not holding.
    pub failed: BTreeMap<String, String>,
}

/// The most rules of the table.
pub const MOST_RULES: usize = 200;

impl RoutingTable {
    /// The pool for a context whose top-level keys are the variables of the conditions.
    ///
    /// A rule that cannot be evaluated (a field that is missing, say) does not hold; the route names it.
    pub fn route(&self, context: &Value) -> Route {
        let mut failed = BTreeMap::new();
        let holds = |rule: &&RoutingRule| {
            let outcome = Expression::parse(&rule.when).and_then(|when| when.holds(context));
            outcome.unwrap_or_else(|refusal| {
                failed.insert(rule.name.clone(), refusal.to_string());
                false
            })
        };
        let rule = self.rules.iter().find(holds);
        let (pool, name) = rule.map_or((self.fallback, "fallback"), |rule| (rule.pool, rule.name.as_str()));
        Route { pool, rule: format!("routing@{}#{name}", self.version), failed }
    }
}

/// Saves the table: a new one under `id`, or the next version of `before`. Whether the pools exist is asked by the caller.
pub fn save_table(
    before: Option<&RoutingTable>,
    id: RoutingTableId,
    draft: TableDraft,
) -> Result<Decision<RoutingTable>, Refusal> {
    if draft.rules.len() > MOST_RULES {
        return Err(Refusal::TooManyRules { most: MOST_RULES });
    }
    let mut names = BTreeSet::from(["fallback"]);
    for rule in &draft.rules {
        if !(1..=60).contains(&rule.name.chars().count()) || !names.insert(&rule.name) {
            return Err(Refusal::RuleName { name: rule.name.chars().take(80).collect() });
        }
        if let Err(refusal) = Expression::parse(&rule.when) {
            return Err(Refusal::Condition { rule: rule.name.clone(), because: refusal.to_string() });
        }
    }
    let (id, version) = before.map_or((id, 0), |before| (before.id, before.version));
    let mut next = RoutingTable { id, version, rules: draft.rules, fallback: draft.fallback };
    let changed = before != Some(&next);
    if changed {
        next.version = version.saturating_add(1);
    }
    let fact = Fact::audit("routing_table.saved", id)
        .with("version", next.version)
        .with("rules", next.rules.iter().map(|rule| &rule.name).collect::<Vec<_>>())
        .with("changed", changed);
    Ok(Decision::new(next, fact))
}
