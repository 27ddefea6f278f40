//! The laws of target-account lists, on both databases.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use tandem_app::target_list::{Change, Seen};
use tandem_app::{
    AccountUpsertMany, Actor, AppError, Call, ChangeRequestApprove, ChangeRequestEdit, ChangeRequestExpire,
    ChangeRequestPropose, ChangeRequestReject, ChangeRequestWithdraw, ListMembershipMakePermanent,
    ListMembershipRestore, ListMembershipSuspend, TargetListCreate, TaxonomyLibraryInstall,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::account::AccountPatch;
use tandem_domain::id::{AccountId, ListId, MembershipId};
use tandem_domain::target_list::{
    ChangeKind, ChangeReason, ChangeRequest, Evidence, History, ListMembership, ListVersion, MembershipState, Outcome,
    RequestState, Standing, TargetAccountList, as_of, diff, fold,
};
use tandem_store::Page;
use tandem_store::target_list::{MembershipFilter, RequestFilter};
use tandem_testkit::{World, on_both_databases};

/// A list, a person of each side, and accounts.
struct Scene {
    list: ListId,
    marketer: Call,
    seller: Call,
    accounts: Vec<AccountId>,
}

async fn accounts(world: &World, count: usize) -> Vec<AccountId> {
    let row = |n: usize| AccountPatch { name: Some(format!("Example {n}")), ..AccountPatch::default() };
    let rows = (0..count).map(row).collect();
    let made = world.app.run(&world.system(), AccountUpsertMany { rows }).await.unwrap();
    made.rows.iter().map(|row| row.id().unwrap().into()).collect()
}

async fn scene(world: &World, count: usize) -> Scene {
    let (_, marketer) = world.user("marketer", Role::Marketing, Some(Side::Marketing)).await;
    let (_, seller) = world.user("seller", Role::Sales, Some(Side::Sales)).await;
    world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
    let list = world.app.run(&marketer, new_list("enterprise")).await.unwrap().id;
    Scene { list, marketer, seller, accounts: accounts(world, count).await }
}

fn new_list(key: &str) -> TargetListCreate {
    let (name, description) = ("Enterprise".to_owned(), String::new());
    TargetListCreate { key: key.to_owned(), name, description, request_days: None, suspension_hours: None }
}

fn change(account: AccountId, kind: ChangeKind, tier: Option<&str>) -> Change {
    let evidence = vec![Evidence { note: "grew by half".into(), url: Some("https://example.com/report".into()) }];
    Change { account, kind, tier: tier.map(str::to_owned), reasons: vec![ChangeReason::IcpFit], evidence }
}

fn seen(requests: &[ChangeRequest]) -> ChangeRequestApprove {
    let seen = |request: &ChangeRequest| Seen { request: request.id, revision: request.revision };
    ChangeRequestApprove { requests: requests.iter().map(seen).collect() }
}

impl Scene {
    /// Proposed by marketing, approved by sales.
    async fn agree(&self, world: &World, changes: Vec<Change>) -> Outcome {
        let asked = ChangeRequestPropose { list: self.list, changes };
        let proposed = world.app.run(&self.marketer, asked).await.unwrap();
        world.app.run(&self.seller, seen(&proposed.requests)).await.unwrap()
    }

    async fn agree_to_add(&self, world: &World) -> Outcome {
        let add = |account: &AccountId| change(*account, ChangeKind::Add, Some("T1"));
        self.agree(world, self.accounts.iter().map(add).collect()).await
    }

    fn suspend(&self, membership: MembershipId) -> ListMembershipSuspend {
        ListMembershipSuspend { membership, reason: ChangeReason::LegalBlock, note: String::new(), until: None }
    }
}

async fn member(world: &World, id: MembershipId) -> ListMembership {
    world.app.store.find(id).await.unwrap().unwrap()
}

async fn request(world: &World, request: &ChangeRequest) -> ChangeRequest {
    world.app.store.find(request.id).await.unwrap().unwrap()
}

async fn versions(world: &World, list: ListId) -> Vec<ListVersion> {
    world.app.store.list_versions(list).await.unwrap()
}

async fn list_kinds(world: &World) -> Vec<String> {
    world.ledger_kinds().await.into_iter().filter(|kind| kind.starts_with("list.")).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T, AppError>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn both_sides_and_their_operations_change_lists_and_nobody_else() {
    use Role::{Admin, Integration, Marketing, Sales, SalesManager, SalesOps};
    let parties = [Marketing, Sales, SalesManager, SalesOps, Admin];
    let proposers = [Marketing, Sales, SalesManager, SalesOps, Admin, Integration];
    let table: &[(&str, &[Role])] = &[
        ("targetListCreate", &[Marketing, SalesManager, SalesOps, Admin]),
        ("changeRequestPropose", &proposers),
        ("changeRequestEdit", &parties),
        ("changeRequestApprove", &parties),
        ("changeRequestReject", &parties),
        ("changeRequestWithdraw", &parties),
        ("changeRequestExpire", &[]),
        ("listMembershipSuspend", &parties),
        ("listMembershipMakePermanent", &parties),
        ("listMembershipRestore", &parties),
        ("listSuspensionEnd", &[]),
    ];
    for (command, roles) in table {
        for role in Role::ALL {
            let actor = Actor::user(uuid::Uuid::nil().into(), *role, None);
            assert_eq!(actor.may(command).is_ok(), roles.contains(role), "{command} by {role}");
        }
        assert!(Actor::system().may(command).is_ok(), "{command} by Tandem itself");
    }
}

on_both_databases! {
    async fn an_account_is_on_the_list_once_a_person_of_each_side_agreed(world: World) {
        let scene = scene(&world, 1).await;
        let changes = vec![change(scene.accounts[0], ChangeKind::Add, Some("T1"))];
        let asked = ChangeRequestPropose { list: scene.list, changes };
        let proposed = world.app.run(&scene.marketer, asked).await.unwrap();
        let (asked, id) = (proposed.requests[0].clone(), proposed.memberships[0].id);
        assert_eq!(request(&world, &asked).await.state, RequestState::PartiallyApproved);
        assert_eq!(member(&world, id).await.state, MembershipState::PartiallyApproved);
        assert_eq!(world.job_kinds().await, ["expire_change_request"]);
        assert!(versions(&world, scene.list).await.is_empty());

        let agreed = world.app.run(&scene.seller, seen(std::slice::from_ref(&asked))).await.unwrap();
        assert_eq!(request(&world, &asked).await.state, RequestState::Agreed);
        let member = member(&world, id).await;
        assert_eq!((member.state, member.tier.as_str()), (MembershipState::Active, "T1"));
        assert!(member.keys.agreed());
        assert_eq!(versions(&world, scene.list).await, agreed.version.into_iter().collect::<Vec<_>>());
        let stored: TargetAccountList = world.app.store.find(scene.list).await.unwrap().unwrap();
        assert_eq!(stored.version, 1);
        let kinds = ["list.created", "list.change_proposed", "list.change_approved", "list.version_made"];
        assert_eq!(list_kinds(&world).await, kinds);
        let ledger = world.ledger().await;
        let entry = &ledger.iter().find(|link| link.entry.kind == "list.change_approved").unwrap().entry;
        assert_eq!(entry.account_id, Some(scene.accounts[0].into()));
        assert_eq!((entry.side.as_deref(), entry.reason.as_deref()), (Some("SALES"), Some("ICP_FIT")));
        assert_eq!(entry.rule.as_deref(), Some("two-keys@1"));
        assert_eq!((entry.state_before.as_deref(), entry.state_after.as_deref()), (Some("PARTIALLY_APPROVED"), Some("AGREED")));

        // The timer of the request comes when it has been decided: it does nothing, and is gone.
        assert_eq!(world.pass(TimeDelta::days(15)).await, 1);
        assert_eq!(list_kinds(&world).await, kinds);
        assert!(world.job_kinds().await.is_empty());
    }

    async fn second_approval_from_the_same_side_is_refused_and_writes_nothing(world: World) {
        let scene = scene(&world, 1).await;
        let (_, colleague) = world.user("colleague", Role::Marketing, Some(Side::Marketing)).await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let changes = vec![change(scene.accounts[0], ChangeKind::Add, Some("T1"))];
        let proposed = world.app.run(&scene.marketer, ChangeRequestPropose { list: scene.list, changes }).await.unwrap();
        let before = world.ledger().await.len();
        assert_eq!(code(world.app.run(&scene.marketer, seen(&proposed.requests)).await), "LIST_SAME_SIDE");
        assert_eq!(code(world.app.run(&colleague, seen(&proposed.requests)).await), "LIST_SAME_SIDE");
        assert_eq!(code(world.app.run(&ops, seen(&proposed.requests)).await), "LIST_NO_SIDE");
        assert_eq!(world.ledger().await.len(), before);
        assert_eq!(request(&world, &proposed.requests[0]).await, proposed.requests[0]);
    }

    async fn an_edit_voids_the_approvals_and_an_approval_of_the_old_revision_is_refused(world: World) {
        let scene = scene(&world, 1).await;
        let changes = vec![change(scene.accounts[0], ChangeKind::Add, Some("T1"))];
        let proposed = world.app.run(&scene.marketer, ChangeRequestPropose { list: scene.list, changes }).await.unwrap();
        world.clock.advance(TimeDelta::days(10));
        let edit = ChangeRequestEdit {
            request: proposed.requests[0].id,
            revision: 1,
            tier: Some("T2".into()),
            reasons: vec![ChangeReason::IntentSurge],
            evidence: vec![],
        };
        let edited = world.app.run(&scene.seller, edit).await.unwrap().requests;
        assert_eq!(edited[0].state, RequestState::Proposed);
        assert!(edited[0].approvals.none());
        assert_eq!(code(world.app.run(&scene.seller, seen(&proposed.requests)).await), "LIST_STALE_REVISION");
        // The first timer comes too early for the edited request; the second ends it.
        assert_eq!(world.pass(TimeDelta::days(5)).await, 1);
        assert_eq!(request(&world, &edited[0]).await.state, RequestState::Proposed);
        world.app.run(&scene.seller, seen(&edited)).await.unwrap();
        assert_eq!(world.pass(TimeDelta::days(9)).await, 1);
        assert_eq!(request(&world, &edited[0]).await.state, RequestState::Expired);
        assert_eq!(member(&world, edited[0].membership).await.state, MembershipState::Expired);
        assert_eq!(list_kinds(&world).await, [
            "list.created", "list.change_proposed", "list.change_edited", "list.change_approved", "list.change_expired",
        ]);
        // The ends are final: the account comes back as a new candidate.
        let again = scene.agree_to_add(&world).await;
        assert_ne!(again.memberships[0].id, edited[0].membership);
    }

    async fn many_accounts_are_agreed_in_one_command_each_side_and_one_version(world: World) {
        let scene = scene(&world, 300).await;
        let agreed = scene.agree_to_add(&world).await;
        assert_eq!(agreed.memberships.len(), 300);
        let versions = versions(&world, scene.list).await;
        assert_eq!((versions.len(), fold(&versions).len()), (1, 300));
        let filter = MembershipFilter { list: Some(scene.list), states: vec![MembershipState::Active], ..Default::default() };
        let page = world.app.store.membership_page(&filter, &Page::first(100)).await.unwrap();
        assert!(page.has_next && page.items.len() == 100);
        assert_eq!(world.job_kinds().await.len(), 300);
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn one_bad_account_among_many_leaves_nothing_behind(world: World) {
        let scene = scene(&world, 2).await;
        let add = |account| change(account, ChangeKind::Add, Some("T1"));
        scene.agree(&world, vec![add(scene.accounts[0])]).await;
        let before = world.ledger().await.len();
        let changes = vec![add(scene.accounts[1]), add(scene.accounts[0])];
        let refused = world.app.run(&scene.seller, ChangeRequestPropose { list: scene.list, changes }).await;
        assert_eq!(code(refused), "LIST_ALREADY_LISTED");
        assert_eq!(world.ledger().await.len(), before);
        let filter = RequestFilter { account: Some(scene.accounts[1]), ..Default::default() };
        assert!(world.app.store.change_request_page(&filter, &Page::first(10)).await.unwrap().items.is_empty());
    }

    async fn a_rejected_removal_leaves_the_account_active_and_an_agreed_one_ends_the_membership(world: World) {
        let scene = scene(&world, 1).await;
        let id = scene.agree_to_add(&world).await.memberships[0].id;
        let removal = || ChangeRequestPropose {
            list: scene.list,
            changes: vec![change(scene.accounts[0], ChangeKind::Remove, None)],
        };
        let asked = world.app.run(&scene.seller, removal()).await.unwrap().requests;
        assert_eq!(member(&world, id).await.state, MembershipState::RemovalProposed);
        let reject = ChangeRequestReject { request: asked[0].id, revision: 1, verdict: "still a fit".into() };
        assert_eq!(code(world.app.run(&scene.seller, reject.clone()).await), "LIST_OWN_REQUEST");
        world.app.run(&scene.marketer, reject).await.unwrap();
        assert_eq!(member(&world, id).await.state, MembershipState::Active);

        let asked = world.app.run(&scene.seller, removal()).await.unwrap().requests;
        let withdraw = ChangeRequestWithdraw { request: asked[0].id, revision: 1 };
        assert_eq!(code(world.app.run(&scene.marketer, withdraw.clone()).await), "LIST_NOT_PROPOSER");
        world.app.run(&scene.seller, withdraw.clone()).await.unwrap();
        assert_eq!(code(world.app.run(&scene.seller, withdraw).await), "LIST_REQUEST_CLOSED");

        let asked = world.app.run(&scene.seller, removal()).await.unwrap().requests;
        world.app.run(&scene.marketer, seen(&asked)).await.unwrap();
        assert_eq!(member(&world, id).await.state, MembershipState::Removed);
        assert!(fold(&versions(&world, scene.list).await).is_empty());
        assert_eq!(code(world.app.run(&scene.seller, removal()).await), "LIST_NOT_LISTED");
    }

    async fn an_emergency_suspension_ends_by_itself(world: World) {
        let scene = scene(&world, 1).await;
        let id = scene.agree_to_add(&world).await.memberships[0].id;
        world.app.run(&scene.seller, scene.suspend(id)).await.unwrap();
        assert_eq!(member(&world, id).await.state, MembershipState::Suspended);
        assert!(world.job_kinds().await.contains(&"end_suspension".to_owned()));
        assert_eq!(world.pass(TimeDelta::hours(71)).await, 0);
        assert_eq!(world.pass(TimeDelta::hours(1)).await, 1);
        let back = member(&world, id).await;
        assert_eq!((back.state, back.suspension), (MembershipState::Active, None));
        assert!(!world.job_kinds().await.contains(&"end_suspension".to_owned()));
        assert_eq!(list_kinds(&world).await[4..], [
            "list.account_suspended", "list.version_made", "list.suspension_ended", "list.version_made",
        ]);
        let made = versions(&world, scene.list).await;
        assert_eq!((made.len(), made[2].by), (3, None));
        let ledger = world.ledger().await;
        let ended = &ledger.iter().find(|link| link.entry.kind == "list.suspension_ended").unwrap().entry;
        assert_eq!((ended.actor_id, ended.actor_role.as_str()), (None, "SYSTEM"));
    }

    async fn a_suspension_that_both_sides_made_permanent_does_not_end_by_itself(world: World) {
        let scene = scene(&world, 1).await;
        let id = scene.agree_to_add(&world).await.memberships[0].id;
        let revision = world.app.run(&scene.seller, scene.suspend(id)).await.unwrap().memberships[0].revision;
        let permanent = ListMembershipMakePermanent { membership: id, revision };
        assert_eq!(code(world.app.run(&scene.seller, permanent.clone()).await), "LIST_SAME_SIDE");
        world.app.run(&scene.marketer, permanent).await.unwrap();
        world.pass(TimeDelta::days(30)).await;
        let kept = member(&world, id).await;
        assert_eq!(kept.state, MembershipState::Suspended);
        assert!(world.job_kinds().await.is_empty());

        let restore = ListMembershipRestore { membership: id, revision: kept.revision };
        world.app.run(&scene.marketer, restore.clone()).await.unwrap();
        assert_eq!(member(&world, id).await.state, MembershipState::Suspended);
        assert_eq!(code(world.app.run(&scene.marketer, restore.clone()).await), "LIST_SAME_SIDE");
        world.app.run(&scene.seller, restore).await.unwrap();
        assert_eq!(member(&world, id).await.state, MembershipState::Active);
    }

    async fn the_list_as_of_a_moment_and_the_difference_of_two_versions(world: World) {
        let scene = scene(&world, 3).await;
        let start = world.now();
        let added = scene.agree_to_add(&world).await.memberships;
        world.clock.advance(TimeDelta::days(1));
        scene.agree(&world, vec![change(scene.accounts[0], ChangeKind::Retier, Some("T2"))]).await;
        world.clock.advance(TimeDelta::days(1));
        scene.agree(&world, vec![change(scene.accounts[1], ChangeKind::Remove, None)]).await;
        world.app.run(&scene.seller, scene.suspend(added[2].id)).await.unwrap();

        let made = versions(&world, scene.list).await;
        let at = |days, minutes| start + TimeDelta::days(days) + TimeDelta::minutes(minutes);
        let tier = |at| as_of(&made, at).get(&scene.accounts[0]).map(|entry| entry.tier.clone());
        assert_eq!(tier(at(0, -1)), None);
        assert_eq!(tier(at(0, 0)).as_deref(), Some("T1"));
        assert_eq!(tier(at(1, 0)).as_deref(), Some("T2"));
        assert_eq!(History::of(&made).number_at(at(1, 5)), 2);
        let change = diff(&fold(&made[..1]), &fold(&made));
        assert!(change.added.is_empty() && change.restored.is_empty());
        assert_eq!(change.removed[0].account, scene.accounts[1]);
        assert_eq!((change.retiered[0].from.as_str(), change.retiered[0].entry.tier.as_str()), ("T1", "T2"));
        assert_eq!((change.suspended[0].account, change.suspended[0].standing), (scene.accounts[2], Standing::Suspended));
    }

    async fn versions_cannot_be_changed_or_removed(world: World) {
        let scene = scene(&world, 1).await;
        scene.agree_to_add(&world).await;
        for sql in ["UPDATE list_version SET number = 7", "DELETE FROM list_version"] {
            let refused = world.tamper(sql).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
    }

    async fn a_repeated_key_proposes_once(world: World) {
        let scene = scene(&world, 1).await;
        let call = scene.marketer.clone().with_key(Some("propose-1".to_owned()));
        let changes = vec![change(scene.accounts[0], ChangeKind::Add, Some("T1"))];
        let asked = ChangeRequestPropose { list: scene.list, changes };
        let first = world.app.run(&call, asked.clone()).await.unwrap();
        assert_eq!(world.app.run(&call, asked).await.unwrap(), first);
        assert_eq!(list_kinds(&world).await, ["list.created", "list.change_proposed"]);
        assert_eq!(world.job_kinds().await.len(), 1);
    }

    async fn two_proposals_at_once_for_one_account_leave_one_request(world: World) {
        let scene = scene(&world, 1).await;
        let tries = [&scene.marketer, &scene.seller, &scene.marketer, &scene.seller].map(|call| {
            let (app, call) = (world.app.clone(), call.clone());
            let changes = vec![change(scene.accounts[0], ChangeKind::Add, Some("T1"))];
            let asked = ChangeRequestPropose { list: scene.list, changes };
            tokio::spawn(async move { app.run(&call, asked).await })
        });
        let mut codes = Vec::new();
        for done in tries {
            codes.push(done.await.unwrap().map_or_else(|error| error.code(), |_| "OK"));
        }
        codes.sort_unstable();
        assert_eq!(codes, ["LIST_REQUEST_OPEN", "LIST_REQUEST_OPEN", "LIST_REQUEST_OPEN", "OK"]);
    }

    async fn two_approvals_at_once_make_one_version(world: World) {
        let scene = scene(&world, 1).await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let changes = vec![change(scene.accounts[0], ChangeKind::Add, Some("T1"))];
        let asked = world.app.run(&ops, ChangeRequestPropose { list: scene.list, changes }).await.unwrap().requests;
        let tries = [&scene.marketer, &scene.seller, &scene.marketer, &scene.seller].map(|call| {
            let (app, call, approve) = (world.app.clone(), call.clone(), seen(&asked));
            tokio::spawn(async move { app.run(&call, approve).await })
        });
        let mut good = 0;
        for done in tries {
            good += usize::from(done.await.unwrap().is_ok());
        }
        assert_eq!(good, 2);
        assert_eq!(versions(&world, scene.list).await.len(), 1);
        assert!(member(&world, asked[0].membership).await.keys.agreed());
    }

    async fn machines_and_sdrs_turn_no_key_and_timers_are_tandems_own(world: World) {
        let scene = scene(&world, 2).await;
        let changes = vec![change(scene.accounts[0], ChangeKind::Add, Some("T1"))];
        let asked = ChangeRequestPropose { list: scene.list, changes };
        let proposed = world.app.run(&scene.marketer, asked.clone()).await.unwrap().requests;
        let (_, machine) = world.user("machine", Role::Integration, Some(Side::Sales)).await;
        let (_, sdr) = world.user("sdr", Role::Sdr, Some(Side::Sales)).await;
        assert_eq!(code(world.app.run(&sdr, asked.clone()).await), "FORBIDDEN");
        // A machine may say what a list should be. Its user stands on a side, and yet no key is turned.
        let changes = vec![change(scene.accounts[1], ChangeKind::Add, Some("T1"))];
        let by_machine = ChangeRequestPropose { list: scene.list, changes };
        let by_machine = world.app.run(&machine, by_machine).await.unwrap().requests;
        assert_eq!((by_machine[0].state, by_machine[0].side), (RequestState::Proposed, None));
        for call in [&machine, &sdr] {
            assert_eq!(code(world.app.run(call, seen(&proposed)).await), "FORBIDDEN");
            assert_eq!(code(world.app.run(call, new_list("other")).await), "FORBIDDEN");
        }
        let expire = ChangeRequestExpire { request: proposed[0].id };
        assert_eq!(code(world.app.run(&scene.seller, expire).await), "FORBIDDEN");
        // Tandem itself is no person.
        assert_eq!(code(world.app.run(&world.system(), seen(&proposed)).await), "FORBIDDEN");
    }

    async fn a_tier_is_written_in_any_way_that_the_taxonomy_knows_and_refused_in_any_other(world: World) {
        let scene = scene(&world, 2).await;
        let propose = |tier: &str| {
            let good = change(scene.accounts[0], ChangeKind::Add, Some("Tier 1"));
            let changes = vec![good, change(scene.accounts[1], ChangeKind::Add, Some(tier))];
            ChangeRequestPropose { list: scene.list, changes }
        };
        let refused = world.app.run(&scene.marketer, propose("platinum")).await.unwrap_err();
        let AppError::Refused { code, field, .. } = refused else { panic!("{refused}") };
        assert_eq!((code, field.as_deref()), ("TAXONOMY_UNKNOWN_TERM", Some("changes.1.tier")));
        let refused = world.app.run(&scene.marketer, propose(" ")).await.unwrap_err();
        let AppError::Refused { code, field, .. } = refused else { panic!("{refused}") };
        assert_eq!((code, field.as_deref()), ("LIST_NO_TIER", Some("changes.1.tier")));
        let done = world.app.run(&scene.marketer, propose("二级")).await.unwrap();
        assert_eq!(done.requests.iter().map(|r| r.tier.as_deref().unwrap()).collect::<Vec<_>>(), ["T1", "T2"]);
    }

    async fn an_account_that_is_not_there_cannot_be_proposed(world: World) {
        let scene = scene(&world, 1).await;
        let stranger = AccountId(uuid::Uuid::from_u128(9));
        let changes = [scene.accounts[0], stranger].map(|id| change(id, ChangeKind::Add, Some("T1"))).into();
        let refused = world.app.run(&scene.marketer, ChangeRequestPropose { list: scene.list, changes }).await;
        assert!(matches!(refused, Err(AppError::NotFound { what: "Account", .. })));
    }

    async fn what_is_not_there_and_what_is_taken_are_named(world: World) {
        let scene = scene(&world, 1).await;
        assert_eq!(code(world.app.run(&scene.marketer, new_list("enterprise")).await), "LIST_KEY_TAKEN");
        let asked = ChangeRequestPropose {
            list: ListId(uuid::Uuid::from_u128(5)),
            changes: vec![change(scene.accounts[0], ChangeKind::Add, Some("T1"))],
        };
        assert_eq!(code(world.app.run(&scene.marketer, asked).await), "NOT_FOUND");
        let request = uuid::Uuid::from_u128(6).into();
        let withdraw = ChangeRequestWithdraw { request, revision: 1 };
        assert_eq!(code(world.app.run(&scene.marketer, withdraw).await), "NOT_FOUND");
        let none = ChangeRequestApprove { requests: vec![] };
        assert_eq!(code(world.app.run(&scene.marketer, none).await), "LIST_EMPTY_COMMAND");
        let suspend = scene.suspend(uuid::Uuid::from_u128(7).into());
        assert_eq!(code(world.app.run(&scene.marketer, suspend).await), "NOT_FOUND");
    }
}
