//! `/u/{token}`: looking changes nothing, posting unsubscribes, as often as it is repeated.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use tandem_app::EmailPlan;
use tandem_domain::email::Email;
use tandem_domain::suppression::SuppressionReason;
use tandem_server::http::unsubscribe;
use tandem_testkit::{World, on_both_databases};
use tower::ServiceExt as _;

async fn sent(world: &World) -> (Email, String) {
    let plan = EmailPlan {
        purpose: "test".into(),
        contact: world.contact("ann@example.org").await.id,
        lead: None,
        subject: "Good day".into(),
        text: "Hello.".into(),
        html: None,
    };
    let email = world.app.run(&world.system(), plan).await.unwrap();
    world.run_due_jobs().await;
    let url = world.mailer.sent()[0].unsubscribe.clone().unwrap().url;
    (email, url.strip_prefix("https://tandem.example").unwrap().to_owned())
}

async fn call(world: &World, method: &str, path: &str, body: &'static str, language: &str) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT_LANGUAGE, language)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    let router: Router = unsubscribe::routes(world.app.clone());
    let response = router.oneshot(request).await.unwrap();
    assert!(!response.headers().contains_key(header::SET_COOKIE));
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

on_both_databases! {
    async fn looking_changes_nothing_and_posting_unsubscribes_for_good(world: World) {
        let (email, path) = sent(&world).await;
        assert!(!path.contains("ann"), "no address in any URL");
        for method in ["GET", "HEAD"] {
            let before = world.ledger_kinds().await;
            let (status, _) = call(&world, method, &path, "", "en").await;
            assert_eq!((status, world.ledger_kinds().await), (StatusCode::OK, before));
        }
        let (_, page) = call(&world, "GET", &path, "", "zh-CN").await;
        assert!(page.contains("lang=\"zh-CN\"") && page.contains("退订") && page.contains("method=\"post\""));
        for body in ["List-Unsubscribe=One-Click", "", "anything"] {
            let (status, page) = call(&world, "POST", &path, body, "en").await;
            assert_eq!(status, StatusCode::OK);
            assert!(page.contains("You are unsubscribed"));
        }
        let live = world.app.store.live_suppressions_of("ann@example.org").await.unwrap();
        assert_eq!(live.len(), 1);
        assert_eq!(live[0].reason, SuppressionReason::Unsubscribed);
        let added = world.ledger_kinds().await.iter().filter(|kind| *kind == "suppression.added").count();
        assert_eq!(added, 1);
        assert!(email.to.address == "ann@example.org");
    }

    async fn a_token_that_is_not_ours_changes_nothing(world: World) {
        let (_, path) = sent(&world).await;
        let before = world.ledger_kinds().await;
        let mut forged = path.clone();
        let last = forged.pop().unwrap();
        forged.push(if last == 'A' { 'E' } else { 'A' });
        let other = tandem_app::Links::new("https://tandem.example", &[8; 32]).unwrap();
        let stranger = other.unsubscribe_url(world.app.env.id(world.now()), world.app.env.id(world.now()));
        let stranger = stranger.strip_prefix("https://tandem.example").unwrap();
        for path in [forged.as_str(), "/u/x", "/u/%F0%9F%98%80", stranger] {
            for method in ["GET", "POST"] {
                let (status, page) = call(&world, method, path, "", "en").await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
                assert!(page.contains("does not work"));
            }
        }
        assert_eq!(call(&world, "DELETE", &path, "", "en").await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(world.ledger_kinds().await, before);
    }
}
