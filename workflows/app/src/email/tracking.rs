//! What becomes of an e-mail once it is there: whether it is opened, and which of its links are followed.

use super::Links;
use crate::written::Written;
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DurationRound, TimeDelta};
use lol_html::html_content::ContentType;
use lol_html::{RewriteStrSettings, element, rewrite_str};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tandem_domain::contact::Contact;
use tandem_domain::decision::Decision;
use tandem_domain::email::Email;
use tandem_domain::id::{ContactId, EmailId};
use tandem_domain::interaction::{self, Automation, Draft, Interaction, InteractionKind, automation};
use tandem_domain::link::is_web;
use tandem_store::Tx;

/// What is found out of what becomes of an e-mail. It concerns the HTML alone: a text stays as it was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tracking {
    /// Whether a picture tells that it was opened.
    pub opens: bool,
    /// Whether its links lead through here.
    pub clicks: bool,
}

impl Tracking {
    /// The HTML with its links led through here and the picture at its end, as far as that is wanted. HTML that cannot be
    /// taken apart stays as it is: it is sent all the same.
    pub(super) fn put_into(self, html: &str, links: &Links, email: &Email) -> String {
        let mut with_links = None;
        if self.clicks {
            let lead = element!("a[href]", |link| {
                let href = link.get_attribute("href").unwrap_or_default();
                // What an attribute escapes is meant as what it stands for.
                let url = html_escape::decode_html_entities(href.trim()).into_owned();
                if is_web(&url) {
                    link.set_attribute("href", &links.click_url(email.id, email.contact, &url))?;
                }
                Ok(())
            });
            let settings = RewriteStrSettings::new().append_element_content_handler(lead);
            with_links = rewrite_str(html, settings).ok();
        }
        let html = with_links.unwrap_or_else(|| html.to_owned());
        if !self.opens {
            return html;
        }
        let url = links.open_url(email.id, email.contact);
        let picture = format!("<img src=\"{url}\" alt=\"\" width=\"1\" height=\"1\" style=\"border:0\">");
        let mut placed = false;
        let end = element!("body", |body| {
            body.append(&picture, ContentType::Html);
            placed = true;
            Ok(())
        });
        let settings = RewriteStrSettings::new().append_element_content_handler(end);
        match rewrite_str(&html, settings) {
            Ok(whole) if placed => whole,
            _ => format!("{html}{picture}"),
        }
    }
}

/// What somebody, or something, did with an e-mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tracked {
    /// Its picture was shown.
    Open,
    /// A link of it was followed.
    Click {
        /// Where that leads.
        url: String,
    },
}

/// Records that an e-mail was opened or a link of it followed: once a minute at most, since readers show a picture again and
/// again. What no person did is recorded as that. Tandem's own: the link was signed.
#[derive(Debug, Clone, Serialize)]
pub struct EmailTrack {
    /// The e-mail.
    pub email: EmailId,
    /// The person it went to.
    pub contact: ContactId,
    /// What was done.
    pub what: Tracked,
    /// What the agent calls itself.
    pub user_agent: Option<String>,
    /// Whether only the head was asked for.
    pub only_looked: bool,
}

