//! Slack's incoming webhooks: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/>; their errors are
//! HTTP statuses: <https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks>.

use super::{Message, cut};
use serde_json::{Value, json};

/// The longest text, in bytes: less than the 40,000 characters after which Slack cuts.
const MOST: usize = 30_000;

/// `&`, `<` and `>` are the signs by which a text would mention people or hide a link.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) fn body(message: &Message<'_>) -> Value {
    let mut lines = Vec::new();
    lines.extend(message.title.map(|title| format!("*{}*", escaped(title))));
    lines.push(escaped(&cut(message.text, MOST)));
    lines.extend(message.link.map(|link| format!("<{}>", link.replace(['<', '>', '|'], ""))));
    json!({ "text": lines.join("\n") })
}
