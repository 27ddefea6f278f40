//! The pages that people look at all day, over a database that has grown.

use super::grown::Grown;
use super::{Bench, Times, timed};
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use std::time::{Duration, Instant};
use tandem_api::global_id;

/// How many people look at once.
const AT_ONCE: usize = 8;

const QUEUE: &str =
    "query Queue($after: String) { workQueue(first: 25, after: $after) { nodes { id title priority dueAt
    grade { code } lead { id stage source } contact { id name email } account { id name domains } }
    pageInfo { endCursor hasNextPage } } }";
const ACCOUNT: &str = "query Account($id: ID!) { account(id: $id) { name domains contacts(first: 10) { nodes { name email } } }
    leads(first: 10, filter: { accountId: $id }) { nodes { id stage dueAt contact { name } workItems(first: 5) { nodes { state } } } }
    ledger(last: 20, filter: { accountId: $id }) { nodes { kind at actor { name } } } }";

/// Asks each page so often, over the floor of a request that asks for nothing.
pub(super) async fn run(bench: &Bench, grown: &Grown, times: usize) {
    let viewer = json!({ "query": "{ viewer { email } }" }).to_string();
    ask(bench, "floor: { viewer { email } }", times, |_| viewer.clone()).await;
    let queue = json!({ "query": QUEUE }).to_string();
    ask(bench, "the queue, 25 rows with lead and company", times, |_| queue.clone()).await;
    let account = |number: usize| {
        let id = global_id(grown.accounts[number * 7 % grown.accounts.len()]);
        json!({ "query": ACCOUNT, "variables": { "id": id.0 } }).to_string()
    };
    ask(bench, "an account, its people, leads and ledger", times, account).await;
}

async fn ask(bench: &Bench, name: &str, times: usize, body: impl Fn(usize) -> String) {
    let began = Instant::now();
    let asked = stream::iter(0..times).map(|number| {
        let body = body(number);
        timed(async move { assert_eq!(bench.graphql(&body).await, 200) })
    });
    let times: Vec<Duration> = asked.buffer_unordered(AT_ONCE).map(|(time, ())| time).collect().await;
    Times(times).show(name, began.elapsed());
}
