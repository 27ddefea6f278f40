//! What a chat's robot is sent, and what its answer means: one file a provider.
//!
//! Values in a message come from contacts. So nothing in them may be more than text: no format is used in which a name could
//! mention everybody, and what a provider reads as a sign is escaped.

mod dingtalk;
mod feishu;
mod slack;
mod wecom;

use super::call::{Answer, Body, Outgoing, Verdict};
use super::channel::{OutboundChannel, Provider};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// A message to a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// One line above it.
    pub title: Option<&'a str>,
    /// Plain text.
    pub text: &'a str,
    /// An address to go to.
    pub link: Option<&'a str>,
}

impl Message<'_> {
    /// The parts, one below the other.
    fn plain(&self) -> String {
        let parts = [self.title, Some(self.text), self.link];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

/// The request that brings a message to a chat; none for a channel that is no chat.
pub fn outgoing(channel: &OutboundChannel, message: &Message<'_>, now: DateTime<Utc>) -> Option<Outgoing> {
    let secret = channel.secret().map(|secret| secret.reveal());
    let (url, body) = match channel.provider {
        Provider::Slack => (channel.url().to_owned(), slack::body(message)),
        Provider::Wecom => (channel.url().to_owned(), wecom::body(message)),
        Provider::Dingtalk => (dingtalk::address(channel.url(), secret, now), dingtalk::body(message)),
        Provider::Feishu => (channel.url().to_owned(), feishu::body(message, secret, now)),
        Provider::Webhook => return None,
    };
    Some(Outgoing::json(url, body.to_string()))
}

/// What the answer of a chat means.
pub fn judge(provider: Provider, answer: &Answer) -> Verdict {
    // What HTTP says comes first: a robot that is not reached says nothing itself.
    if let Some(verdict) = Verdict::of_status(answer) {
        return verdict;
    }
    let said = match provider {
        Provider::Slack | Provider::Webhook => return Verdict::Taken(Value::Null),
        Provider::Wecom => wecom::said(answer),
        Provider::Dingtalk => dingtalk::said(answer),
        Provider::Feishu => feishu::said(answer),
    };
    said.unwrap_or_else(|| Verdict::Later {
        code: "CALL_NOT_TAKEN",
        message: "the answer is not one of this service's".to_owned(),
        after: None,
    })
}

/// The code and the message that a JSON answer has under these keys.
fn told(answer: &Answer, code: &str, message: &str) -> Option<(i64, String)> {
    let Body::Whole(bytes) = &answer.body else { return None };
    let body: Value = serde_json::from_slice(bytes).ok()?;
    let said = body[message].as_str().unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect();
    Some((body[code].as_i64()?, said))
}

/// A code that is none of success: those that pass by themselves, those about who we are, and the others about the message.
fn verdict(code: i64, message: &str, busy: &[(i64, i64)], credentials: &[i64]) -> Verdict {
    let message = format!("{code}: {message}");
    if let Some((_, seconds)) = busy.iter().find(|(known, _)| *known == code) {
        let after = (*seconds > 0).then(|| TimeDelta::seconds(*seconds));
        return Verdict::Later { code: "CALL_LIMITED", message, after };
    }
    let code = if credentials.contains(&code) { "CALL_CREDENTIALS_WRONG" } else { "CALL_REFUSED" };
    Verdict::Never { code, message }
}

/// At most `most` bytes of a text, whole characters, with a sign where something is left out.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most.saturating_sub('…'.len_utf8())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::super::channel::{self, Draft};
    use super::super::secret;
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    const MESSAGE: Message<'_> =
        Message { title: Some("Demo"), text: "Ann <!channel> & Co", link: Some("https://crm.example.com/1") };

    fn channel(provider: Provider, secret_text: Option<&str>) -> OutboundChannel {
        let draft = Draft {
            key: "room".to_owned(),
            name: "Room".to_owned(),
            provider,
            url: Some("https://chat.example.com/send?token=x".to_owned()),
            end_previous: false,
            secret: secret_text.map(str::to_owned),
            headers: None,
        };
        channel::save(None, Uuid::nil().into(), &draft, secret(&[0; 32]), DateTime::UNIX_EPOCH).unwrap().next
    }

    fn sent(provider: Provider, secret: Option<&str>, message: &Message<'_>) -> (String, Value) {
        let now = DateTime::from_timestamp(1_599_360_473, 0).unwrap();
        let outgoing = outgoing(&channel(provider, secret), message, now).unwrap();
        (outgoing.url, serde_json::from_str(outgoing.body.as_deref().unwrap()).unwrap())
    }

    fn answer(status: u16, body: &str) -> Answer {
        let body = Body::Whole(body.as_bytes().to_vec());
        Answer { status, retry_after: None, excerpt: String::new(), body }
    }

    #[test]
    fn each_chat_gets_its_own_form_and_a_name_stays_a_name() {
        let (_, slack) = sent(Provider::Slack, None, &MESSAGE);
        assert_eq!(slack["text"], "*Demo*\nAnn &lt;!channel&gt; &amp; Co\n<https://crm.example.com/1>");
        let (_, wecom) = sent(Provider::Wecom, None, &MESSAGE);
        assert_eq!(wecom["text"]["content"], "Demo\nAnn <!channel> & Co\nhttps://crm.example.com/1");
        let (url, dingtalk) = sent(Provider::Dingtalk, None, &MESSAGE);
        assert_eq!(url, "https://chat.example.com/send?token=x", "nothing is signed without a secret");
        assert_eq!((&dingtalk["msgtype"], &dingtalk["link"]["title"]), (&json!("link"), &json!("Demo")));
        let (_, feishu) = sent(Provider::Feishu, None, &MESSAGE);
        let post = &feishu["content"]["post"]["zh_cn"];
        assert_eq!((&post["title"], &post["content"][0][0]["text"]), (&json!("Demo"), &json!("Ann <!channel> & Co")));
        assert_eq!((&post["content"][1][0]["tag"], feishu.get("sign")), (&json!("a"), None));
    }

    /// The expected values were computed beside with Python's hmac, as both services' documents show it.
    #[test]
    fn dingtalk_and_feishu_sign_as_their_documents_say() {
        let plain = Message { title: None, link: None, ..MESSAGE };
        let (url, body) = sent(Provider::Dingtalk, Some("SEC0123456789abcdef"), &plain);
        assert_eq!(
            url,
            "https://chat.example.com/send?token=x&timestamp=1599360473000&sign=aKqBjoyC%2BNYhkgqBYxW0ACXynJFx9Q2eLA%2BQ9FLxhBY%3D"
        );
        assert_eq!(body, json!({"msgtype": "text", "text": {"content": "Ann <!channel> & Co"}}));
        let (_, body) = sent(Provider::Feishu, Some("SEC0123456789abcdef"), &plain);
        assert_eq!(
            (&body["timestamp"], &body["sign"]),
            (&json!("1599360473"), &json!("o4rYuzS+vyYu0ScPJVg0TrKMaVksgOXu1MYbxvtUINE="))
        );
    }

    #[test]
    fn a_no_with_the_status_200_is_a_no() {
        let of = |provider, body| judge(provider, &answer(200, body));
        assert_eq!(judge(Provider::Slack, &answer(200, "ok")), Verdict::Taken(Value::Null));
        let taken = [
            (Provider::Wecom, r#"{"errcode":0,"errmsg":"ok"}"#),
            (Provider::Dingtalk, r#"{"errcode":0,"errmsg":"ok"}"#),
            (Provider::Feishu, r#"{"code":0,"msg":"success","data":{}}"#),
            (Provider::Feishu, r#"{"StatusCode":0,"StatusMessage":"success"}"#),
        ];
        for (provider, body) in taken {
            assert_eq!(of(provider, body), Verdict::Taken(Value::Null), "{body}");
        }
        let busy = [
            (Provider::Wecom, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#),
            (Provider::Wecom, r#"{"errcode":-1,"errmsg":"system busy"}"#),
            (Provider::Dingtalk, r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#),
            (Provider::Feishu, r#"{"code":11232,"msg":"frequency limited"}"#),
        ];
        for (provider, body) in busy {
            assert!(matches!(of(provider, body), Verdict::Later { code: "CALL_LIMITED", .. }), "{body}");
        }
        let wrong = [
            (Provider::Wecom, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#),
            (Provider::Dingtalk, r#"{"errcode":300005,"errmsg":"token is not exist"}"#),
            (Provider::Dingtalk, r#"{"errcode":310000,"errmsg":"sign not match"}"#),
            (Provider::Feishu, r#"{"code":19021,"msg":"sign match fail"}"#),
        ];
        for (provider, body) in wrong {
            assert!(matches!(of(provider, body), Verdict::Never { code: "CALL_CREDENTIALS_WRONG", .. }), "{body}");
        }
        assert!(matches!(
            of(Provider::Feishu, r#"{"code":9499,"msg":"Bad Request"}"#),
            Verdict::Never { code: "CALL_REFUSED", .. }
        ));
        for garbage in ["", "ok", "[]", "{}", "<html>"] {
            assert!(matches!(of(Provider::Wecom, garbage), Verdict::Later { code: "CALL_NOT_TAKEN", .. }), "{garbage}");
        }
        assert!(matches!(judge(Provider::Slack, &answer(404, "no_service")), Verdict::Never { .. }));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("好好好", 9), "好好好");
        assert_eq!(cut("好好好好", 10), "好好…");
        let long = "好".repeat(3_000);
        let (_, wecom) = sent(Provider::Wecom, None, &Message { text: &long, ..MESSAGE });
        assert!(wecom["text"]["content"].as_str().unwrap().len() <= 2_048);
    }
}
