//! The family of jobs, through the schema. Its states are those of the database's clock, whatever the world's says: what
//! is due "before" is due in the world's past, and what waits is due after the real moment.

use crate::client::{ask, change, data};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tandem_app::Call;
use tandem_domain::access::{Role, Side};
use tandem_store::jobs::{NewJob, Now, Schedule};
use tandem_testkit::{World, on_both_databases};

const JOBS: &str = "query($filter: JobFilterInput) { jobs(filter: $filter) { nodes { id number queue kind input state dueAt \
    claimableAt attempt maxAttempts uniqueKey orderingKey node lastError requestId } } }";
const ARCHIVED: &str = "query($filter: ArchivedJobFilterInput) { archivedJobs(filter: $filter) { nodes { id number queue kind \
    input outcome reason dueAt endedAt attempt requestId } } }";

fn job(kind: &str, due: DateTime<Utc>) -> NewJob {
    let payload = format!("{{\"kind\":\"{kind}\",\"n\":1}}");
    NewJob { request_id: "r-7".to_owned(), ..NewJob::new("default", kind, payload, due) }
}

async fn ops(world: &World) -> Call {
    world.user("ops", Role::SalesOps, None).await.1
}

/// One job that is due, one that runs, one that waits.
async fn three(world: &World) {
    let store = &world.app.store;
    let past = world.now();
    store.add_jobs(&[job("running", past)]).await.unwrap();
    assert_eq!(store.claim_jobs("default", "node-1", Now::Database, TimeDelta::minutes(5), 9).await.unwrap().len(), 1);
    let future = store.database_time().await.unwrap() + TimeDelta::hours(1);
    let due = NewJob { ordering_key: Some("lead:1".to_owned()), ..job("due", past) };
    store.add_jobs(&[due, job("waiting", future)]).await.unwrap();
}

/// Two jobs in the archive, by way of an operator.
async fn two_cancelled(world: &World, ops: &Call) {
    world.app.store.add_jobs(&[job("a", world.now()), job("b", world.now())]).await.unwrap();
    for (kind, reason) in [("a", "a mistake"), ("b", "100% nonsense")] {
        let input = json!({"filter": {"kind": kind}, "reason": reason});
        assert_eq!(change(world, ops, "jobsCancel", "jobs", input).await, json!({"jobs": 1, "userErrors": []}));
    }
}

/// A schedule at 03:00; the world begins at 09:00.
async fn daily(world: &World) {
    let schedule = Schedule {
        name: "daily".to_owned(),
        cron: "0 3 * * *".to_owned(),
        zone: "UTC".to_owned(),
        payload: "{\"kind\":\"prune\"}".to_owned(),
        missed: "ALL".to_owned(),
        paused: false,
        next_at: world.now() + TimeDelta::hours(18),
        last_at: None,
    };
    world.app.store.keep_schedule(&schedule).await.unwrap();
}

async fn nodes(world: &World, call: &Call, query: &str, filter: Value) -> Vec<Value> {
    let found = data(world, call, query, json!({ "filter": filter })).await;
    let list = found.as_object().unwrap().values().next().unwrap();
    list["nodes"].as_array().unwrap().clone()
}

fn each<'a>(nodes: &'a [Value], field: &str) -> Vec<&'a str> {
    nodes.iter().map(|node| node[field].as_str().unwrap()).collect()
}

