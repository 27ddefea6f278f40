//! `send_email`: one e-mail to the contact.

use super::{Effect, Failure, Kind, Next, Run};
use crate::email::Mailbox;
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId, SendingMailboxId};
use crate::sending_mailbox::{self, SendingMailbox};
use crate::sequence::enrollment::WaitReason;
use crate::sequence::template::{self, Form};
use crate::sequence::validate::{Check, Rule, join};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The variable that only e-mails have: the link by which the person unsubscribes.
pub const UNSUBSCRIBE_URL: &str = "unsubscribe_url";

/// The form of what names a stored template: a key, and perhaps the number of a version.
const STORED: &str = "^[a-z][a-z0-9_]{0,59}(@[1-9][0-9]{0,8})?$";

/// One e-mail to the contact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is written; in a document, or the key of a stored template, whose newest version is taken, or `key@3`.
    #[schemars(schema_with = "written_or_stored")]
    pub template: EmailParts,
    /// The same in other languages, by BCP 47 tag (`zh`, `pt-BR`): who has such a locale gets it, everybody else the template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = { "pattern": LANGUAGE, "maxLength": MOST_LANGUAGE }))]
    pub languages: BTreeMap<String, EmailParts>,
    /// The sender; without it, the one that the installation is configured with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// Where answers go; without it, to the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Address>,
    /// Whether the person waits for it, e.g. a confirmation: then it goes out at any hour.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub transactional: bool,
    /// The key of a pool of mailboxes, one of which is the sender: for one person the same in the whole sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The version of a stored template that all of the texts were taken from. Written by the reader of definitions alone: in a
    /// document, `template` is then the key of the stored one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub uses: Option<TemplateUse>,
}

/// What `template` may be in a document.
fn written_or_stored(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let written = generator.subschema_for::<EmailParts>();
    let stored = schemars::json_schema!({
        "description": "The key of a stored template, and where it matters the number of its version.",
        "type": "string",
        "pattern": STORED,
    });
    schemars::json_schema!({ "anyOf": [written, stored] })
}

/// The version of a stored template that the texts of an e-mail were taken from when its sequence was published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateUse {
    /// The key of the template.
    pub template: String,
    /// The number of its version; 0 where it was not looked up in the database.
    pub version: u32,
    /// Whether the document asks for this version. Otherwise it was the newest one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

impl std::fmt::Display for TemplateUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.template, self.version)
    }
}

/// The parts of an e-mail, each a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailParts {
    /// One line, at most 200 characters.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML; without it, the e-mail is plain text alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// An e-mail as one person would get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// The tag of the language that was chosen; none for the template that everybody else gets.
    pub language: Option<String>,
    /// The subject: one line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: Option<String>,
}

impl EmailParts {
    /// The parts that there are, each with its field and form.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, &str, Form)> {
        let always = [("subject", self.subject.as_str(), Form::Line), ("text", self.text.as_str(), Form::Text)];
        always.into_iter().chain(self.html.as_deref().map(|html| ("html", html, Form::Html)))
    }

    /// Changes each part.
    pub(crate) fn map(&mut self, change: impl Fn(&str) -> String) {
        self.subject = change(&self.subject);
        self.text = change(&self.text);
        self.html = self.html.as_deref().map(change);
    }
}

impl Config {
    /// Every template, each with the path of its field: the one for everybody, then those in other languages.
    pub(crate) fn templates(&self) -> impl Iterator<Item = (String, &EmailParts)> {
        let others = self.languages.iter().map(|(tag, template)| (format!("languages.{tag}"), template));
        std::iter::once(("template".to_owned(), &self.template)).chain(others)
    }

    /// The e-mail for a person with these data: in the language that is nearest to the person's locale.
    pub fn compose(&self, data: &Value) -> Result<Letter, template::Refusal> {
        compose(&self.template, &self.languages, data, None)
    }

    /// The same from a mailbox, which is then the `sender` of the templates.
    fn compose_from(&self, mailbox: Option<&SendingMailbox>, data: &Value) -> Result<Letter, template::Refusal> {
        let called = |mailbox: &SendingMailbox| mailbox.name.clone().unwrap_or_else(|| mailbox.address.clone());
        let sender = mailbox.map(|mailbox| json!({ "name": called(mailbox), "email": mailbox.address }));
        compose(&self.template, &self.languages, data, sender.as_ref())
    }
}

