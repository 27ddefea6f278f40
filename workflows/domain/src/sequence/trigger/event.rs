//! What conditions see of something that a person did.

use crate::expression::typing::Shape;
use crate::id::InteractionId;
use crate::interaction::{Interaction, InteractionKind};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What was heard of longer ago than this after it happened is history: it starts, wakes and ends nothing.
pub const NEWS: TimeDelta = TimeDelta::days(1);
/// The largest properties that a run keeps, in bytes of JSON.
const MAX_PROPERTIES: usize = 8 * 1024;

/// Something that a person did, as the variable `event` and as `enrollment.event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The interaction.
    pub id: InteractionId,
    /// What was done.
    pub kind: InteractionKind,
    /// Its name in the sender's words.
    pub name: String,
    /// The address of the page or the link.
    pub url: Option<String>,
    /// How long it took, in seconds, where that was told.
    pub seconds: Option<u32>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What else was told.
    pub properties: Map<String, Value>,
}

impl Event {
    /// What a person did; none where no person did it, nobody knows who, or it was history when it was heard of.
    pub fn of(interaction: &Interaction) -> Option<Self> {
        let is_news = interaction.recorded_at - interaction.occurred_at <= NEWS;
        let counts = interaction.automated.is_none() && interaction.contact.is_some() && is_news;
        counts.then(|| Self {
            id: interaction.id,
            kind: interaction.kind,
            name: interaction.name.clone(),
            url: interaction.url.clone(),
            seconds: interaction.seconds,
            occurred_at: interaction.occurred_at,
            properties: interaction.properties.clone(),
        })
    }

    /// The same as a run keeps it: without properties of more than 8 KiB.
    pub fn kept(mut self) -> Self {
        if serde_json::to_string(&self.properties).map_or(true, |text| text.len() > MAX_PROPERTIES) {
            self.properties = Map::new();
        }
        self
    }

    /// What conditions see.
    pub fn data(&self) -> Value {
        json!({
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "url": self.url,
            "seconds": self.seconds,
            "occurred_at": self.occurred_at.to_rfc3339(),
            "properties": self.properties,
        })
    }
}

/// What conditions may read of it.
pub fn shape() -> Shape {
    Shape::Record(vec![
        ("id", Shape::Text),
        ("kind", Shape::Code(InteractionKind::ALL.iter().map(|kind| kind.as_str()).collect())),
        ("name", Shape::Text),
        ("url", Shape::Text),
        ("seconds", Shape::Number),
        ("occurred_at", Shape::Text),
        ("properties", Shape::Map),
    ])
}
