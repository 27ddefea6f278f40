//! The laws of target-account lists, over whatever order of commands.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use tandem_domain::access::Side;
use tandem_domain::decision::{Decision, Job, Planned};
use tandem_domain::id::{AccountId, ChangeRequestId, ListId, ListVersionId, MembershipId, UserId};
use tandem_domain::target_list::*;
use uuid::Uuid;

fn start() -> DateTime<Utc> {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

/// Two people of marketing, two of sales, and one of sales ops without a side.
fn people() -> [Party; 5] {
    let party = |n: u128, side| Party { user: UserId(Uuid::from_u128(n)), side };
    [
        party(1, Some(Side::Marketing)),
        party(2, Some(Side::Marketing)),
        party(3, Some(Side::Sales)),
        party(4, Some(Side::Sales)),
        party(5, None),
    ]
}

fn account(n: usize) -> AccountId {
    AccountId(Uuid::from_u128(1_000 + n as u128))
}

/// What a store would hold.
#[derive(Debug, Clone)]
struct World {
    list: TargetAccountList,
    requests: Vec<ChangeRequest>,
    memberships: Vec<ListMembership>,
    versions: Vec<ListVersion>,
    jobs: Vec<Planned>,
    now: DateTime<Utc>,
    next: u128,
    /// Whether a command's numbers of requests are positions among all of them.
    exact: bool,
}

#[derive(Debug, Clone)]
enum Command {
    Propose {
        accounts: Vec<usize>,
        kind: ChangeKind,
        tier: usize,
        by: usize,
    },
    Edit {
        request: usize,
        tier: usize,
        by: usize,
    },
    Approve {
        requests: Vec<usize>,
        stale: bool,
        by: usize,
    },
    Reject {
        request: usize,
        by: usize,
    },
    Withdraw {
        request: usize,
        by: usize,
    },
    Suspend {
        account: usize,
        hours: i64,
        by: usize,
    },
    MakePermanent {
        account: usize,
        by: usize,
    },
    Restore {
        account: usize,
        by: usize,
    },
    Wait {
        hours: i64,
    },
    /// Fires a timer, be it due or not, once or many times.
    Timer {
        job: usize,
    },
}

impl World {
    fn new() -> Self {
        let list = TargetAccountList {
            id: ListId(Uuid::from_u128(77)),
            key: "enterprise".into(),
            name: "Enterprise".into(),
            description: String::new(),
            request_days: REQUEST_DAYS,
            suspension_hours: SUSPENSION_HOURS,
            version: 0,
            version_at: None,
            created_at: start(),
        };
        let list = create(list).unwrap().next;
        let (requests, memberships, versions, jobs) = (vec![], vec![], vec![], vec![]);
        Self { list, requests, memberships, versions, jobs, now: start(), next: 10_000, exact: true }
    }

    fn id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    fn live(&self, account: AccountId) -> Option<ListMembership> {
        self.memberships.iter().find(|m| m.account == account && m.state.live()).cloned()
    }

    fn latest(&self, account: AccountId) -> Option<ListMembership> {
        self.memberships.iter().rev().find(|m| m.account == account).cloned()
    }

    fn review(&self, request: &ChangeRequest) -> Review {
        let membership = self.memberships.iter().find(|m| m.id == request.membership).unwrap().clone();
        Review { request: request.clone(), membership, seen: request.revision }
    }

    fn commit(&mut self, decision: Decision<Outcome>) {
        assert!(!decision.facts.is_empty());
        let Outcome { list, requests, memberships, version } = decision.next;
        self.list = list;
        for request in requests {
            match self.requests.iter_mut().find(|held| held.id == request.id) {
                Some(held) => *held = request,
                None => self.requests.push(request),
            }
        }
        for membership in memberships {
            match self.memberships.iter_mut().find(|held| held.id == membership.id) {
                Some(held) => {
                    assert!(drawn(held.state, membership.state), "{} -> {}", held.state, membership.state);
                    *held = membership;
                }
                None => self.memberships.push(membership),
            }
        }
        self.versions.extend(version);
        self.jobs.extend(decision.jobs);
    }

    fn propose(
        &mut self,
        accounts: &[AccountId],
        kind: ChangeKind,
        tier: &str,
        by: Party,
    ) -> Result<Decision<Outcome>, Refusal> {
        let proposals = accounts
            .iter()
            .map(|account| Proposal {
                id: ChangeRequestId(self.id()),
                membership: MembershipId(self.id()),
                account: *account,
                kind,
                tier: (kind != ChangeKind::Remove).then(|| tier.to_owned()),
                reasons: vec![ChangeReason::IcpFit],
                evidence: vec![Evidence { note: "visited the price page".into(), url: None }],
                live: self.live(*account),
            })
            .collect();
        propose(self.list.clone(), proposals, by, self.now)
    }

    fn run(&mut self, command: &Command) -> Result<Decision<Outcome>, Refusal> {
        let (list, now, people) = (self.list.clone(), self.now, people());
        let version = ListVersionId(self.id());
        let tier = |n: usize| format!("T{}", n % 3 + 1);
        // Mostly an open one: a closed one refuses everything, and the machine would never get deep.
        let pick = |world: &Self, n: usize| {
            let open: Vec<_> = world.requests.iter().filter(|request| request.state.open()).collect();
            let all: Vec<_> = world.requests.iter().collect();
            let from = if open.is_empty() || n % 8 == 7 || world.exact { all } else { open };
            let n = if world.exact { n } else { n % from.len().max(1) };
            from.get(n).map(|request| world.review(request)).ok_or(Refusal::Empty)
        };
        let member =
            |world: &Self, n: usize| world.latest(account(n)).ok_or(Refusal::NotListed { account: account(n) });
        match command {
            Command::Propose { accounts, kind, tier: t, by } => {
                let accounts: Vec<_> = accounts.iter().map(|n| account(*n)).collect();
                self.propose(&accounts, *kind, &tier(*t), people[*by])
            }
            Command::Edit { request, tier: t, by } => {
                let review = pick(self, *request)?;
                let tier = (review.request.kind != ChangeKind::Remove).then(|| tier(*t));
                let change = Edit { tier, reasons: vec![ChangeReason::IntentSurge], evidence: vec![] };
                edit(list, review, change, people[*by], now)
            }
            Command::Approve { requests, stale, by } => {
                let mut reviews = requests.iter().map(|n| pick(self, *n)).collect::<Result<Vec<_>, _>>()?;
                reviews.iter_mut().for_each(|review| review.seen -= u32::from(*stale));
                approve(list, reviews, version, people[*by], now)
            }
            Command::Reject { request, by } => reject(list, pick(self, *request)?, "no".into(), people[*by], now),
            Command::Withdraw { request, by } => withdraw(list, pick(self, *request)?, people[*by], now),
            Command::Suspend { account, hours, by } => {
                let until = Some(now + TimeDelta::hours(*hours));
                let emergency = Emergency { reason: ChangeReason::LegalBlock, note: String::new(), until };
                suspend(list, member(self, *account)?, emergency, version, people[*by], now)
            }
            Command::MakePermanent { account, by } => {
                let member = member(self, *account)?;
                let seen = member.revision;
                make_permanent(list, member, seen, people[*by], now)
            }
            Command::Restore { account, by } => {
                let member = member(self, *account)?;
                let seen = member.revision;
                restore(list, member, seen, version, people[*by], now)
            }
            Command::Wait { hours } => {
                self.now += TimeDelta::hours(*hours);
                Err(Refusal::Empty)
            }
            Command::Timer { job } => {
                let Some(planned) = self.jobs.get(job % self.jobs.len().max(1)) else { return Err(Refusal::Empty) };
                match planned.job {
                    Job::ExpireChangeRequest { request } => {
                        let request = self.requests.iter().find(|held| held.id == request).unwrap();
                        let review = self.review(request);
                        expire(list, review.request, review.membership, now)
                    }
                    Job::EndSuspension { account, revision, .. } => {
                        let member = self.latest(account).unwrap();
                        end_suspension(list, member, revision, version, now)
                    }
                    ref other => panic!("a list plans no {}", other.kind()),
                }
            }
        }
    }

    /// Every law that holds between two commands.
    fn check(&self) {
        let side = |user: UserId| people().iter().find(|party| party.user == user).unwrap().side;
        for member in &self.memberships {
            let open: Vec<_> =
                self.requests.iter().filter(|r| r.membership == member.id && r.state.open()).map(|r| r.id).collect();
            assert_eq!(
                open,
                member.request.into_iter().collect::<Vec<_>>(),
                "at most one open request, and it is known"
            );
            if member.state.listed() || member.state == MembershipState::Removed {
                let (marketing, sales) = (member.keys.marketing.unwrap(), member.keys.sales.unwrap());
                assert_ne!(marketing.by, sales.by, "two people");
                assert_eq!((side(marketing.by), side(sales.by)), (Some(Side::Marketing), Some(Side::Sales)));
            } else {
                assert!(member.keys.none());
            }
            assert_eq!(member.suspension.is_some(), member.state == MembershipState::Suspended);
            if let Some(suspension) = &member.suspension {
                assert_eq!(suspension.until.is_none(), suspension.keys.agreed(), "permanent only with two keys");
            }
            let twins = self.memberships.iter().filter(|m| m.account == member.account && m.state.live()).count();
            assert!(twins <= 1, "one live membership per account");
        }
        for request in &self.requests {
            match request.state {
                RequestState::Proposed => assert!(request.approvals.none()),
                RequestState::PartiallyApproved => assert!(!request.approvals.none() && !request.approvals.agreed()),
                RequestState::Agreed => assert!(request.approvals.agreed()),
                _ => assert!(!request.approvals.agreed()),
            }
            assert_eq!(request.closed_at.is_none(), request.state.open());
            let due = self.jobs.iter().any(|planned| {
                planned.job == Job::ExpireChangeRequest { request: request.id } && planned.due == request.expires_at
            });
            assert!(due, "a request that nobody decides is ended by a timer");
        }
        let listed: Vec<_> = fold(&self.versions).into_values().collect();
        let mut held: Vec<_> = self
            .memberships
            .iter()
            .filter(|member| member.state.listed())
            .map(|member| Entry {
                account: member.account,
                membership: member.id,
                tier: member.tier.clone(),
                standing: match member.state {
                    MembershipState::Suspended => Standing::Suspended,
                    _ => Standing::Active,
                },
            })
            .collect();
        held.sort_by_key(|entry| entry.account);
        assert_eq!(listed, held, "the versions fold to the memberships");
        for (version, number) in self.versions.iter().zip(1..) {
            assert_eq!(version.number, number);
            assert!(!version.changes.is_empty());
        }
        assert!(self.versions.is_sorted_by_key(|version| version.at));
        assert_eq!(self.list.version as usize, self.versions.len());
    }
}

fn drawn(from: MembershipState, to: MembershipState) -> bool {
    use MembershipState::*;
    from == to
        || matches!(
            (from, to),
            // The way back to `Proposed` is the edit that voids the approvals.
            (Proposed, PartiallyApproved)
                | (PartiallyApproved, Active | Proposed)
                | (Active, Suspended | RemovalProposed)
                | (Suspended, Active)
                | (RemovalProposed, Removed | Active)
                | (Proposed | PartiallyApproved, Rejected | Withdrawn | Expired)
        )
}

fn command() -> impl Strategy<Value = Command> {
    let (who, what) = (0..5_usize, 0..4_usize);
    let kind =
        prop_oneof![Just(ChangeKind::Add), Just(ChangeKind::Add), Just(ChangeKind::Remove), Just(ChangeKind::Retier)];
    prop_oneof![
        4 => (prop::collection::vec(what.clone(), 1..4), kind, what.clone(), who.clone())
            .prop_map(|(accounts, kind, tier, by)| Command::Propose { accounts, kind, tier, by }),
        1 => (any::<usize>(), what.clone(), who.clone()).prop_map(|(request, tier, by)| Command::Edit { request, tier, by }),
        8 => (prop::collection::vec(any::<usize>(), 1..3), prop::bool::weighted(0.1), who.clone())
            .prop_map(|(requests, stale, by)| Command::Approve { requests, stale, by }),
        1 => (any::<usize>(), who.clone()).prop_map(|(request, by)| Command::Reject { request, by }),
        1 => (any::<usize>(), who.clone()).prop_map(|(request, by)| Command::Withdraw { request, by }),
        2 => (what.clone(), -1..80_i64, who.clone()).prop_map(|(account, hours, by)| Command::Suspend { account, hours, by }),
        2 => (what.clone(), who.clone()).prop_map(|(account, by)| Command::MakePermanent { account, by }),
        2 => (what, who).prop_map(|(account, by)| Command::Restore { account, by }),
        2 => (0..100_i64).prop_map(|hours| Command::Wait { hours }),
        3 => any::<usize>().prop_map(|job| Command::Timer { job }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_listed_account_has_two_keys_of_two_people_and_the_versions_fold_to_the_memberships(
        commands in prop::collection::vec(command(), 1..60),
    ) {
        let mut world = World { exact: false, ..World::new() };
        for command in &commands {
            if let Ok(decision) = world.run(command) {
                world.commit(decision);
            }
            world.check();
        }
        // As of each version's moment the list is what the versions up to the last of that moment say.
        for version in &world.versions {
            let upto = world.versions.iter().filter(|other| other.at <= version.at);
            prop_assert_eq!(as_of(&world.versions, version.at), fold(upto));
        }
        // The history, folded once, has every state.
        let history = History::of(&world.versions);
        for (count, version) in world.versions.iter().enumerate() {
            let moment = history.entries(history.number_at(version.at)).cloned();
            prop_assert_eq!(moment.collect::<Vec<_>>(), as_of(&world.versions, version.at).into_values().collect::<Vec<_>>());
            let numbered = history.entries(version.number).cloned();
            prop_assert_eq!(numbered.collect::<Vec<_>>(), fold(&world.versions[..=count]).into_values().collect::<Vec<_>>());
        }
        prop_assert_eq!(history.entries(0).count(), 0);
        // A difference, applied, gives the later state; one way and the other way mirror each other.
        for cut in 0..=world.versions.len() {
            let (from, to) = (fold(&world.versions[..cut]), fold(&world.versions));
            let (there, back) = (diff(&from, &to), diff(&to, &from));
            prop_assert_eq!(there.added.len(), back.removed.len());
            prop_assert_eq!(there.suspended.len(), back.restored.len());
            prop_assert_eq!(there.retiered.len(), back.retiered.len());
            prop_assert_eq!(from.len() + there.added.len() - there.removed.len(), to.len());
        }
    }

    #[test]
    fn an_edit_voids_every_approval_and_the_approval_of_what_was_read_before(by in 0..4_usize, editor in 0..5_usize) {
        let mut world = World::new();
        let people = people();
        let decision = world.propose(&[account(1)], ChangeKind::Add, "T1", people[by]).unwrap();
        world.commit(decision);
        prop_assert!(!world.requests[0].approvals.none());
        let edited = world.run(&Command::Edit { request: 0, tier: 1, by: editor }).unwrap();
        world.commit(edited);
        prop_assert!(world.requests[0].approvals.none());
        prop_assert_eq!(world.requests[0].revision, 2);
        prop_assert_eq!(world.memberships[0].state, MembershipState::Proposed);
        prop_assert_eq!(&world.memberships[0].tier, "T2");
        let stale = world.run(&Command::Approve { requests: vec![0], stale: true, by: (by + 2) % 4 });
        prop_assert_eq!(stale.unwrap_err().code(), "LIST_STALE_REVISION");
    }
}

/// A world with one account in the given state of the membership (or none), 1 h after its last command.
fn world_in(state: &str) -> World {
    let [m1, _, s1, _, ops] = people();
    let mut world = World::new();
    let step = |world: &mut World, decision: Result<Decision<Outcome>, Refusal>| {
        world.commit(decision.unwrap());
        world.now += TimeDelta::hours(1);
    };
    if state == "NONE" {
        return world;
    }
    let by = if state == "PROPOSED" { ops } else { m1 };
    let add = world.propose(&[account(1)], ChangeKind::Add, "T1", by);
    step(&mut world, add);
    match state {
        "PROPOSED" | "PARTIALLY_APPROVED" => return world,
        "REJECTED" => {
            let said = world.run(&Command::Reject { request: 0, by: 2 });
            step(&mut world, said);
            return world;
        }
        "WITHDRAWN" => {
            let said = world.run(&Command::Withdraw { request: 0, by: 0 });
            step(&mut world, said);
            return world;
        }
        "EXPIRED" => {
            world.now += TimeDelta::days(14);
            let said = world.run(&Command::Timer { job: 0 });
            step(&mut world, said);
            return world;
        }
        _ => {}
    }
    let agreed = world.run(&Command::Approve { requests: vec![0], stale: false, by: 2 });
    step(&mut world, agreed);
    match state {
        "REMOVAL_PROPOSED" | "REMOVED" => {
            let removal = world.propose(&[account(1)], ChangeKind::Remove, "", s1);
            step(&mut world, removal);
            if state == "REMOVED" {
                let agreed = world.run(&Command::Approve { requests: vec![1], stale: false, by: 0 });
                step(&mut world, agreed);
            }
        }
        "RETIERING" => {
            let retier = world.propose(&[account(1)], ChangeKind::Retier, "T2", s1);
            step(&mut world, retier);
        }
        "SUSPENDED" | "SUSPENDED_FOR_GOOD" => {
            let suspended = world.run(&Command::Suspend { account: 1, hours: 48, by: 0 });
            step(&mut world, suspended);
            if state == "SUSPENDED_FOR_GOOD" {
                let permanent = world.run(&Command::MakePermanent { account: 1, by: 2 });
                step(&mut world, permanent);
            }
        }
        "ACTIVE" => {}
        other => panic!("no such state: {other}"),
    }
    world
}

/// State by command: the membership's state afterwards, or the refusal. The commands are given by the second person of
/// sales (who has turned no key), the retiers to T3; timers come at the end of the request's life or of the suspension.
const TABLE: &[(&str, [&str; 11])] = &[
    // state           add                    remove              retier              edit             approve               reject             withdraw (own)     suspend            make permanent        restore              timer
    ("NONE", ["PARTIALLY_APPROVED", "LIST_NOT_LISTED", "LIST_NOT_LISTED", "-", "-", "-", "-", "-", "-", "-", "-"]),
    (
        "PROPOSED",
        [
            "LIST_REQUEST_OPEN",
            "LIST_REQUEST_OPEN",
            "LIST_REQUEST_OPEN",
            "PROPOSED",
            "PARTIALLY_APPROVED",
            "REJECTED",
            "WITHDRAWN",
            "LIST_NOT_ACTIVE",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "EXPIRED",
        ],
    ),
    (
        "PARTIALLY_APPROVED",
        [
            "LIST_REQUEST_OPEN",
            "LIST_REQUEST_OPEN",
            "LIST_REQUEST_OPEN",
            "PROPOSED",
            "ACTIVE",
            "REJECTED",
            "WITHDRAWN",
            "LIST_NOT_ACTIVE",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "EXPIRED",
        ],
    ),
    (
        "ACTIVE",
        [
            "LIST_ALREADY_LISTED",
            "REMOVAL_PROPOSED",
            "ACTIVE",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "LIST_REQUEST_CLOSED",
        ],
    ),
    (
        "RETIERING",
        [
            "LIST_REQUEST_OPEN",
            "LIST_REQUEST_OPEN",
            "LIST_REQUEST_OPEN",
            "ACTIVE",
            "LIST_SAME_SIDE",
            "ACTIVE",
            "ACTIVE",
            "SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "ACTIVE",
        ],
    ),
    (
        "SUSPENDED",
        [
            "LIST_ALREADY_LISTED",
            "LIST_SUSPENDED",
            "LIST_SUSPENDED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_SUSPENDED",
            "SUSPENDED",
            "ACTIVE",
            "ACTIVE",
        ],
    ),
    (
        "SUSPENDED_FOR_GOOD",
        [
            "LIST_ALREADY_LISTED",
            "LIST_SUSPENDED",
            "LIST_SUSPENDED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_SUSPENDED",
            "LIST_ALREADY_PERMANENT",
            "SUSPENDED",
            "LIST_ALREADY_PERMANENT",
        ],
    ),
    (
        "REMOVAL_PROPOSED",
        [
            "LIST_REQUEST_OPEN",
            "LIST_REQUEST_OPEN",
            "LIST_REQUEST_OPEN",
            "REMOVAL_PROPOSED",
            "LIST_SAME_SIDE",
            "ACTIVE",
            "ACTIVE",
            "LIST_NOT_ACTIVE",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "ACTIVE",
        ],
    ),
    (
        "REMOVED",
        [
            "PARTIALLY_APPROVED",
            "LIST_NOT_LISTED",
            "LIST_NOT_LISTED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_NOT_ACTIVE",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "LIST_REQUEST_CLOSED",
        ],
    ),
    (
        "REJECTED",
        [
            "PARTIALLY_APPROVED",
            "LIST_NOT_LISTED",
            "LIST_NOT_LISTED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_NOT_ACTIVE",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "LIST_REQUEST_CLOSED",
        ],
    ),
    (
        "WITHDRAWN",
        [
            "PARTIALLY_APPROVED",
            "LIST_NOT_LISTED",
            "LIST_NOT_LISTED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_NOT_ACTIVE",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "LIST_REQUEST_CLOSED",
        ],
    ),
    (
        "EXPIRED",
        [
            "PARTIALLY_APPROVED",
            "LIST_NOT_LISTED",
            "LIST_NOT_LISTED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_REQUEST_CLOSED",
            "LIST_NOT_ACTIVE",
            "LIST_NOT_SUSPENDED",
            "LIST_NOT_SUSPENDED",
            "LIST_REQUEST_CLOSED",
        ],
    ),
];

#[test]
fn every_state_by_every_command_is_allowed_or_has_a_named_refusal() {
    for (state, expected) in TABLE {
        for (column, expected) in expected.iter().enumerate().filter(|(_, expected)| **expected != "-") {
            let mut world = world_in(state);
            let by = people()[3];
            let request = world.requests.len().saturating_sub(1);
            let accounts = [account(1)];
            let done = match column {
                0 => world.propose(&accounts, ChangeKind::Add, "T3", by),
                1 => world.propose(&accounts, ChangeKind::Remove, "", by),
                2 => world.propose(&accounts, ChangeKind::Retier, "T3", by),
                3 => world.run(&Command::Edit { request, tier: 2, by: 3 }),
                4 => world.run(&Command::Approve { requests: vec![request], stale: false, by: 3 }),
                5 => world.run(&Command::Reject { request, by: 3 }),
                6 => {
                    let proposer = world.requests[request].proposer;
                    let own = people().iter().position(|party| party.user == proposer).unwrap();
                    world.run(&Command::Withdraw { request, by: own })
                }
                7 => world.run(&Command::Suspend { account: 1, hours: 24, by: 3 }),
                8 => world.run(&Command::MakePermanent { account: 1, by: 3 }),
                9 => world.run(&Command::Restore { account: 1, by: 3 }),
                _ => {
                    let job = world.jobs.len() - 1;
                    world.now = world.now.max(world.jobs[job].due);
                    world.run(&Command::Timer { job })
                }
            };
            let found = match done {
                Ok(decision) => {
                    world.commit(decision);
                    world.check();
                    world.latest(account(1)).unwrap().state.as_str()
                }
                Err(refusal) => refusal.code(),
            };
            assert_eq!(found, *expected, "{state}, command {column}");
        }
    }
}

fn approve_by(world: &mut World, request: usize, by: usize) -> Result<Decision<Outcome>, Refusal> {
    world.run(&Command::Approve { requests: vec![request], stale: false, by })
}

#[test]
fn second_approval_from_the_same_side_is_refused() {
    let mut world = world_in("PARTIALLY_APPROVED");
    assert_eq!(approve_by(&mut world, 0, 0).unwrap_err().code(), "LIST_SAME_SIDE");
    assert_eq!(approve_by(&mut world, 0, 1).unwrap_err().code(), "LIST_SAME_SIDE");
}

#[test]
fn somebody_without_a_side_may_propose_but_holds_no_key() {
    let mut world = world_in("PROPOSED");
    assert!(world.requests[0].approvals.none());
    assert_eq!(approve_by(&mut world, 0, 4).unwrap_err().code(), "LIST_NO_SIDE");
    assert_eq!(world.run(&Command::Reject { request: 0, by: 4 }).unwrap_err().code(), "LIST_NO_SIDE");
}

#[test]
fn one_person_who_changed_sides_is_not_two_people() {
    let mut world = world_in("PARTIALLY_APPROVED");
    let moved = Party { side: Some(Side::Sales), ..people()[0] };
    let review = world.review(&world.requests[0]);
    let version = ListVersionId(world.id());
    let refused = approve(world.list.clone(), vec![review], version, moved, world.now).unwrap_err();
    assert_eq!(refused.code(), "LIST_PROPOSER_OTHER_SIDE");
    // Also when an edit has voided what was turned as a member of marketing.
    let edited = world.run(&Command::Edit { request: 0, tier: 1, by: 2 }).unwrap();
    world.commit(edited);
    let review = world.review(&world.requests[0]);
    let refused = approve(world.list.clone(), vec![review], version, moved, world.now).unwrap_err();
    assert_eq!(refused.code(), "LIST_PROPOSER_OTHER_SIDE");
    // An approver who is not the proposer.
    let one = approve_by(&mut world, 0, 3).unwrap();
    world.commit(one);
    let moved = Party { side: Some(Side::Marketing), ..people()[3] };
    let review = world.review(&world.requests[0]);
    let refused = approve(world.list.clone(), vec![review], version, moved, world.now).unwrap_err();
    assert_eq!(refused.code(), "LIST_SAME_PERSON");
}

#[test]
fn an_approval_after_the_end_is_refused_also_when_the_timer_is_late() {
    let mut world = world_in("PARTIALLY_APPROVED");
    world.now += TimeDelta::days(14);
    assert_eq!(approve_by(&mut world, 0, 2).unwrap_err().code(), "LIST_REQUEST_EXPIRED");
}

#[test]
fn an_edit_gives_a_full_life_again_and_the_old_timer_does_nothing() {
    let mut world = world_in("PROPOSED");
    world.now += TimeDelta::days(10);
    let edited = world.run(&Command::Edit { request: 0, tier: 1, by: 4 }).unwrap();
    world.commit(edited);
    world.now += TimeDelta::days(5);
    assert_eq!(world.run(&Command::Timer { job: 0 }).unwrap_err().code(), "LIST_NOT_DUE");
    world.now += TimeDelta::days(9);
    let ended = world.run(&Command::Timer { job: 1 }).unwrap();
    world.commit(ended);
    assert_eq!(world.memberships[0].state, MembershipState::Expired);
}

#[test]
fn only_the_proposer_and_colleagues_of_the_side_withdraw_and_the_proposer_does_not_reject() {
    let mut world = world_in("PARTIALLY_APPROVED");
    assert_eq!(world.run(&Command::Withdraw { request: 0, by: 2 }).unwrap_err().code(), "LIST_NOT_PROPOSER");
    assert_eq!(world.run(&Command::Withdraw { request: 0, by: 4 }).unwrap_err().code(), "LIST_NOT_PROPOSER");
    assert_eq!(world.run(&Command::Reject { request: 0, by: 0 }).unwrap_err().code(), "LIST_OWN_REQUEST");
    assert!(world.run(&Command::Withdraw { request: 0, by: 1 }).is_ok());
}

#[test]
fn a_suspension_becomes_permanent_with_the_other_sides_key_and_then_only_two_keys_end_it() {
    let mut world = world_in("SUSPENDED");
    assert_eq!(world.run(&Command::MakePermanent { account: 1, by: 1 }).unwrap_err().code(), "LIST_SAME_SIDE");
    let permanent = world.run(&Command::MakePermanent { account: 1, by: 3 }).unwrap();
    assert!(permanent.next.version.is_none() && permanent.jobs.is_empty());
    world.commit(permanent);
    world.now += TimeDelta::days(400);
    let last = world.jobs.len() - 1;
    assert_eq!(world.run(&Command::Timer { job: last }).unwrap_err().code(), "LIST_ALREADY_PERMANENT");
    let one = world.run(&Command::Restore { account: 1, by: 0 }).unwrap();
    world.commit(one);
    assert_eq!(world.memberships[0].state, MembershipState::Suspended);
    assert_eq!(world.run(&Command::Restore { account: 1, by: 1 }).unwrap_err().code(), "LIST_SAME_SIDE");
    let two = world.run(&Command::Restore { account: 1, by: 3 }).unwrap();
    world.commit(two);
    world.check();
    assert_eq!(world.memberships[0].state, MembershipState::Active);
}

#[test]
fn a_suspension_that_ran_out_cannot_be_made_permanent_any_more() {
    let mut world = world_in("SUSPENDED");
    world.now += TimeDelta::hours(48);
    assert_eq!(world.run(&Command::MakePermanent { account: 1, by: 3 }).unwrap_err().code(), "LIST_SUSPENSION_OVER");
}

#[test]
fn the_timer_of_an_ended_suspension_does_not_end_the_next_one() {
    let mut world = world_in("SUSPENDED");
    let first = world.jobs.len() - 1;
    let restored = world.run(&Command::Restore { account: 1, by: 2 }).unwrap();
    world.commit(restored);
    world.now += TimeDelta::hours(24);
    let again = world.run(&Command::Suspend { account: 1, hours: 72, by: 0 }).unwrap();
    world.commit(again);
    world.now += TimeDelta::hours(24);
    assert_eq!(world.run(&Command::Timer { job: first }).unwrap_err().code(), "LIST_STALE_REVISION");
}

#[test]
fn a_suspension_longer_than_the_list_permits_is_refused() {
    let mut world = world_in("ACTIVE");
    for hours in [-1, 0, 73] {
        let refused = world.run(&Command::Suspend { account: 1, hours, by: 0 }).unwrap_err();
        assert_eq!((refused.code(), refused.field()), ("LIST_BAD_SUSPENSION_END", Some("until")));
    }
}

#[test]
fn approving_a_new_tier_of_a_suspended_account_is_refused() {
    let mut world = world_in("RETIERING");
    let suspended = world.run(&Command::Suspend { account: 1, hours: 24, by: 0 }).unwrap();
    world.commit(suspended);
    assert_eq!(approve_by(&mut world, 1, 1).unwrap_err().code(), "LIST_SUSPENDED");
    // The timer of the request must not move the membership, nor make the suspension's timer stale.
    world.now = world.requests[1].expires_at;
    let expired = world.run(&Command::Timer { job: 1 }).unwrap();
    world.commit(expired);
    world.check();
    let ended = world.run(&Command::Timer { job: 2 }).unwrap();
    world.commit(ended);
    world.check();
    assert_eq!(world.memberships[0].state, MembershipState::Active);
}

#[test]
fn many_accounts_agreed_in_one_command_make_one_version() {
    let mut world = World::new();
    let people = people();
    let accounts: Vec<_> = (0..300).map(account).collect();
    let proposed = world.propose(&accounts, ChangeKind::Add, "T1", people[0]).unwrap();
    assert_eq!((proposed.facts.len(), proposed.jobs.len()), (300, 300));
    world.commit(proposed);
    let agreed = world.run(&Command::Approve { requests: (0..300).collect(), stale: false, by: 2 }).unwrap();
    assert_eq!(agreed.facts.len(), 301);
    world.commit(agreed);
    assert_eq!(world.versions.len(), 1);
    assert_eq!(fold(&world.versions).len(), 300);
    world.check();
}

#[test]
fn one_bad_account_among_many_refuses_the_whole_command() {
    let mut world = world_in("ACTIVE");
    let by = people()[0];
    let refused = world.propose(&[account(2), account(1)], ChangeKind::Add, "T1", by).unwrap_err();
    assert_eq!(refused.code(), "LIST_ALREADY_LISTED");
    let refused = world.propose(&[account(2), account(2)], ChangeKind::Add, "T1", by).unwrap_err();
    assert_eq!(refused.code(), "LIST_ACCOUNT_TWICE");
    assert_eq!(world.propose(&[], ChangeKind::Add, "T1", by).unwrap_err().code(), "LIST_EMPTY_COMMAND");
    let many: Vec<_> = (0..1_001).map(account).collect();
    assert_eq!(world.propose(&many, ChangeKind::Add, "T1", by).unwrap_err().code(), "LIST_TOO_MANY");
    let refused = world.run(&Command::Approve { requests: vec![0, 0], stale: false, by: 2 }).unwrap_err();
    assert_eq!(refused.code(), "LIST_REQUEST_TWICE");
}

#[test]
fn what_is_proposed_must_be_complete() {
    let mut world = world_in("ACTIVE");
    let live = world.live(account(1));
    let proposal = Proposal {
        id: ChangeRequestId(world.id()),
        membership: MembershipId(world.id()),
        account: account(1),
        kind: ChangeKind::Retier,
        tier: Some("T2".into()),
        reasons: vec![ChangeReason::IcpFit, ChangeReason::IcpFit],
        evidence: vec![Evidence { note: "annual report".into(), url: Some("https://example.com/report".into()) }],
        live,
    };
    let ask = |change: &dyn Fn(&mut Proposal)| {
        let mut proposal = proposal.clone();
        change(&mut proposal);
        propose(world.list.clone(), vec![proposal], people()[0], world.now)
    };
    assert_eq!(ask(&|_| {}).unwrap().next.requests[0].reasons, [ChangeReason::IcpFit]);
    let code = |change: &dyn Fn(&mut Proposal)| ask(change).unwrap_err().code();
    assert_eq!(code(&|p| p.reasons.clear()), "LIST_NO_REASON");
    assert_eq!(code(&|p| p.tier = None), "LIST_NO_TIER");
    assert_eq!(code(&|p| p.tier = Some("T1".into())), "LIST_SAME_TIER");
    assert_eq!(code(&|p| p.kind = ChangeKind::Remove), "LIST_TIER_NOT_WANTED");
    assert_eq!(code(&|p| p.evidence[0].note.clear()), "LIST_BAD_EVIDENCE");
    assert_eq!(code(&|p| p.evidence[0].url = Some("javascript:alert(1)".into())), "LIST_BAD_EVIDENCE");
}

#[test]
fn a_list_needs_a_plain_key_and_a_name() {
    let list = World::new().list;
    for key in ["", "-a", "a-", "Enterprise", "a b", &"x".repeat(65)] {
        let refused = create(TargetAccountList { key: key.into(), ..list.clone() }).unwrap_err();
        assert_eq!((refused.code(), refused.field()), ("LIST_BAD_KEY", Some("key")));
    }
    let refused = create(TargetAccountList { name: "  ".into(), ..list.clone() }).unwrap_err();
    assert_eq!(refused.code(), "LIST_BAD_NAME");
    let refused = create(TargetAccountList { request_days: 0, ..list.clone() }).unwrap_err();
    assert_eq!(refused.code(), "LIST_BAD_REQUEST_DAYS");
    let refused = create(TargetAccountList { suspension_hours: 721, ..list }).unwrap_err();
    assert_eq!(refused.code(), "LIST_BAD_SUSPENSION_HOURS");
}

#[test]
fn a_clock_that_goes_back_does_not_reorder_the_versions() {
    let mut world = world_in("ACTIVE");
    world.now -= TimeDelta::minutes(90);
    let suspended = world.run(&Command::Suspend { account: 1, hours: 24, by: 0 }).unwrap();
    world.commit(suspended);
    world.check();
    assert_eq!(world.versions[1].at, world.versions[0].at);
}
