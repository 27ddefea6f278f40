//! E-mails that arrived, as clients read them.

use crate::server::{Server, post};
use axum::http::header;
use serde_json::{Value, json};
use tandem_app::EmailPlan;
use tandem_domain::access::Role;
use tandem_testkit::on_both_databases;

async fn ask(server: &Server, token: &str, query: &str, variables: Value) -> Value {
    let request = post().header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = server.send(request, json!({ "query": query, "variables": variables }).to_string()).await.json();
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].clone()
}

const QUERY: &str = "query($filter: ReceivedEmailFilterInput) { receivedEmails(filter: $filter, first: 10) { nodes {
    id kind state via subject text messageId backOn pausedUntil from { name address } report { status diagnostic recipients }
    contact { email } email { state obstacle } enrollments { id } } } }";

on_both_databases! {
    async fn what_came_back_is_read_with_what_it_did(world: World) {
        let contact = world.contact("ann@acme.example").await.id;
        let plan = EmailPlan {
            purpose: "test".into(),
            contact,
            lead: None,
            subject: "Good day".into(),
            text: "How are you?".into(),
            html: None,
        };
        let email = world.app.run(&world.system(), plan).await.unwrap();
        world.run_due_jobs().await;
        world.inbox.put(&format!(
            "From: Ann Lee <ann@acme.example>\nSubject: Re: Good day\nMessage-ID: <r1@acme.example>\nIn-Reply-To: <{}>\n\nFine.\n",
            email.message_id
        ));
        world.inbox.put(
            "From: x@nowhere.example\nSubject: Abwesend\nAuto-Submitted: auto-replied\nMessage-ID: <o1@nowhere.example>\n\n\
             Ich bin abwesend.\n",
        );
        world.inbox.put(&format!(
            "From: mailer-daemon@mx.example\nSubject: Undelivered\nMessage-ID: <d1@mx.example>\nMIME-Version: 1.0\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=B\n\n--B\nContent-Type: text/plain\n\nNo.\n\
             --B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n\
             Final-Recipient: rfc822; ann@acme.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 gone\n\n\
             --B\nContent-Type: text/rfc822-headers\n\nMessage-ID: <{}>\n\n--B--\n",
            email.message_id
        ));
        world.app.poll_inbox(&world.system()).await.unwrap();
        world.run_due_jobs().await;
        let server = Server::over(world);
        let (_, token) = server.token("sdr", Role::Sdr, None).await;
        let token = token.secret.unwrap();
        let all = ask(&server, &token, QUERY, json!({})).await["receivedEmails"]["nodes"].clone();
        let seen: Vec<String> = all.as_array().unwrap().iter().map(|one| format!("{} {}", one["kind"], one["state"])).collect();
        assert_eq!(seen, [
            "\"REPLY\" \"APPLIED\"", "\"OUT_OF_OFFICE\" \"UNMATCHED\"", "\"BOUNCE\" \"APPLIED\"",
        ]);
        assert_eq!(all[0]["from"], json!({ "name": "Ann Lee", "address": "ann@acme.example" }));
        assert_eq!((&all[0]["text"], &all[0]["contact"]["email"]), (&json!("Fine."), &json!("ann@acme.example")));
        assert_eq!(all[2]["report"], json!({ "status": "5.1.1", "diagnostic": "550 gone", "recipients": ["ann@acme.example"] }));
        assert_eq!(all[2]["email"], json!({ "state": "BOUNCED", "obstacle": "MAILBOX_GONE" }));
        let filter = json!({ "filter": { "kinds": ["REPLY", "COMPLAINT"], "states": ["APPLIED"] } });
        let replies = ask(&server, &token, QUERY, filter).await["receivedEmails"]["nodes"].clone();
        assert_eq!(replies.as_array().unwrap().len(), 1);
        let query = "query($id: ID!) { node(id: $id) { ... on ReceivedEmail { subject } } }";
        let node = ask(&server, &token, query, json!({ "id": all[0]["id"] })).await["node"].clone();
        assert_eq!(node["subject"], "Re: Good day");
    }
}
