//! `/t/o/` and `/t/c/`: what is told of an e-mail that arrived, and where its links lead.

use crate::server::{Answer, Server};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use chrono::TimeDelta;
use std::sync::Arc;
use tandem_app::{EmailPlan, Links, Mail, Tracking};
use tandem_domain::id::{ContactId, EmailId};
use tandem_domain::interaction::{Automation, Interaction, InteractionKind};
use tandem_store::Page;
use tandem_store::interaction::{InteractionFilter, Of};
use tandem_testkit::{World, on_both_databases};

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

/// A server that sent one e-mail with a link, and the addresses in it.
struct Sent {
    server: Server,
    contact: ContactId,
    picture: String,
    link: String,
}

impl Sent {
    async fn over(mut world: World) -> Self {
        let tracking = Tracking { opens: true, clicks: true };
        world.app.env.mail = Arc::new(Mail { tracking, ..(*world.app.env.mail).clone() });
        world.runner = tandem_jobs::Runner::new(world.app.clone(), "test", tandem_jobs::Settings::default());
        let contact = world.contact("ann@example.org").await.id;
        let plan = EmailPlan {
            purpose: "test".into(),
            contact,
            lead: None,
            subject: "Good day".into(),
            text: "Look: https://acme.example/pricing".into(),
            html: Some("<p>Look: <a href=\"https://acme.example/pricing?a=1&amp;b=2\">pricing</a></p>".into()),
        };
        world.app.run(&world.system(), plan).await.unwrap();
        world.run_due_jobs().await;
        let mail = world.mailer.sent().remove(0);
        assert_eq!(mail.text, "Look: https://acme.example/pricing", "a text stays as it was written");
        let html = mail.html.unwrap();
        let address = |kind: &str| {
            let (_, rest) = html.split_once(&format!("https://tandem.example{kind}")).unwrap();
            format!("{kind}{}", rest.split('"').next().unwrap())
        };
        let (picture, link) = (address("/t/o/"), address("/t/c/"));
        assert!(!html.contains("ann") && !html.contains("href=\"https://acme.example"), "{html}");
        // Whoever looks at once is a machine.
        world.clock.advance(TimeDelta::minutes(5));
        Self { server: Server::over(world), contact, picture, link }
    }

    async fn look(&self, method: &str, path: &str, agent: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header::USER_AGENT, agent);
        self.server.send(request, Body::empty()).await
    }

    async fn seen(&self) -> Vec<Interaction> {
        let filter = InteractionFilter { of: Some(Of::Contact(self.contact)), ..InteractionFilter::default() };
        self.server.world.app.store.interaction_page(&filter, &Page::first(50)).await.unwrap().items
    }
}

on_both_databases! {
    async fn an_open_and_a_click_are_recorded_and_a_click_leads_on(world: World) {
        let sent = Sent::over(world).await;
        for _ in 0..3 {
            let answer = sent.look("GET", &sent.picture, CHROME).await;
            assert_eq!((answer.status, answer.header(header::CONTENT_TYPE)), (StatusCode::OK, "image/gif"));
            assert!(answer.header(header::CACHE_CONTROL).contains("no-store"));
        }
        let answer = sent.look("GET", &sent.link, CHROME).await;
        assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::FOUND, "https://acme.example/pricing?a=1&b=2"));
        assert_eq!(answer.header(header::REFERRER_POLICY), "no-referrer");
        let mut seen = sent.seen().await;
        seen.sort_by_key(|one| one.kind);
        let told: Vec<_> = seen.iter().map(|one| (one.kind, one.name.as_str(), one.automated, one.url.as_deref())).collect();
        assert_eq!(told, [
            (InteractionKind::EmailOpen, "Good day", None, None),
            (InteractionKind::EmailClick, "Good day", None, Some("https://acme.example/pricing?a=1&b=2")),
        ]);
        // A minute later it is another one.
        sent.server.world.clock.advance(TimeDelta::minutes(1));
        sent.look("GET", &sent.picture, CHROME).await;
        assert_eq!(sent.seen().await.len(), 3);
    }

    async fn machines_are_led_on_and_marked(world: World) {
        let sent = Sent::over(world).await;
        assert_eq!(sent.look("HEAD", &sent.link, CHROME).await.status, StatusCode::FOUND);
        sent.look("GET", &sent.link, "BarracudaCentral link check").await;
        sent.server.world.clock.advance(TimeDelta::minutes(1));
        sent.look("GET", &sent.link, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)").await;
        let marks: Vec<_> = sent.seen().await.into_iter().map(|one| one.automated).collect();
        assert_eq!(marks, [Some(Automation::LinkScanner), Some(Automation::Bot)]);
    }

    async fn a_link_that_is_not_ours_leads_nowhere_and_tells_nothing(world: World) {
        let sent = Sent::over(world).await;
        let (email, contact): (EmailId, ContactId) = (sent.server.world.app.env.id(sent.server.world.now()), sent.contact);
        let path = |url: String| url.strip_prefix("https://tandem.example").unwrap().to_owned();
        let others = Links::new("https://tandem.example", &[8; 32]).unwrap();
        let ours = &sent.server.world.app.env.mail.links;
        let mut forged = sent.link.clone();
        let last = forged.pop().unwrap();
        forged.push(if last == 'A' { 'E' } else { 'A' });
        for link in [forged, "/t/c/x".to_owned(), path(others.click_url(email, contact, "https://evil.example")), path(ours.open_url(email, contact)).replace("/t/o/", "/t/c/")] {
            let answer = sent.look("GET", &link, CHROME).await;
            assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::NOT_FOUND, ""), "{link}");
        }
        // What was signed for an e-mail that is not there leads on all the same.
        let lost = path(ours.click_url(email, contact, "https://acme.example"));
        assert_eq!(sent.look("GET", &lost, CHROME).await.status, StatusCode::FOUND);
        assert_eq!(sent.look("GET", "/t/o/x", CHROME).await.status, StatusCode::OK);
        assert_eq!(sent.look("POST", &sent.link, CHROME).await.status, StatusCode::METHOD_NOT_ALLOWED);
        // An unsubscribe link is no click, and the other way round.
        let unsubscribe = path(ours.unsubscribe_url(email, contact)).replace("/u/", "/t/c/");
        assert_eq!(sent.look("GET", &unsubscribe, CHROME).await.status, StatusCode::NOT_FOUND);
        let click = sent.link.replace("/t/c/", "/u/");
        assert_eq!(sent.look("GET", &click, CHROME).await.status, StatusCode::NOT_FOUND);
        assert!(sent.seen().await.is_empty());
    }
}
