//! Robots of Feishu and Lark groups, with the signature and the codes:
//! <https://open.larkoffice.com/document/ukTMukTMukTM/ucTM5YjL3ETO24yNxkjN.md>. A robot may send 100 messages a minute and 5 a
//! second, each of at most 20 kB.

use super::{Answer, Message, Verdict, cut, told, verdict};
use crate::inbound::signature::mac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// The longest text, in bytes: less than the 20 kB of a whole message.
const MOST: usize = 12_000;
/// Codes that pass by themselves, with the seconds to wait: too often.
const BUSY: [(i64, i64); 1] = [(11_232, 60)];
/// The token is none (19001), the signature or the moment (19021), the sender's address (19022) or a keyword (19024) does not fit.
const CREDENTIALS: [i64; 4] = [19_001, 19_021, 19_022, 19_024];

/// The key of the HMAC is the moment (in seconds) and the secret; what it is made over is empty.
fn sign(secret: &str, timestamp: &str) -> Option<String> {
    mac(format!("{timestamp}\n{secret}").as_bytes(), &[]).map(|tag| STANDARD.encode(tag))
}

/// As rich text, whose parts of the kind `text` are nothing else: in a plain text `<at user_id="all">` would mention everybody.
pub(super) fn body(message: &Message<'_>, secret: Option<&str>, now: DateTime<Utc>) -> Value {
    let mut lines = vec![json!([{ "tag": "text", "text": cut(message.text, MOST) }])];
    lines.extend(message.link.map(|link| json!([{ "tag": "a", "text": link, "href": link }])));
    let post = json!({ "zh_cn": { "title": message.title.unwrap_or_default(), "content": lines } });
    let mut body = json!({ "msg_type": "post", "content": { "post": post } });
    let timestamp = now.timestamp().to_string();
    if let Some(sign) = secret.and_then(|secret| sign(secret, &timestamp)) {
        body["timestamp"] = json!(timestamp);
        body["sign"] = json!(sign);
    }
    body
}

pub(super) fn said(answer: &Answer) -> Option<Verdict> {
    // Older robots answer in another form.
    let (code, message) = told(answer, "code", "msg").or_else(|| told(answer, "StatusCode", "StatusMessage"))?;
    Some(if code == 0 { Verdict::Taken(Value::Null) } else { verdict(code, &message, &BUSY, &CREDENTIALS) })
}
