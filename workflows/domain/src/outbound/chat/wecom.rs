//! Robots of WeCom groups: <https://developer.work.weixin.qq.com/document/path/91770>; their codes:
//! <https://developer.work.weixin.qq.com/document/path/90313>. A robot may send 20 messages a minute.

use super::{Answer, Message, Verdict, cut, told, verdict};
use serde_json::{Value, json};

/// The longest content of a text message, in bytes.
const MOST: usize = 2_048;
/// Codes that pass by themselves, with the seconds to wait: busy; too often; too many at once.
const BUSY: [(i64, i64); 3] = [(-1, 0), (45_009, 60), (45_033, 10)];
/// The address has a key that is none (93000), or that was taken away.
const CREDENTIALS: [i64; 3] = [93_000, 40_001, 40_014];

/// As plain text: in the other forms a contact's name could be a sign.
pub(super) fn body(message: &Message<'_>) -> Value {
    // The link is kept whole where there is one; what is cut is the text.
    let around = message.title.map_or(0, |title| title.len() + 1) + message.link.map_or(0, |link| link.len() + 1);
    let text = cut(message.text, MOST.saturating_sub(around));
    json!({ "msgtype": "text", "text": { "content": cut(&Message { text: &text, ..*message }.plain(), MOST) } })
}

pub(super) fn said(answer: &Answer) -> Option<Verdict> {
    let (code, message) = told(answer, "errcode", "errmsg")?;
    Some(if code == 0 { Verdict::Taken(Value::Null) } else { verdict(code, &message, &BUSY, &CREDENTIALS) })
}
