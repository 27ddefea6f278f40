//! `notify`: a message to a chat of the team, by the key of its channel. The sequence waits until the chat has taken it.

use super::{Effect, Failure, Kind, Next, Run};
use crate::sequence::calling::{self, On, PlannedCall, Request};
use crate::sequence::names::{Named, Thing};
use crate::sequence::span::Span;
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};

/// The longest link, in characters.
const MAX_LINK: usize = 1_000;

/// A message to a chat of the team, by the key of its channel. The run waits until the chat has taken it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The key of the channel.
    pub channel: String,
    /// A line above the text: a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text: a template.
    pub text: String,
    /// An address to go to: a template that gives one of http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// How long it is tried; without it, a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_for: Option<Span>,
    /// The steps that follow.
    #[serde(default, skip_serializing_if = "On::is_empty")]
    pub on: On,
}

fn is_link(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty())
        && text.chars().count() <= MAX_LINK
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        calling::check(check, &self.channel, self.retry_for);
        if let Some(title) = &self.title {
            check.template("title", title, Form::Line, &[], 200);
        }
        check.template("text", &self.text, Form::Text, &[], 4_000);
        if let Some(link) = &self.link {
            check.template("link", link, Form::Line, &[], MAX_LINK);
            // One that is filled in is looked at when it is.
            let is_filled = ["{{", "{%", "{#"].iter().any(|tag| link.contains(tag));
            if !is_filled && !link.trim().is_empty() && !is_link(link.trim()) {
                let message = "a link is an address of http or https; write `https://` and the rest of it";
                check.problem("link", Rule::Shape, message);
            }
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let line = |source: &Option<String>| source.as_ref().map(|it| run.render(it, Form::Line)).transpose();
        let link = line(&self.link)?;
        if link.as_deref().is_some_and(|link| !is_link(link)) {
            let message = format!("the link of a message is an http or https address of at most {MAX_LINK} characters");
            return Err(Failure::new("CALL_LINK_INVALID", message));
        }
        let title = line(&self.title)?.map(|title| title.chars().take(200).collect());
        let request = Request::Message { title, text: run.render(&self.text, Form::Text)?, link };
        Ok(Next::Act(Box::new(Effect::Call(PlannedCall::of(run, &self.channel, request, self.retry_for)))))
    }

    fn targets(&self) -> Vec<(&'static str, &str)> {
        self.on.targets()
    }

    fn goes_on(&self) -> bool {
        self.on.success.is_none()
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named { field: "channel", thing: Thing::Chat, key: &self.channel }]
    }

    fn on(&self) -> Option<&On> {
        Some(&self.on)
    }
}
