//! The checklist of a verification: what must be known of a lead before it may be dispatched.

use crate::codes;
use crate::id::UserId;
use crate::work_item::Outcome;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

codes! {
    /// What an item of the checklist establishes. A checklist has at least one required item in each.
    pub enum Category("checklist category") {
        /// The person is who the data says.
        Identity = "IDENTITY",
        /// The person can be reached.
        Reachability = "REACHABILITY",
        /// The company is one that sales wants.
        Fit = "FIT",
        /// There is something to buy.
        Need = "NEED",
        /// The person may be and wants to be contacted by sales.
        Consent = "CONSENT",
    }
}

codes! {
    /// What checking an item showed.
    pub enum Verdict("checklist verdict") {
        /// It is so.
        Confirmed = "CONFIRMED",
        /// It is not so.
        Refuted = "REFUTED",
        /// It could not be found out.
        Unknown = "UNKNOWN",
    }
}

/// One thing to check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChecklistItem {
    /// Its stable key; unique in the checklist; 1 to 60 of `a-z 0-9 _`.
    pub key: String,
    /// What to check, by language tag (`en`, `zh-CN`); English is always there.
    pub label: BTreeMap<String, String>,
    /// What it establishes.
    pub category: Category,
    /// Whether a lead cannot be verified without it.
    pub required: bool,
}

/// What must be known of a lead before it may be dispatched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    /// Its stable key.
    pub key: String,
    /// Counts its editions, from 1.
    pub version: u32,
    /// What to check, in the order to show.
    pub items: Vec<ChecklistItem>,
}

/// One answer: what, who, when and on what evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What checking showed.
    pub verdict: Verdict,
    /// What was found, e.g. the job title, the budget or the number that answered.
    pub value: Option<String>,
    /// What proves it: a link, a call, a document.
    pub evidence: Option<String>,
    /// Who answered.
    pub by: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

/// What an SDR found out about one item of the checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What checking showed.
    pub verdict: Verdict,
    /// What was found.
    pub value: Option<String>,
    /// What proves it.
    pub evidence: Option<String>,
}

/// A round of verification that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Its answers, by the item's key.
    pub answers: BTreeMap<String, Answer>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// Why a definition is not a checklist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChecklistRefusal {
    /// Not YAML, or not of this form.
    #[error("the checklist cannot be read: {cause}")]
    Unreadable {
        /// What the parser says, with the line.
        cause: String,
    },
    /// A key is missing, malformed or used twice.
    #[error("the key `{key}` is malformed or used twice; use 1 to 60 of a-z, 0-9 and _, once each")]
    Key {
        /// The key.
        key: String,
    },
    /// An item has no English label.
    #[error("the item `{key}` has no label in English; add `en`")]
    Label {
        /// The item.
        key: String,
    },
    /// Nothing required establishes this.
    #[error("no required item establishes {category}; a lead is not verified without it, so add one")]
    CategoryMissing {
        /// The category.
        category: Category,
    },
}

impl ChecklistRefusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "CHECKLIST_UNREADABLE",
            Self::Key { .. } => "CHECKLIST_KEY_INVALID",
            Self::Label { .. } => "CHECKLIST_LABEL_MISSING",
            Self::CategoryMissing { .. } => "CHECKLIST_CATEGORY_MISSING",
        }
    }
}

fn is_key(text: &str) -> bool {
    (1..=60).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl Checklist {
    /// The checklist that Tandem ships, as YAML.
    pub const SHIPPED: &'static str = include_str!("../../../library/checklist.yaml");

    /// Reads a checklist from YAML and checks it.
    pub fn from_yaml(text: &str) -> Result<Self, ChecklistRefusal> {
        let list: Self =
            serde_saphyr::from_str(text).map_err(|cause| ChecklistRefusal::Unreadable { cause: cause.to_string() })?;
        list.check()?;
        Ok(list)
    }

    /// Whether the keys are good and every category has a required item.
    pub fn check(&self) -> Result<(), ChecklistRefusal> {
        let mut seen = BTreeSet::new();
        for key in std::iter::once(&self.key).chain(self.items.iter().map(|item| &item.key)) {
            if !is_key(key) {
                return Err(ChecklistRefusal::Key { key: key.clone() });
            }
        }
        for item in &self.items {
            if !seen.insert(&item.key) {
                return Err(ChecklistRefusal::Key { key: item.key.clone() });
            }
            if item.label.get("en").is_none_or(|label| label.trim().is_empty()) {
                return Err(ChecklistRefusal::Label { key: item.key.clone() });
            }
        }
        for category in Category::ALL {
            if !self.items.iter().any(|item| item.required && item.category == *category) {
                return Err(ChecklistRefusal::CategoryMissing { category: *category });
            }
        }
        Ok(())
    }

    /// The version of the rule, for the ledger: `checklist:<key>@<version>`.
    pub fn rule(&self) -> String {
        format!("checklist:{}@{}", self.key, self.version)
    }

    /// The item with this key.
    pub fn item(&self, key: &str) -> Option<&ChecklistItem> {
        self.items.iter().find(|item| item.key == key)
    }

    /// The keys of the required items that `answers` does not confirm, in the checklist's order.
    pub fn missing(&self, answers: &BTreeMap<String, Answer>) -> Vec<String> {
        let confirmed = |key: &str| answers.get(key).is_some_and(|answer| answer.verdict == Verdict::Confirmed);
        self.items.iter().filter(|item| item.required && !confirmed(&item.key)).map(|item| item.key.clone()).collect()
    }
}
