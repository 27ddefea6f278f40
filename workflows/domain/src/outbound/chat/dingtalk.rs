//! Robots of DingTalk groups: <https://open.dingtalk.com/document/orgapp/custom-robot-access>; the signature:
//! <https://open.dingtalk.com/document/robots/customize-robot-security-settings>. A robot may send 20 messages a minute; who sends
//! more is refused for ten minutes.

use super::super::call::with_query;
use super::{Answer, Message, Verdict, cut, told, verdict};
use crate::inbound::signature::mac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// The longest text, in bytes: less than the 20,000 of a whole message.
const MOST: usize = 16_000;
/// Codes that pass by themselves, with the seconds to wait: busy; too often, by the name it had and has.
const BUSY: [(i64, i64); 3] = [(-1, 0), (130_101, 600), (410_100, 600)];
/// The token is none, the robot was stopped or taken away, or the signature, a keyword or the sender's address does not fit.
const CREDENTIALS: [i64; 7] = [300_001, 300_005, 310_000, 400_013, 400_101, 400_102, 400_106];

/// The robot's address; with a secret, the moment (in milliseconds) and the signature are added to it.
pub(super) fn address(url: &str, secret: Option<&str>, now: DateTime<Utc>) -> String {
    let timestamp = now.timestamp_millis().to_string();
    let sign = |secret: &str| {
        let tag = mac(secret.as_bytes(), &[timestamp.as_bytes(), b"\n", secret.as_bytes()])?;
        Some(STANDARD.encode(tag))
    };
    match secret.and_then(sign) {
        Some(sign) => with_query(url, &[("timestamp", &timestamp), ("sign", &sign)]),
        None => url.to_owned(),
    }
}

pub(super) fn body(message: &Message<'_>) -> Value {
    let text = cut(message.text, MOST);
    match (message.title, message.link) {
        (Some(title), Some(link)) => json!({
            "msgtype": "link",
            "link": { "title": title, "text": text, "messageUrl": link, "picUrl": "" },
        }),
        _ => json!({ "msgtype": "text", "text": { "content": Message { text: &text, ..*message }.plain() } }),
    }
}

pub(super) fn said(answer: &Answer) -> Option<Verdict> {
    let (code, message) = told(answer, "errcode", "errmsg")?;
    Some(if code == 0 { Verdict::Taken(Value::Null) } else { verdict(code, &message, &BUSY, &CREDENTIALS) })
}