on_both_databases! {
    async fn operators_see_what_the_table_holds_and_nobody_else_does(world: World) {
        let ops = ops(&world).await;
        let (_, admin) = world.user("root", Role::Admin, None).await;
        three(&world).await;
        let found = nodes(&world, &ops, JOBS, json!({})).await;
        assert_eq!(each(&found, "state"), ["RUNNING", "DUE", "WAITING"]);
        let running = &found[0];
        assert_eq!((&running["node"], &running["attempt"], &running["maxAttempts"]), (&json!("node-1"), &json!(1), &json!(25)));
        assert_eq!((&running["input"], &running["requestId"]), (&json!({"kind": "running", "n": 1}), &json!("r-7")));
        assert_eq!((&found[1]["orderingKey"], &found[1]["node"]), (&json!("lead:1"), &Value::Null));
        assert_eq!(each(&nodes(&world, &admin, JOBS, json!({"state": "WAITING"})).await, "kind"), ["waiting"]);
        assert_eq!(each(&nodes(&world, &admin, JOBS, json!({"ids": [found[1]["id"]]})).await, "kind"), ["due"]);
        assert!(nodes(&world, &ops, JOBS, json!({"failed": true})).await.is_empty());
        let depth = "{ jobQueues { name paused limits { maxRunning perMinute } depth { due running waiting } oldestDue } }";
        let queues = data(&world, &ops, depth, json!({})).await["jobQueues"].clone();
        let default = queues.as_array().unwrap().iter().find(|queue| queue["name"] == "default").unwrap().clone();
        assert_eq!(default["depth"], json!({"due": 1, "running": 1, "waiting": 1}));
        assert_eq!(default["oldestDue"], "2026-03-02T09:00:00+00:00");
        let (_, rep) = world.user("rep", Role::Sales, Some(Side::Sales)).await;
        for query in ["{ jobs { nodes { id } } }", "{ archivedJobs { nodes { id } } }", "{ jobQueues { name } }", "{ jobSchedules { name } }", "{ jobNodes { name } }"] {
            let refused = ask(&world, &rep, query, json!({})).await;
            assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{query}: {refused}");
        }
        let node = "query($id: ID!) { node(id: $id) { __typename id ... on Job { kind } } }";
        let id = json!({"id": found[1]["id"]});
        let seen = data(&world, &ops, node, id.clone()).await;
        assert_eq!(seen["node"], json!({"__typename": "Job", "id": found[1]["id"], "kind": "due"}));
        assert_eq!(data(&world, &rep, node, id).await["node"], Value::Null);
    }

    async fn pages_of_jobs_follow_each_other(world: World) {
        let ops = ops(&world).await;
        let all: Vec<_> = (0..5).map(|n| job(&format!("j{n}"), world.now())).collect();
        world.app.store.add_jobs(&all).await.unwrap();
        let page = "query($after: String) { jobs(first: 3, after: $after) { nodes { kind } pageInfo { endCursor hasNextPage } } }";
        let first = data(&world, &ops, page, json!({})).await["jobs"].clone();
        assert_eq!((first["nodes"].as_array().unwrap().len(), &first["pageInfo"]["hasNextPage"]), (3, &json!(true)));
        let second = data(&world, &ops, page, json!({"after": first["pageInfo"]["endCursor"]})).await["jobs"].clone();
        assert_eq!(second["nodes"], json!([{"kind": "j3"}, {"kind": "j4"}]));
        let last = data(&world, &ops, "{ jobs(last: 1) { nodes { kind } } }", json!({})).await;
        assert_eq!(last["jobs"]["nodes"], json!([{"kind": "j4"}]));
    }

    async fn a_timer_is_not_brought_forward(world: World) {
        let ops = ops(&world).await;
        three(&world).await;
        let before = nodes(&world, &ops, JOBS, json!({})).await;
        let done = change(&world, &ops, "jobsRunNow", "jobs", json!({"filter": {}})).await;
        assert_eq!(done, json!({"jobs": 0, "userErrors": []}), "one waits for its moment; the others are due or run");
        assert_eq!(each(&nodes(&world, &ops, JOBS, json!({})).await, "state"), each(&before, "state"));
    }

    async fn a_job_is_called_off_with_a_reason_and_comes_back(world: World) {
        let ops = ops(&world).await;
        let unexplained = json!({"filter": {}, "reason": " "});
        let refused = change(&world, &ops, "jobsCancel", "jobs", unexplained).await;
        assert_eq!((&refused["jobs"], &refused["userErrors"][0]["code"]), (&Value::Null, &json!("JOBS_REASON")));
        two_cancelled(&world, &ops).await;
        assert!(nodes(&world, &ops, JOBS, json!({})).await.is_empty());
        let archived = nodes(&world, &ops, ARCHIVED, json!({"outcome": "CANCELLED"})).await;
        assert_eq!(each(&archived, "reason"), ["a mistake", "100% nonsense"]);
        let node = "query($id: ID!) { node(id: $id) { __typename ... on ArchivedJob { reason } } }";
        let seen = data(&world, &ops, node, json!({"id": archived[0]["id"]})).await;
        assert_eq!(seen["node"], json!({"__typename": "ArchivedJob", "reason": "a mistake"}));
        assert!(nodes(&world, &ops, ARCHIVED, json!({"outcome": "DEAD"})).await.is_empty());
        assert_eq!(each(&nodes(&world, &ops, ARCHIVED, json!({"reason": "0% n"})).await, "kind"), ["b"]);
        let back = json!({"filter": {"ids": [archived[0]["id"]]}, "idempotencyKey": "k"});
        for _ in 0..2 {
            let done = change(&world, &ops, "jobsRedrive", "jobs", back.clone()).await;
            assert_eq!(done, json!({"jobs": 1, "userErrors": []}), "the same answer to the same key");
        }
        assert_eq!(each(&nodes(&world, &ops, JOBS, json!({})).await, "lastError"), ["a mistake"]);
        assert_eq!(nodes(&world, &ops, ARCHIVED, json!({})).await.len(), 1);
        let kinds = world.ledger_kinds().await;
        assert_eq!(kinds[kinds.len() - 3..], ["jobs.cancelled", "jobs.cancelled", "jobs.redriven"]);
        let foreign = change(&world, &ops, "jobsRedrive", "jobs", json!({"filter": {"ids": ["x"]}})).await;
        assert_eq!(foreign["userErrors"][0]["code"], "ID_INVALID", "{foreign}");
        let many = change(&world, &ops, "jobsRedrive", "jobs", json!({"filter": {}, "limit": 10_001})).await;
        assert_eq!(many["userErrors"], json!([{"code": "JOBS_TOO_MANY", "field": ["limit"], "message": many["userErrors"][0]["message"]}]));
    }

    async fn a_queue_is_changed_in_what_is_given_and_stays_in_the_rest(world: World) {
        let ops = ops(&world).await;
        let fields = "queue { name paused limits { maxRunning perMinute perMinutePerKey } }";
        let save = async |input: Value| change(&world, &ops, "jobQueueSave", fields, input).await;
        let limited = save(json!({"name": "default", "maxRunning": 3, "perMinute": 60})).await;
        assert_eq!(limited["queue"]["limits"], json!({"maxRunning": 3, "perMinute": 60, "perMinutePerKey": null}), "{limited}");
        let paused = save(json!({"name": "default", "paused": true, "perMinute": null})).await;
        assert_eq!(paused["queue"]["paused"], json!(true));
        assert_eq!(paused["queue"]["limits"], json!({"maxRunning": 3, "perMinute": null, "perMinutePerKey": null}));
        let resumed = save(json!({"name": "default", "paused": false})).await;
        assert_eq!((&resumed["queue"]["paused"], &resumed["queue"]["limits"]["maxRunning"]), (&json!(false), &json!(3)));
        let kinds = world.ledger_kinds().await;
        assert_eq!(kinds[kinds.len() - 3..], ["job_queue.limited", "job_queue.paused", "job_queue.resumed"]);
        let zero = save(json!({"name": "default", "maxRunning": 0})).await;
        assert_eq!((&zero["userErrors"][0]["code"], &zero["userErrors"][0]["field"]), (&json!("JOB_QUEUE_LIMIT"), &json!(["maxRunning"])));
        let unknown = save(json!({"name": "no such", "paused": true})).await;
        assert_eq!(unknown["userErrors"][0]["code"], "JOB_QUEUE_UNKNOWN");
    }

    async fn a_schedule_is_halted_and_goes_on_at_its_next_tick(world: World) {
        let ops = ops(&world).await;
        daily(&world).await;
        let listed = data(&world, &ops, "{ jobSchedules { name cron timeZone missed paused nextAt lastAt job } }", json!({})).await;
        let expected = json!({"name": "daily", "cron": "0 3 * * *", "timeZone": "UTC", "missed": "ALL", "paused": false,
            "nextAt": "2026-03-03T03:00:00+00:00", "lastAt": null, "job": {"kind": "prune"}});
        assert_eq!(listed["jobSchedules"], json!([expected]));
        let switch = async |paused: bool| {
            change(&world, &ops, "jobScheduleSwitch", "schedule { paused nextAt }", json!({"name": "daily", "paused": paused})).await
        };
        assert_eq!(switch(true).await["schedule"], json!({"paused": true, "nextAt": "2026-03-03T03:00:00+00:00"}));
        world.clock.advance(TimeDelta::days(3));
        assert_eq!(switch(false).await["schedule"], json!({"paused": false, "nextAt": "2026-03-06T03:00:00+00:00"}));
        let unknown = json!({"name": "no such", "paused": true});
        let unknown = change(&world, &ops, "jobScheduleSwitch", "schedule { name }", unknown).await;
        assert_eq!(unknown["userErrors"][0]["code"], "JOB_SCHEDULE_UNKNOWN");
    }

    async fn nodes_are_listed_as_they_reported(world: World) {
        let ops = ops(&world).await;
        world.app.store.report_node("n1", "0.1.0", 16, 3, Now::Database).await.unwrap();
        let listed = data(&world, &ops, "{ jobNodes { name version concurrency running startedAt seenAt } }", json!({})).await;
        let node = &listed["jobNodes"][0];
        assert_eq!((&node["name"], &node["concurrency"], &node["running"]), (&json!("n1"), &json!(16), &json!(3)));
        assert_eq!(node["startedAt"], node["seenAt"]);
    }

    async fn sales_ops_and_administrators_change_and_others_are_refused(world: World) {
        let inputs = [
            ("jobsRunNow", json!({"filter": {}})),
            ("jobsCancel", json!({"filter": {}, "reason": "a mistake"})),
            ("jobsRedrive", json!({"filter": {}})),
            ("jobQueueSave", json!({"name": "default"})),
            ("jobScheduleSwitch", json!({"name": "daily", "paused": false})),
        ];
        daily(&world).await;
        for (n, role) in Role::ALL.iter().enumerate() {
            let side = role.side();
            let (_, call) = world.user(&format!("u{n}"), *role, side).await;
            for (name, input) in &inputs {
                let answer = ask(&world, &call, &crate::client::mutation(name, ""), json!({ "input": input })).await;
                if matches!(role, Role::SalesOps | Role::Admin) {
                    assert_eq!(answer["data"][name], json!({"userErrors": []}), "{role} {name}: {answer}");
                } else {
                    assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{role} {name}");
                }
            }
        }
    }
}
