//! Who acted in the past: people known here, and people of whom a file says no more than an id.

use super::past::Past;
use crate::dispatch::{PoolSave, WorkingCalendarSave};
use crate::import::fault::Fault;
use crate::{Actor, App, AppError, Batch, Call, UserChange, UserCreate};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tandem_domain::access::{Role, Side, User};
use tandem_domain::calendar::{Day, Draft, Hours};
use tandem_domain::id::{PoolId, UserId};
use tandem_domain::ledger::sha256_hex;
use tandem_domain::routing::{MemberDraft, PoolDraft};

/// The domain of addresses that nobody has (RFC 2606): people of whom a file gives only an id.
const NOWHERE: &str = "imported.invalid";
/// The key of the pool and the calendar of imported handoffs.
const KEY: &str = "imported-history";
/// Stands for people whom a file does not name.
const NOBODY: &str = "history";

/// The people of a file, as far as they were met.
///
/// People who exist only in the past may not act today: they are active while their past is recorded, and never after.
pub(super) struct People<'a> {
    app: &'a App,
    /// The roles in which the file names each of them.
    roles: HashMap<String, BTreeSet<Role>>,
    known: HashMap<String, User>,
    /// Those who were made able to act.
    awake: BTreeSet<UserId>,
    pool: Option<PoolId>,
}

/// A step that was refused for the file's reasons, or failed.
pub(super) type Step<T> = Result<Result<T, Fault>, AppError>;

impl<'a> People<'a> {
    pub(super) fn new(app: &'a App, roles: HashMap<String, BTreeSet<Role>>) -> Self {
        Self { app, roles, known: HashMap::new(), awake: BTreeSet::new(), pool: None }
    }

    /// Forgets what a transaction that did not happen made.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.pool = None;
    }

    /// Whether somebody exists only in the past.
    fn is_imported(user: &User) -> bool {
        user.email.ends_with(&format!("@{NOWHERE}"))
    }

    /// The person whom the file calls `name`, able to act in `role`; the one who stands for nobody where it names none.
    pub(super) async fn person(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        name: Option<&str>,
        role: Role,
    ) -> Step<User> {
        let name = name.unwrap_or(NOBODY);
        let email = address(name);
        let known = match self.known.get(name) {
            Some(user) => Some(user.clone()),
            None => self.app.store.user_by_email(&email).await?,
        };
        let mut roles = self.roles.get(name).cloned().unwrap_or_default();
        roles.insert(role);
        if name == NOBODY {
            roles.extend([Role::Sdr, Role::Sales, Role::SalesManager]);
        }
        let user = match known {
            Some(user) if !Self::is_imported(&user) => {
                if !user.roles.contains(&role) {
                    let sentence = format!("{email} does not have the role {role}; give it, or name somebody who has");
                    return Ok(Err(Fault::new(field(role), "HISTORY_PERSON_WITHOUT_ROLE", sentence)));
                }
                user
            }
            Some(user) if user.active && user.roles.contains(&role) => user,
            Some(user) => {
                let roles = user.roles.union(&roles).copied().collect();
                let (name, time_zone) = (None, None);
                let change = UserChange { user: user.id, name, roles: Some(roles), active: Some(true), time_zone };
                batch.run(call, &change).await?
            }
            None if !email.ends_with(NOWHERE) => {
                let sentence = format!("there is no user {email}; add the user, or give an id instead of an address");
                return Ok(Err(Fault::new(field(role), "HISTORY_PERSON_UNKNOWN", sentence)));
            }
            None => {
                let label = if name == NOBODY { "Imported history" } else { name };
                let user = UserCreate {
                    email,
                    name: label.to_owned(),
                    roles,
                    // An SDR may stand on either side; with one a later file can add a role in sales.
                    side: Some(Side::Sales),
                    team: None,
                    time_zone: chrono_tz::UTC,
                };
                batch.run(call, &user).await?
            }
        };
        if Self::is_imported(&user) {
            self.awake.insert(user.id);
        }
        self.known.insert(name.to_owned(), user.clone());
        Ok(Ok(user))
    }

    /// The pool of imported handoffs, whose clocks run day and night.
    pub(super) async fn pool(
        &mut self,
        batch: &mut Batch<'_>,
        call: &Call,
        resume: DateTime<Utc>,
    ) -> Result<PoolId, AppError> {
        if let Some(pool) = self.pool {
            return Ok(pool);
        }
        if let Some(pool) = self.app.store.pool_by_key(KEY).await? {
            self.pool = Some(pool.id);
            return Ok(pool.id);
        }
        let member = match self.person(batch, call, None, Role::Sales).await? {
            Ok(user) => user.id,
            Err(fault) => return Err(AppError::refused("HISTORY_PERSON_UNKNOWN", fault.sentence, None)),
        };
        let always: Hours =
            "00:00-24:00".parse().map_err(|error: tandem_domain::calendar::Refusal| AppError::from(error))?;
        let week: BTreeMap<Day, Vec<Hours>> = Day::ALL.iter().map(|day| (*day, vec![always])).collect();
        let draft = Draft {
            key: KEY.to_owned(),
            name: "Imported history".to_owned(),
            zone: chrono_tz::UTC,
            week,
            holidays: Vec::new(),
            make_up: Vec::new(),
        };
        let calendar = batch.run(call, &Past { command: WorkingCalendarSave { draft }, resume }).await?;
        let draft = PoolDraft {
            key: KEY.to_owned(),
            name: "Imported history".to_owned(),
            members: vec![MemberDraft { user: member, weight: 1, capacity: 1, calendar: None }],
            calendar: calendar.id,
            accept_within: 60_000,
            work_within: 60_000,
            progress_within: 60_000,
            max_attempts: 20,
            escalate_to: None,
            cooldown_days: 0,
        };
        let pool = batch.run(call, &Past { command: PoolSave { draft }, resume }).await?;
        self.pool = Some(pool.id);
        Ok(pool.id)
    }

    /// Ends the days of those who exist only in the past.
    pub(super) async fn rest(&mut self, call: &Call) -> Result<(), AppError> {
        self.forget();
        for user in std::mem::take(&mut self.awake) {
            // One that a transaction made which did not happen is not there.
            if self.app.store.find::<User>(user).await?.is_some_and(|user| user.active) {
                let (name, roles, time_zone) = (None, None, None);
                self.app.run(call, UserChange { user, name, roles, active: Some(false), time_zone }).await?;
            }
        }
        Ok(())
    }
}

/// The field that names a person in a role.
const fn field(role: Role) -> &'static str {
    match role {
        Role::Sdr => "sdr",
        _ => "rep",
    }
}

/// The address of somebody a file names: the name itself where it is one, else one that nobody has.
fn address(name: &str) -> String {
    let name = name.trim().to_lowercase();
    if name.contains('@') {
        return name;
    }
    let plain = !name.is_empty() && name.len() <= 60 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if plain { format!("{name}@{NOWHERE}") } else { format!("{}@{NOWHERE}", &sha256_hex(&[name.as_bytes()])[..32]) }
}

/// A person's call in a role.
pub(super) fn as_role(call: &Call, user: &User, role: Role) -> Call {
    call.by(Actor::user(user.id, role, user.side))
}

/// Tandem's call in a person's name, for what the person's role alone may not do: the past did not ask.
pub(super) fn on_behalf(call: &Call, user: UserId) -> Call {
    call.by(Actor { user: Some(user), ..Actor::system() })
}
