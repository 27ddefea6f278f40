use crate::server::Server;
use axum::http::StatusCode;
use tandem_testkit::on_both_databases;

on_both_databases! {
    async fn a_process_that_can_work_is_ready(world: World) {
        let server = Server::over(world);
        let live = server.get("/healthz").await;
        assert_eq!(live.status, StatusCode::OK);
        assert_eq!(live.json()["status"], "ok");
        let ready = server.get("/readyz").await;
        assert_eq!(ready.status, StatusCode::OK, "{}", ready.text);
        let body = ready.json();
        for part in ["database", "migrations", "queue"] {
            assert_eq!(body[part]["status"], "ok", "{body}");
        }
    }

    async fn a_process_whose_tables_are_not_its_own_is_unready_but_alive(world: World) {
        world.tamper("DELETE FROM seaql_migrations").await.unwrap();
        let server = Server::over(world);
        let ready = server.get("/readyz").await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready.json()["migrations"]["status"], "failed");
        assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
    }

    async fn the_database_tells_the_time(world: World) {
        let year = world.app.store.database_time().await.unwrap().format("%Y").to_string();
        assert!(year.as_str() >= "2025", "{year}");
    }

    async fn the_first_link_key_stays(world: World) {
        let first = world.app.store.keep_first_checkpoint("key", "one").await.unwrap();
        let second = world.app.store.keep_first_checkpoint("key", "two").await.unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("one", "one"));
    }
}

#[tokio::test]
async fn a_process_that_stops_is_unready_at_once_but_alive() {
    let server = Server::sqlite().await;
    server.trigger.begin();
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["status"], "stopping");
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
}
