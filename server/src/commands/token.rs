//! `tandem token`: makes an access token from the command line, the first one included.

use super::Outcome;
use crate::config::Settings;
use crate::wiring::{self, Migrate};
use anyhow::{Context, bail};
use chrono::TimeDelta;
use std::collections::BTreeSet;
use tandem_app::{AccessTokenIssue, App, Call, UserCreate};
use tandem_domain::access::{Role, Scope, Side, User};
use tandem_store::Page;

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token and print it; it is shown this once and kept only as a hash
    Create(Create),
}

/// Options of `tandem token create`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The very first user of a database is created without --create-user.\n\nExample:\n  \
                        tandem token create --user ops@example.com --role ADMIN --expires-in 90d")]
pub(super) struct Create {
    /// The user's e-mail address
    #[arg(long, value_name = "EMAIL")]
    user: String,

    /// The role the token acts in: one of the user's. MARKETING, SDR, SALES, SALES_MANAGER, SALES_OPS, ADMIN or
    /// INTEGRATION
    #[arg(long)]
    role: Role,

    /// What the token is limited to: READ or WRITE; may be given more than once. None: all that the role may
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,

    /// When the token ends by itself: a number with s, m, h, d or w. None: it does not
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires_in: Option<TimeDelta>,

    /// What the token is for
    #[arg(long, default_value = "made at the command line")]
    name: String,

    /// Create the user under this name, with this role, where there is none with the address
    #[arg(long, value_name = "NAME")]
    create_user: Option<String>,

    /// The side of a user who is created: MARKETING or SALES. None: the role's own side, where it has one
    #[arg(long)]
    side: Option<Side>,

    /// The time zone of a user who is created, for example Asia/Shanghai
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: chrono_tz::Tz,

    /// Print a JSON object instead of the token alone
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<Outcome> {
    let Command::Create(create) = command;
    let app = wiring::app(settings, wiring::open(settings, Migrate::WhereSafe).await?).await?;
    // Whoever can run this command has the database anyway; the record says that Tandem's operator did it.
    let call = Call::system(format!("cli-{}", app.env.id::<uuid::Uuid>(app.env.now())));
    let user = user(&app, &call, &create).await?;
    let expires_at = create.expires_in.map(|time| app.env.now() + time);
    let mut issue = AccessTokenIssue::new(user.id, create.name, create.role);
    issue.scopes = create.scopes.into_iter().collect();
    issue.expires_at = expires_at;
    let issued = app.issue_token(&call, issue).await?;
    let secret = issued.secret.context("the token has no secret")?;
    if create.json {
        let line = serde_json::json!({
            "token": secret, "id": issued.token.id, "user": user.email, "role": create.role, "expiresAt": expires_at,
        });
        println!("{line}");
    } else {
        println!("{secret}");
    }
    Ok(Outcome::Done)
}

/// The user with the address, or a new one where that was asked for or nobody is there yet.
async fn user(app: &App, call: &Call, create: &Create) -> anyhow::Result<User> {
    let email = create.user.trim().to_lowercase();
    if !email.contains('@') {
        bail!("`{email}` is not an e-mail address");
    }
    if let Some(user) = app.store.user_by_email(&email).await? {
        return Ok(user);
    }
    let name = match &create.create_user {
        Some(name) => name.clone(),
        None if app.store.user_page(&Page::first(1)).await?.items.is_empty() => email.clone(),
        None => bail!("there is no user {email}; add --create-user NAME to make one"),
    };
    let new = UserCreate {
        email,
        name,
        roles: BTreeSet::from([create.role]),
        side: create.side.or(create.role.side()),
        team: None,
        time_zone: create.time_zone,
    };
    let user = app.run(call, new).await?;
    eprintln!("created the user {} ({})", user.email, create.role);
    Ok(user)
}

/// A number and a unit: `90s`, `15m`, `12h`, `30d`, `4w`.
fn duration(text: &str) -> Result<TimeDelta, String> {
    let wrong = || format!("`{text}` is not a duration such as 12h, 30d or 4w");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let count: u32 =
        text.strip_suffix(unit).and_then(|count| count.parse().ok()).filter(|count| *count > 0).ok_or_else(wrong)?;
    // A hundred years are more than a token can need, and less than a date can hold.
    TimeDelta::try_seconds(i64::from(count) * seconds)
        .filter(|time| time.num_days() <= 36_525)
        .ok_or_else(|| format!("`{text}` is longer than a hundred years"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(duration("30d"), Ok(TimeDelta::days(30)));
        assert_eq!(duration("90s"), Ok(TimeDelta::seconds(90)));
        for wrong in ["", "30", "d", "0d", "-1d", "1y", "30 d", "99999w", "1é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
