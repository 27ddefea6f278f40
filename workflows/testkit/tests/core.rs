//! The laws of the core, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use tandem_app::{AppError, UserCreate};
use tandem_domain::access::{Role, Side};
use tandem_domain::ledger::{Break, Chain, canonical};
use tandem_testkit::on_both_databases;

fn someone(email: &str) -> UserCreate {
    UserCreate {
        email: email.to_owned(),
        name: "Someone".to_owned(),
        roles: [Role::Sales].into(),
        side: Some(Side::Sales),
        team: None,
        time_zone: chrono_tz::UTC,
    }
}

on_both_databases! {
    async fn a_command_writes_row_and_ledger_together_and_a_refusal_writes_nothing(world: World) {
        let user = world.app.run(&world.system(), someone("a@example.com")).await.unwrap();
        assert_eq!(world.app.store.find(user.id).await.unwrap(), Some(user));
        assert_eq!(world.ledger_kinds().await, ["user.added"]);

        let wrong = UserCreate { side: Some(Side::Marketing), ..someone("b@example.com") };
        let refused = world.app.run(&world.system(), wrong).await.unwrap_err();
        assert_eq!(refused.code(), "SIDE_MISMATCH");
        let taken = world.app.run(&world.system(), someone("A@example.com ")).await.unwrap_err();
        assert_eq!(taken.code(), "DUPLICATE");
        assert_eq!(world.ledger_kinds().await, ["user.added"]);
    }

    async fn a_repeated_key_gives_the_same_answer_and_another_input_conflicts(world: World) {
        let call = world.system().with_key(Some("k1".to_owned()));
        let first = world.app.run(&call, someone("a@example.com")).await.unwrap();
        let again = world.app.run(&call, someone("a@example.com")).await.unwrap();
        assert_eq!(first, again);
        let other = world.app.run(&call, someone("b@example.com")).await.unwrap_err();
        assert!(matches!(other, AppError::IdempotencyConflict));
        world.clock.advance(chrono::TimeDelta::hours(25));
        world.app.run(&call, someone("b@example.com")).await.unwrap();
        assert_eq!(world.ledger_kinds().await, ["user.added", "user.added"]);
    }

    async fn one_key_at_the_same_moment_gives_everybody_the_same_answer(world: World) {
        let racers = (0..6).map(|_| {
            let (app, call) = (world.app.clone(), world.system().with_key(Some("k".to_owned())));
            tokio::spawn(async move { app.run(&call, someone("a@example.com")).await })
        });
        let mut answers = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            answers.push(racer.await.unwrap().unwrap());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(world.ledger_kinds().await, ["user.added"]);
    }

    async fn only_an_administrator_manages_users(world: World) {
        let (_, sales) = world.user("rep", Role::Sales, Some(Side::Sales)).await;
        let refused = world.app.run(&sales, someone("a@example.com")).await.unwrap_err();
        assert_eq!(refused.code(), "FORBIDDEN");
        let (_, admin) = world.user("root", Role::Admin, None).await;
        world.app.run(&admin, someone("a@example.com")).await.unwrap();
    }

    async fn many_writers_at_once_leave_one_whole_chain(world: World) {
        let writers = (0..24).map(|n| {
            let app = world.app.clone();
            let call = world.system();
            tokio::spawn(async move { app.run(&call, someone(&format!("u{n}@example.com"))).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap().unwrap();
        }
        let verified = world.app.store.verify_ledger().await.unwrap();
        assert_eq!((verified.entries, verified.broken), (24, None));
    }

    async fn the_ledger_refuses_update_and_delete(world: World) {
        world.app.run(&world.system(), someone("a@example.com")).await.unwrap();
        for sql in ["UPDATE ledger_entry SET reason = 'X'", "DELETE FROM ledger_entry"] {
            let refused = world.tamper(sql).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
    }

    async fn a_check_of_the_chain_goes_on_where_an_earlier_one_ended(world: World) {
        for n in 0..4 {
            world.app.run(&world.system(), someone(&format!("u{n}@example.com"))).await.unwrap();
        }
        let (links, store) = (world.ledger().await, &world.app.store);
        let from = async |hash: &str| {
            let mut verification = store.begin_verification(Chain::known_up_to(2, hash.to_owned())).await.unwrap();
            store.verify_on(&mut verification).await.unwrap().unwrap()
        };
        let rest = from(&links[1].hash).await;
        assert_eq!((rest.entries, rest.broken, &rest.head), (4, None, &links[3].hash));
        let other = from(&links[0].hash).await;
        assert_eq!(other.broken, Some(Break::Misplaced { seq: 3, after: 2 }), "what was checked is held to its hash");
    }

    async fn a_detail_that_only_reads_like_what_was_hashed_is_reported(world: World) {
        for n in 0..3 {
            world.app.run(&world.system(), someone(&format!("u{n}@example.com"))).await.unwrap();
        }
        let sql = if world.url.starts_with("sqlite") {
            "DROP TRIGGER ledger_entry_no_update"
        } else {
            "ALTER TABLE ledger_entry DISABLE TRIGGER ALL"
        };
        world.tamper(sql).await.unwrap();
        let honest = canonical(&world.ledger().await[1].entry.detail);
        let key = honest.split('"').nth(1).unwrap();
        let twice = honest.replacen('{', &format!("{{\"{key}\":\"evil\","), 1);
        let escaped = honest.replacen(&key[..1], &format!("\\u{:04x}", u32::from(key.as_bytes()[0])), 1);
        for dishonest in [twice, escaped, format!("{honest} "), honest.replacen(':', ": ", 1)] {
            let put = |detail: &str| format!("UPDATE ledger_entry SET detail = '{detail}' WHERE seq = 2");
            world.tamper(&put(&dishonest)).await.unwrap();
            let verified = world.app.store.verify_ledger().await.unwrap();
            assert_eq!(verified.broken, Some(Break::Changed { seq: 2 }), "{dishonest}");
            world.tamper(&put(&honest)).await.unwrap();
            assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None, "{honest}");
        }
    }

    async fn verification_names_the_first_entry_that_was_tampered_with(world: World) {
        for n in 0..6 {
            world.app.run(&world.system(), someone(&format!("u{n}@example.com"))).await.unwrap();
        }
        let triggers: &[&str] = if world.url.starts_with("sqlite") {
            &["DROP TRIGGER ledger_entry_no_update", "DROP TRIGGER ledger_entry_no_delete"]
        } else {
            &["ALTER TABLE ledger_entry DISABLE TRIGGER ALL"]
        };
        for sql in triggers {
            world.tamper(sql).await.unwrap();
        }
        world.tamper("UPDATE ledger_entry SET actor_role = 'ADMIN' WHERE seq = 4").await.unwrap();
        let verified = world.app.store.verify_ledger().await.unwrap();
        assert_eq!(verified.broken, Some(Break::Changed { seq: 4 }));
        world.tamper("UPDATE ledger_entry SET actor_role = 'SYSTEM' WHERE seq = 4").await.unwrap();
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
        world.tamper("DELETE FROM ledger_entry WHERE seq = 3").await.unwrap();
        let verified = world.app.store.verify_ledger().await.unwrap();
        assert_eq!(verified.broken, Some(Break::Missing { seq: 3, found: 4 }));
        world.tamper("DELETE FROM ledger_entry WHERE seq > 1").await.unwrap();
        let verified = world.app.store.verify_ledger().await.unwrap();
        assert_eq!(verified.broken, Some(Break::Truncated { seq: 2, last: 1, head: 6 }));
    }
}