/// The e-mail for a person with these data, of a template and the same in other languages. A `sender` that is given stands in
/// for that of the data.
pub(crate) fn compose(
    everybody: &EmailParts,
    languages: &BTreeMap<String, EmailParts>,
    data: &Value,
    sender: Option<&Value>,
) -> Result<Letter, template::Refusal> {
    let locale = data.pointer("/contact/locale").and_then(Value::as_str);
    let language = locale.and_then(|locale| nearest_language(languages, locale));
    let template = language.map_or(everybody, |(_, template)| template);
    let sender = sender.map(|sender| ("sender", sender));
    let render = |source: &str, form| template::render_with(source, form, data, sender);
    Ok(Letter {
        language: language.map(|(tag, _)| tag.to_owned()),
        subject: render(&template.subject, Form::Line)?,
        text: render(&template.text, Form::Text)?,
        html: template.html.as_deref().map(|html| render(html, Form::Html)).transpose()?,
    })
}

/// The value under the tag that is nearest to a locale: the locale itself, else it without its last part, and so on (RFC 4647,
/// lookup). `zh_Hans_CN` finds `zh-Hans`, else `zh`.
fn nearest_language<'a, T>(languages: &'a BTreeMap<String, T>, locale: &str) -> Option<(&'a str, &'a T)> {
    let locale = locale.replace('_', "-");
    let mut range = locale.as_str();
    loop {
        if let Some((tag, found)) = languages.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(range)) {
            return Some((tag, found));
        }
        range = range.rsplit_once('-')?.0;
        // A part of one letter only introduces what was cut off behind it.
        if let Some((before, "x" | "u" | "t")) = range.rsplit_once('-') {
            range = before;
        }
    }
}

/// The form of a language tag, for editors: what [`is_language`] looks at.
const LANGUAGE: &str = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$";
/// The longest language tag, in bytes.
const MOST_LANGUAGE: usize = 35;

/// Whether a text has the form of a language tag: parts of 1 to 8 letters and digits, the first of 2 or 3 letters.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=3).contains(&first.len())
        && first.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
        && tag.len() <= MOST_LANGUAGE
}

/// A mailbox: an address, and a name to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address, e.g. `sales@example.com`.
    pub address: String,
}

/// An e-mail that a step asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedEmail {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The step.
    pub step: String,
    /// The visit.
    pub visit: u32,
    /// Whom it goes to.
    pub contact: ContactId,
    /// The lead it concerns.
    pub lead: Option<LeadId>,
    /// The account it concerns.
    pub account: Option<AccountId>,
    /// The subject: one line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: Option<String>,
    /// The sender; none for the configured one.
    pub from: Option<Address>,
    /// Where answers go; none for the sender.
    pub reply_to: Option<Address>,
    /// Whether it goes out at any hour.
    #[serde(default)]
    pub transactional: bool,
    /// The mailbox that it goes out from, where it is one of a pool.
    #[serde(default)]
    pub mailbox: Option<SendingMailboxId>,
}

/// When it is looked again whether a pool has an active mailbox.
const POOL_RETRY: TimeDelta = TimeDelta::hours(1);
/// What puts off an e-mail whose pool has no mailbox that may send.
pub(crate) const POOL_WITHOUT_MAILBOX: &str = "POOL_WITHOUT_MAILBOX";

fn address(mailbox: Mailbox) -> Address {
    Address { name: mailbox.name, address: mailbox.address }
}