impl Command for EmailTrack {
    const NAME: &'static str = "emailTrack";
    type Output = Written<Interaction>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<Interaction>>> {
        let now = call.now(env);
        let missing = || AppError::NotFound { what: "Email", id: self.email.into() };
        let email: Email =
            tx.peek(self.email).await?.filter(|email: &Email| email.contact == self.contact).ok_or_else(missing)?;
        let contact: Contact =
            tx.peek(self.contact).await?.ok_or(AppError::NotFound { what: "Contact", id: self.contact.into() })?;
        let sent_at = email.settled_at.or(email.begun_at);
        let automated: Option<Automation> =
            automation::of_mail(self.user_agent.as_deref(), self.only_looked, sent_at, now);
        let (kind, url) = match &self.what {
            Tracked::Open => (InteractionKind::EmailOpen, None),
            Tracked::Click { url } => (InteractionKind::EmailClick, Some(url.clone())),
        };
        let minute = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        // A person who opens it in the minute of a scanner is somebody else.
        let known_by = format!("{kind} {} {} {automated:?}", self.email, url.as_deref().unwrap_or_default());
        let id = interaction::id_of(&known_by, minute);
        if let Some(known) = tx.peek::<Interaction>(id).await? {
            return Ok(Written::changed(known, None));
        }
        let subject = email.subject.chars().take(interaction::MAX_NAME).collect::<String>();
        let name = if subject.trim().is_empty() { email.step.clone() } else { subject };
        let properties = json!({ "email": tandem_domain::id::global("Email", email.id.into()), "step": email.step });
        let draft = Draft {
            kind,
            name,
            occurred_at: Some(now),
            seconds: None,
            url,
            properties: properties.as_object().cloned().unwrap_or_default(),
        };
        let recorded = interaction::record(id, (contact.id, contact.account), draft, now)?;
        Ok(Written::created(recorded.map(|interaction| Interaction { automated, ..interaction })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use tandem_domain::email::{EmailState, Mailbox};
    use uuid::Uuid;

    fn email() -> Email {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Email {
            id: EmailId(Uuid::from_u128(1)),
            enrollment: None,
            step: "hello".to_owned(),
            visit: 0,
            contact: ContactId(Uuid::from_u128(2)),
            lead: None,
            account: None,
            to: Mailbox::bare("ann@acme.example"),
            subject: "Hi".to_owned(),
            text: String::new(),
            html: None,
            hours: None,
            from: Mailbox::bare("a@example.com"),
            reply_to: None,
            message_id: "m@example.com".to_owned(),
            state: EmailState::Planned,
            attempts: 0,
            obstacle: None,
            error: None,
            planned_at: at,
            begun_at: None,
            settled_at: None,
            held_for: None,
            patience: None,
            transactional: false,
            mailbox: None,
            expected_at: None,
            slot_at: None,
            queued_at: None,
            held_with: None,
        }
    }

    fn put(tracking: Tracking, html: &str) -> String {
        let links = Links::new("https://tandem.example", &[7; 32]).unwrap();
        tracking.put_into(html, &links, &email())
    }

    #[test]
    fn links_lead_through_here_and_back_to_where_they_led() {
        let all = Tracking { opens: true, clicks: true };
        let html = "<html><body><p>Hi <a class=x href='https:&#x2f;&#x2f;acme.example/?a=1&amp;b=2'>there</a>, \
            <a href=\"mailto:a@b.c\">mail</a> <a href=\"%UNSUB%\">no more</a></p></body></html>";
        let tracked = put(all, html);
        let token = tracked.split("https://tandem.example/t/c/").nth(1).unwrap().split('"').next().unwrap();
        let links = Links::new("https://tandem.example", &[7; 32]).unwrap();
        let opened = links.open(token).unwrap();
        assert!(
            matches!(opened, tandem_domain::link::Link::Click { url, .. } if url == "https://acme.example/?a=1&b=2")
        );
        assert_eq!(tracked.matches("/t/c/").count(), 1, "{tracked}");
        assert!(
            tracked.contains("mailto:a@b.c") && tracked.contains("%UNSUB%") && tracked.contains("class=x"),
            "{tracked}"
        );
        let picture = tracked.find("/t/o/").unwrap();
        assert!(picture < tracked.find("</body>").unwrap() && tracked.contains("width=\"1\""));
    }

    #[test]
    fn what_is_not_wanted_is_not_done_and_a_fragment_gets_its_picture_too() {
        let html = "<p><a href=\"https://acme.example\">x</a>";
        assert_eq!(put(Tracking::default(), html), html);
        assert!(put(Tracking { opens: true, clicks: false }, html).starts_with(html));
        assert!(!put(Tracking { opens: false, clicks: true }, html).contains("<img"));
    }
}
