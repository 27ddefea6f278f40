//! A receiver of webhooks that hangs, beside one that answers, through a node as it runs in production.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;
use tandem_app::{AccountUpsert, OutboundWebhookSave};
use tandem_domain::access::Role;
use tandem_domain::account::AccountPatch;
use tandem_domain::outbound::{Draft, OutboundDelivery, State};
use tandem_jobs::{Runner, Settings, run_workers};
use tandem_store::Page;
use tandem_store::outbound::OutboundDeliveryFilter;
use tandem_testkit::{World, on_both_databases};
use tokio::time::{sleep, timeout};

const HANGS: &str = "https://hangs.example.com/hook";
const ANSWERS: &str = "https://answers.example.com/hook";
/// How many events each is told of.
const EVENTS: usize = 30;
/// How many deliveries to one webhook are on their way at once, as it is shipped.
const AT_ONCE: i32 = 3;
/// Nothing here takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn draft(key: &str, url: &str) -> Draft {
    Draft {
        key: key.to_owned(),
        name: key.to_owned(),
        url: url.to_owned(),
        types: ["account.created".to_owned()].into(),
        filter: None,
        ordered: false,
        active: true,
    }
}

/// Waits until an address was posted so many events.
async fn until_posted(world: &World, url: &str, events: usize) {
    let posted = async {
        while world.hooks.bodies(url).len() < events {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let there = || format!("{} of {events} came to {url}", world.hooks.bodies(url).len());
    timeout(PATIENCE, posted).await.map_err(|_elapsed| there()).unwrap();
}

/// Waits until every delivery has come to an end, and gives them.
async fn until_settled(world: &World) -> Vec<OutboundDelivery> {
    let settled = async {
        loop {
            let filter = OutboundDeliveryFilter::default();
            let all = world.app.store.outbound_delivery_page(&filter, &Page::first(100)).await.unwrap().items;
            if all.iter().all(|delivery| delivery.state != State::Pending) {
                return all;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, settled).await.unwrap()
}

on_both_databases! {
    async fn a_receiver_that_hangs_has_few_deliveries_on_their_way_and_delays_no_other(world: World) {
        let (_, ops) = world.user("otto", Role::SalesOps, None).await;
        let queue = world.app.store.queue("webhooks").await.unwrap().unwrap();
        assert_eq!(queue.limits.max_running_per_key, Some(AT_ONCE));
        world.hooks.hold(HANGS);
        for draft in [draft("hangs", HANGS), draft("answers", ANSWERS)] {
            world.app.run(&ops, OutboundWebhookSave { draft }).await.unwrap();
        }
        for number in 0..EVENTS {
            let account = AccountPatch { name: Some(format!("Company {number}")), ..AccountPatch::default() };
            world.app.run(&ops, AccountUpsert { account }).await.unwrap();
        }
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let runner = Runner::new(world.app.clone(), "test", Settings::default());
        let node = tokio::spawn(run_workers(runner, stopped, Duration::from_secs(5)));
        // The one is told of everything while the other has not answered once.
        until_posted(&world, ANSWERS, EVENTS).await;
        let on_their_way = usize::try_from(AT_ONCE).unwrap();
        assert_eq!(world.hooks.bodies(HANGS).len(), on_their_way, "as many as are allowed, and no more");
        // What waited is delivered when the receiver is well again, and never more of it at once.
        world.hooks.let_go(HANGS);
        until_posted(&world, HANGS, EVENTS).await;
        let all = until_settled(&world).await;
        assert_eq!(all.iter().filter(|one| one.state == State::Delivered).count(), 2 * EVENTS);
        assert!(world.hooks.most_at_once(HANGS) <= on_their_way, "{}", world.hooks.most_at_once(HANGS));
        assert!(world.hooks.most_at_once(ANSWERS) <= on_their_way, "{}", world.hooks.most_at_once(ANSWERS));
        stop.send(true).unwrap();
        timeout(PATIENCE, node).await.unwrap().unwrap();
    }
}
