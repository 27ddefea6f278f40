//! The feed of what changes: in one process, between processes, and to a listener who does not keep up.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;
use tandem_app::{App, ContactTag, TaskCreate};
use tandem_domain::contact::Contact;
use tandem_domain::work_item::WorkItem;
use tandem_store::feed::{Changes, TooSlow};
use tandem_store::{Settings, Store};
use tandem_testkit::{World, on_both_databases};
use tokio::time::timeout;
use uuid::Uuid;

/// Nothing here takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

async fn next(changes: &mut Changes) -> Uuid {
    timeout(PATIENCE, changes.next()).await.unwrap().unwrap()
}

async fn tag(app: &App, world: &World, contact: &Contact, tag: &str) {
    let command = ContactTag { id: contact.id, add: vec![tag.to_owned()], remove: Vec::new() };
    app.run(&world.system(), command).await.unwrap();
}

on_both_databases! {
    async fn every_listener_hears_what_changes_from_then_on(world: World) {
        let before = world.contact("before@example.com").await;
        let mut first = world.app.store.changes::<Contact>(None).await.unwrap();
        let ann = world.contact("ann@example.com").await;
        let mut second = world.app.store.changes::<Contact>(None).await.unwrap();
        assert_eq!(next(&mut first).await, ann.id.0);
        tag(&world.app, &world, &before, "a").await;
        assert_eq!(next(&mut first).await, before.id.0);
        // The second began after the first change; it may still hear of it, and hears of the other for certain.
        while next(&mut second).await != before.id.0 {}
        // After a pause without listeners it goes on from the moment it is asked again.
        drop((first, second));
        let ben = world.contact("ben@example.com").await;
        let mut third = world.app.store.changes::<Contact>(None).await.unwrap();
        tag(&world.app, &world, &ann, "b").await;
        let heard = next(&mut third).await;
        assert!(heard == ann.id.0 || heard == ben.id.0);
    }

    async fn what_another_process_changes_is_heard(world: World) {
        let contact = world.contact("ann@example.com").await;
        let mut changes = world.app.store.changes::<Contact>(None).await.unwrap();
        let mut items = world.app.store.changes::<WorkItem>(None).await.unwrap();
        let store = Store::connect(&Settings::new(world.url.clone())).await.unwrap();
        let other = App::new(store, world.app.env.clone());
        for number in 0..3 {
            tag(&other, &world, &contact, &format!("t{number}")).await;
            assert_eq!(next(&mut changes).await, contact.id.0);
        }
        let task = TaskCreate {
            contact: contact.id, lead: None, account: None, title: "Call back".to_owned(), team: None, priority: None,
            due_at: world.now(), notes: None, channel: None,
        };
        let item = other.run(&world.system(), task).await.unwrap();
        assert_eq!(next(&mut items).await, item.id.0);
    }

    async fn a_listener_who_does_not_keep_up_is_told_so(world: World) {
        let mut slow = world.app.store.changes::<Contact>(None).await.unwrap();
        let mut quick = world.app.store.changes::<Contact>(None).await.unwrap();
        for number in 0..1_100 {
            let contact = world.contact(&format!("c{number}@example.com")).await;
            while next(&mut quick).await != contact.id.0 {}
        }
        assert_eq!(timeout(PATIENCE, slow.next()).await.unwrap(), Err(TooSlow));
    }

    async fn a_listener_hears_of_what_it_asked_for_alone(world: World) {
        let (ann, ben) = (world.contact("ann@example.com").await, world.contact("ben@example.com").await);
        let mut only = world.app.store.changes::<Contact>(Some(ann.id.0)).await.unwrap();
        let mut items = world.app.store.changes::<WorkItem>(None).await.unwrap();
        // Whatever else happens, neither is told of it.
        for number in 0..300 {
            world.contact(&format!("c{number}@example.com")).await;
            tag(&world.app, &world, &ben, &format!("t{}", number % 50)).await;
            if number % 100 == 0 {
                tag(&world.app, &world, &ann, &format!("t{number}")).await;
                assert_eq!(next(&mut only).await, ann.id.0);
            }
        }
        assert_eq!(world.app.store.listeners(), 2);
        drop(only);
        assert!(timeout(Duration::ZERO, items.next()).await.is_err());
    }
}
