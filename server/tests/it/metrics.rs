use crate::server::Server;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use chrono::TimeDelta;
use tandem_app::JobsCancel;
use tandem_store::jobs::{JobFilter, NewJob, Now, Outcome};
use tandem_testkit::{World, on_both_databases};

/// The value of the sample that begins with this name and these labels.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    assert!(line.is_some(), "{name} is not in\n{text}");
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

fn job(kind: &str, world: &World, due: TimeDelta) -> NewJob {
    NewJob::new("default", kind, format!("{{\"kind\":\"{kind}\"}}"), world.now() + due)
}

on_both_databases! {
    async fn what_the_workers_did_is_counted(world: World) {
        let server = Server::over(world);
        let world = &server.world;
        let jobs = [job("prune", world, TimeDelta::seconds(-3)), job("of_tomorrow", world, TimeDelta::zero())];
        world.app.store.add_jobs(&jobs).await.unwrap();
        assert_eq!(world.run_due_jobs().await, 2);
        let text = server.get("/metrics").await.text;
        assert_eq!(sample(&text, "tandem_job_lateness_seconds_count{queue=\"default\"}"), 2.0);
        assert_eq!(sample(&text, "tandem_job_lateness_seconds_sum{queue=\"default\"}"), 3.0, "by the clock of the claim");
        assert_eq!(sample(&text, "tandem_job_run_seconds_count{kind=\"prune\"}"), 1.0);
        let ended = text.lines().filter(|line| line.starts_with("tandem_job_attempts_total{kind=\"prune\"")).count();
        assert_eq!(ended, 1, "{text}");
        assert_eq!(sample(&text, "tandem_job_attempts_total{kind=\"of_tomorrow\",outcome=\"snooze\"}"), 1.0);
    }

    async fn what_the_table_holds_is_read_when_somebody_asks(world: World) {
        let server = Server::over(world);
        let store = &server.world.app.store;
        // The gauges go by the database's clock, and the world's lies far behind it.
        let future = store.database_time().await.unwrap() - server.world.now() + TimeDelta::hours(1);
        let kinds = ["a", "b", "c", "d"].map(|kind| job(kind, &server.world, TimeDelta::zero()));
        store.add_jobs(&kinds).await.unwrap();
        store.add_jobs(&[job("later", &server.world, future)]).await.unwrap();
        let lease = store.claim_jobs("default", "n", Now::Database, TimeDelta::minutes(5), 2).await.unwrap()[0].lease;
        store.archive_job(&lease, Now::Database, Outcome::Dead, "cannot be").await.unwrap();
        let filter = JobFilter { kind: Some("d".to_owned()), ..JobFilter::default() };
        let cancel = JobsCancel { filter, reason: "a mistake".to_owned(), limit: 9 };
        server.world.app.run(&server.world.system(), cancel).await.unwrap();
        let text = server.get("/metrics").await.text;
        for (state, jobs) in [("due", 1.0), ("running", 1.0), ("waiting", 1.0)] {
            assert_eq!(sample(&text, &format!("tandem_jobs{{queue=\"default\",state=\"{state}\"}}")), jobs, "{state}");
        }
        assert_eq!(sample(&text, "tandem_jobs_dead"), 1.0, "what was called off is not dead");
        let late = sample(&text, "tandem_jobs_oldest_due_seconds{queue=\"default\"}");
        let expected = (future - TimeDelta::hours(1)).as_seconds_f64();
        assert!((late - expected).abs() < 300.0, "{late} by the database's clock, not {expected}");
        assert_eq!(sample(&text, "tandem_database_up"), 1.0);
        // Anybody may ask, and what is counted costs: the same answer serves for a moment.
        let filter = JobFilter { kind: Some("c".to_owned()), ..JobFilter::default() };
        let cancel = JobsCancel { filter, reason: "a mistake".to_owned(), limit: 9 };
        server.world.app.run(&server.world.system(), cancel).await.unwrap();
        let again = server.get("/metrics").await.text;
        assert_eq!(sample(&again, "tandem_jobs{queue=\"default\",state=\"due\"}"), 1.0);
    }
}

#[tokio::test]
async fn both_text_formats_are_spoken() {
    let server = Server::sqlite().await;
    server.get("/healthz").await;
    server.get("/no/such/place").await;
    let plain = server.get("/metrics").await;
    assert_eq!(plain.status, StatusCode::OK);
    assert_eq!(plain.header(header::CONTENT_TYPE), "text/plain; version=0.0.4; charset=utf-8");
    assert!(plain.text.contains("# TYPE tandem_http_requests_total counter\n"), "{}", plain.text);
    assert!(!plain.text.contains("# EOF"), "{}", plain.text);
    let healthz = "tandem_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"}";
    assert_eq!(sample(&plain.text, healthz), 1.0);
    let nowhere = "tandem_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"}";
    assert_eq!(sample(&plain.text, nowhere), 1.0, "a path that does not exist makes no label");
    assert_eq!(sample(&plain.text, "tandem_http_request_duration_seconds_count{route=\"/healthz\"}"), 1.0);
    let open = Request::get("/metrics").header(header::ACCEPT, "application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    let open = server.send(open, Body::empty()).await;
    assert_eq!(open.header(header::CONTENT_TYPE), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(
        open.text.contains("# TYPE tandem_http_requests counter\n") && open.text.ends_with("# EOF\n"),
        "{}",
        open.text
    );
}

on_both_databases! {
    async fn a_database_that_does_not_answer_is_said_to_be_down(world: World) {
        let server = Server::over(world);
        if !server.world.url.starts_with("postgres") {
            // Readers of SQLite wait for nobody.
            return;
        }
        let held = server.world.hold("LOCK TABLE job IN ACCESS EXCLUSIVE MODE").await;
        let answer = server.get("/metrics").await;
        assert_eq!((answer.status, sample(&answer.text, "tandem_database_up")), (StatusCode::OK, 0.0));
        let ready = server.get("/readyz").await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready.json()["queue"]["status"], "failed", "{}", ready.text);
        drop(held);
    }

    async fn nodes_are_counted_while_they_report(world: World) {
        let server = Server::over(world);
        let store = &server.world.app.store;
        let now = store.database_time().await.unwrap();
        store.report_node("living", "1", 16, 0, Now::Database).await.unwrap();
        store.report_node("silent", "1", 16, 3, Now::At(now - TimeDelta::minutes(1))).await.unwrap();
        assert_eq!(sample(&server.get("/metrics").await.text, "tandem_job_nodes"), 1.0);
    }
}

#[tokio::test]
async fn a_database_that_is_down_does_not_silence_the_process() {
    let server = Server::sqlite().await;
    server.world.tamper("DROP TABLE job_archive").await.unwrap();
    let answer = server.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(sample(&answer.text, "tandem_database_up"), 0.0);
    assert!(!answer.text.contains("tandem_jobs{"), "{}", answer.text);
}
