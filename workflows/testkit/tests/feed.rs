//! The feed of what changes: in one process, between processes, and to a listener who does not keep up.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;
use tandem_app::{App, ContactTag, TaskCreate};
use tandem_domain::contact::Contact;
use tandem_store::feed::{Changed, Changes, TooSlow};
use tandem_store::{Settings, Store};
use tandem_testkit::{World, on_both_databases};
use tokio::time::timeout;

/// Nothing here takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// The next change of a kind; others are passed by.
async fn next(changes: &mut Changes, kind: &str) -> Changed {
    loop {
        let change = timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
        if change.kind == kind {
            return change;
        }
    }
}

async fn tag(app: &App, world: &World, contact: &Contact, tag: &str) {
    let command = ContactTag { id: contact.id, add: vec![tag.to_owned()], remove: Vec::new() };
    app.run(&world.system(), command).await.unwrap();
}

on_both_databases! {
    async fn every_listener_hears_what_changes_from_then_on(world: World) {
        let before = world.contact("before@example.com").await;
        let mut first = world.app.store.changes().await.unwrap();
        let ann = world.contact("ann@example.com").await;
        let mut second = world.app.store.changes().await.unwrap();
        assert_eq!(next(&mut first, "Contact").await.id, ann.id.0);
        tag(&world.app, &world, &before, "a").await;
        assert_eq!(next(&mut first, "Contact").await.id, before.id.0);
        // The second began after the first change; it may still hear of it, and hears of the other for certain.
        while next(&mut second, "Contact").await.id != before.id.0 {}
        // After a pause without listeners it goes on from the moment it is asked again.
        drop((first, second));
        let ben = world.contact("ben@example.com").await;
        let mut third = world.app.store.changes().await.unwrap();
        tag(&world.app, &world, &ann, "b").await;
        let heard = next(&mut third, "Contact").await.id;
        assert!(heard == ann.id.0 || heard == ben.id.0);
    }

    async fn what_another_process_changes_is_heard(world: World) {
        let contact = world.contact("ann@example.com").await;
        let mut changes = world.app.store.changes().await.unwrap();
        let store = Store::connect(&Settings::new(world.url.clone())).await.unwrap();
        let other = App::new(store, world.app.env.clone());
        for number in 0..3 {
            tag(&other, &world, &contact, &format!("t{number}")).await;
            assert_eq!(next(&mut changes, "Contact").await.id, contact.id.0);
        }
        let task = TaskCreate {
            contact: contact.id, lead: None, account: None, title: "Call back".to_owned(), team: None, priority: None,
            due_at: world.now(), notes: None,
        };
        let item = other.run(&world.system(), task).await.unwrap();
        assert_eq!(next(&mut changes, "WorkItem").await.id, item.id.0);
    }

    async fn a_listener_who_does_not_keep_up_is_told_so(world: World) {
        let mut slow = world.app.store.changes().await.unwrap();
        let mut quick = world.app.store.changes().await.unwrap();
        for number in 0..1_100 {
            let contact = world.contact(&format!("c{number}@example.com")).await;
            while next(&mut quick, "Contact").await.id != contact.id.0 {}
        }
        assert_eq!(timeout(PATIENCE, slow.next()).await.unwrap(), Err(TooSlow));
    }
}