/// Checks the templates of an e-mail, each under the path of its field, and the tags of its languages.
pub(crate) fn check_templates<'a>(check: &mut Check<'_, '_>, templates: impl Iterator<Item = (String, &'a EmailParts)>) {
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    for (path, template) in templates {
        for (part, source, form) in template.parts() {
            let chars = match form {
                Form::Line => 200,
                Form::Text => 60_000,
                Form::Html => 150_000,
            };
            check.letter(&join(&path, part), source, form, chars);
        }
        if let Some(tag) = path.strip_prefix("languages.").filter(|tag| !is_language(tag)) {
            let message = "a language is a tag such as zh, pt-BR or zh-Hant; write one of those";
            check.problem(&format!("languages.{tag}"), Rule::Shape, message);
        }
        if let Some(tag) = path.strip_prefix("languages.")
            && let Some(other) = tags.insert(tag.to_ascii_lowercase(), tag.to_owned())
        {
            let message = format!("`{tag}` and `{other}` are the same language; keep one of the two");
            check.problem(&path, Rule::Shape, message);
        }
    }
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        // Those that were taken from a stored one are looked at in its document.
        if self.uses.is_none() {
            check_templates(check, self.templates());
        }
        if let Some(pool) = &self.pool {
            check.key("pool", pool, "a pool of mailboxes");
        }
        for (field, given) in [("from", &self.from), ("reply_to", &self.reply_to)] {
            let Some(given) = given else { continue };
            if !is_address(&given.address) {
                let message = "this is not an e-mail address; write it in the form name@example.com";
                check.problem(&format!("{field}.address"), Rule::Shape, message);
            }
            if self.pool.is_some() && field == "from" {
                let message = "the sender comes from the pool; keep either `from` or `pool`";
                check.problem("from", Rule::Shape, message);
            }
            if given.name.as_ref().is_some_and(|name| name.chars().any(char::is_control) || name.chars().count() > 200)
            {
                check.problem(&format!("{field}.name"), Rule::Shape, "a name is one line of at most 200 characters");
            }
        }
    }

    fn mailbox_pool(&self) -> Option<&str> {
        self.pool.as_deref()
    }

    fn because(&self, next: &Next) -> Option<serde_json::Map<String, Value>> {
        let uses = self.uses.as_ref().filter(|_| matches!(next, Next::Act(_)))?;
        Some([("template".to_owned(), json!(uses.to_string()))].into_iter().collect())
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let enrollment = run.enrollment;
        let mailbox = match &self.pool {
            Some(pool) => {
                let mailboxes = run.context.mailboxes;
                match sending_mailbox::choose(mailboxes, pool, enrollment.sequence, enrollment.contact) {
                    Some(mailbox) => Some(mailbox),
                    // Somebody has paused all of them.
                    None => return Ok(Next::Later(WaitReason::Event, run.now + POOL_RETRY, POOL_WITHOUT_MAILBOX)),
                }
            }
            None => None,
        };
        let letter = self.compose_from(mailbox, run.context.data)?;
        let email = PlannedEmail {
            enrollment: enrollment.id,
            step: run.step.id.clone(),
            visit: enrollment.visit,
            contact: enrollment.contact,
            lead: enrollment.lead,
            account: enrollment.account,
            subject: letter.subject,
            text: letter.text,
            html: letter.html,
            from: mailbox.map(|mailbox| address(mailbox.sender())).or_else(|| self.from.clone()),
            reply_to: self
                .reply_to
                .clone()
                .or_else(|| mailbox.and_then(|mailbox| mailbox.reply_to.clone()).map(address)),
            transactional: self.transactional,
            mailbox: mailbox.map(|mailbox| mailbox.id),
        };
        Ok(Next::Act(Box::new(Effect::SendEmail(email))))
    }
}

fn is_address(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;:\"\\()".contains(c);
    text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    }) && !text.contains(odd)
        && text.len() <= 254
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(word: &str) -> EmailParts {
        EmailParts { subject: word.to_owned(), text: format!("{word} {{{{ contact.name }}}}"), html: None }
    }

    #[test]
    fn everybody_gets_the_language_that_is_nearest_to_theirs() {
        let languages = [("zh", "你好"), ("zh-Hant", "您好"), ("pt-BR", "Oi")];
        let languages = languages.map(|(tag, word)| (tag.to_owned(), template(word))).into();
        let config = Config {
            template: template("Hello"),
            languages,
            uses: None,
            pool: None,
            from: None,
            reply_to: None,
            transactional: false,
        };
        for (locale, language, subject) in [
            ("zh-CN", Some("zh"), "你好"),
            ("zh_Hant_TW", Some("zh-Hant"), "您好"),
            ("ZH-hant", Some("zh-Hant"), "您好"),
            ("pt-br-x-private", Some("pt-BR"), "Oi"),
            ("pt", None, "Hello"),
            ("de", None, "Hello"),
            ("", None, "Hello"),
            ("-", None, "Hello"),
        ] {
            let letter = config.compose(&json!({"contact": {"name": "Sam", "locale": locale}})).unwrap();
            assert_eq!((letter.language.as_deref(), letter.subject.as_str()), (language, subject), "{locale}");
            assert_eq!(letter.text, format!("{subject} Sam"));
        }
        let letter = config.compose(&json!({"contact": {"name": "Sam", "locale": null}})).unwrap();
        assert_eq!(letter.language, None);
        for (tag, is) in [("zh", true), ("zh-Hant-TW", true), ("chinese", false), ("zh_CN", false), ("z", false)] {
            assert_eq!(is_language(tag), is, "{tag}");
        }
    }
}
