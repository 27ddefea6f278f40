//! Types of custom fields.

use crate::ids::global;
use async_graphql::{Enum, ID, Object};
use tandem_domain::custom_field::{self, CustomField};

/// What a custom field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "custom_field::Entity")]
pub enum CustomFieldEntity {
    /// A company.
    Account,
    /// A person.
    Contact,
    /// A candidacy.
    Lead,
}

/// What a custom field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "custom_field::Kind")]
pub enum CustomFieldKind {
    /// Text of at most 2,000 characters.
    Text,
    /// A number.
    Number,
    /// A day, as `YYYY-MM-DD`.
    Date,
    /// One of the choices.
    Choice,
    /// Any of the choices, each once.
    MultiChoice,
}

/// A field that sales ops added to accounts, contacts or leads.
pub struct CustomFieldNode(pub CustomField);

/// A field that sales ops added to accounts, contacts or leads.
#[Object(name = "CustomField")]
impl CustomFieldNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What it belongs to.
    async fn entity(&self) -> CustomFieldEntity {
        self.0.entity.into()
    }
    /// Its name in `customFields` and in expressions.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show.
    async fn label(&self) -> &str {
        &self.0.label
    }
    /// What it holds.
    async fn kind(&self) -> CustomFieldKind {
        self.0.kind.into()
    }
    /// The choices, in the order to show; empty for the other kinds.
    async fn choices(&self) -> &[String] {
        &self.0.choices
    }
    /// Whether a new record must have a value.
    async fn required(&self) -> bool {
        self.0.required
    }
    /// Whether the field takes values.
    async fn active(&self) -> bool {
        self.0.active
    }
}
