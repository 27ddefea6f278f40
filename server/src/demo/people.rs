//! The people of the demo. They are made up, as their address says.

use anyhow::{Context, Result};
use tandem_app::{Actor, App, Call, UserCreate};
use tandem_domain::access::{Role, Side, User};

/// Who works in the demo.
pub(super) struct People {
    pub(super) marketing: Vec<User>,
    pub(super) sdrs: Vec<User>,
    pub(super) reps: Vec<User>,
    pub(super) manager: User,
    pub(super) ops: User,
    pub(super) admin: User,
}

const MARKETING: &[&str] = &["Mira", "Milo"];
const SDRS: &[&str] = &["Sina", "Sven", "Suri", "Saul"];
const REPS: &[&str] = &["Rhea", "Rolf", "Runa", "Remy", "Rosa", "Ravi"];

impl People {
    /// Finds the people, or hires them.
    pub(super) async fn gather(app: &App) -> Result<Self> {
        let mut marketing = Vec::new();
        for name in MARKETING {
            marketing.push(hire(app, name, Role::Marketing, Some(Side::Marketing)).await?);
        }
        let mut sdrs = Vec::new();
        for name in SDRS {
            sdrs.push(hire(app, name, Role::Sdr, Some(Side::Marketing)).await?);
        }
        let mut reps = Vec::new();
        for name in REPS {
            reps.push(hire(app, name, Role::Sales, Some(Side::Sales)).await?);
        }
        Ok(Self {
            marketing,
            sdrs,
            reps,
            manager: hire(app, "Magda", Role::SalesManager, Some(Side::Sales)).await?,
            ops: hire(app, "Otto", Role::SalesOps, None).await?,
            admin: hire(app, "Ada", Role::Admin, None).await?,
        })
    }
}

async fn hire(app: &App, name: &str, role: Role, side: Option<Side>) -> Result<User> {
    let email = format!("{}@tandem.example", name.to_lowercase());
    if let Some(user) = app.store.user_by_email(&email).await? {
        return Ok(user);
    }
    let time_zone = chrono_tz::America::New_York;
    let command = UserCreate { email, name: name.to_owned(), roles: [role].into(), side, team: None, time_zone };
    app.run(&Call::system("demo"), command).await.with_context(|| format!("adding {name}"))
}

/// A call of one of the people, in their first role.
pub(super) fn by(user: &User) -> Call {
    match user.roles.first() {
        Some(role) => Call::new(Actor::user(user.id, *role, user.side), "demo"),
        None => Call::system("demo"),
    }
}
