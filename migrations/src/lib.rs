//! The shape of the database, one file per change, the same for SQLite and PostgreSQL.
//!
//! A change first expands (a new table or a nullable column), and contracts in a later release, so that an older
//! process beside a newer one keeps working. Published files are never edited.

pub mod columns;
mod m0001_core;
mod m0002_access;
mod m0003_target_list;
mod m0004_account;
mod m0005_leads;
mod m0007_dispatch;
mod m0008_email;
mod m0009_sequence;
mod m0012_history;
mod m0013_runner;
mod m0014_steps;
mod m0015_inbound;
mod m0016_ingest;
mod m0017_outbound;
mod m0018_received_email;
mod m0019_triggers;
mod m0020_versions;
mod m0021_contact_policy;
mod m0023_reach;
mod m0024_insight;
mod m0025_conditions;
mod m0026_email_templates;
mod m0027_held_emails;

pub use sea_orm_migration::prelude::MigratorTrait;
use sea_orm_migration::prelude::*;

/// Runs the changes in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_core::Migration),
            Box::new(m0002_access::Migration),
            Box::new(m0003_target_list::Migration),
            Box::new(m0004_account::Migration),
            Box::new(m0005_leads::Migration),
            Box::new(m0007_dispatch::Migration),
            Box::new(m0008_email::Migration),
            Box::new(m0009_sequence::Migration),
            Box::new(m0012_history::Migration),
            Box::new(m0013_runner::Migration),
            Box::new(m0014_steps::Migration),
            Box::new(m0015_inbound::Migration),
            Box::new(m0016_ingest::Migration),
            Box::new(m0017_outbound::Migration),
            Box::new(m0018_received_email::Migration),
            Box::new(m0019_triggers::Migration),
            Box::new(m0020_versions::Migration),
            Box::new(m0021_contact_policy::Migration),
            Box::new(m0023_reach::Migration),
            Box::new(m0024_insight::Migration),
            Box::new(m0025_conditions::Migration),
            Box::new(m0026_email_templates::Migration),
            Box::new(m0027_held_emails::Migration),
        ]
    }
}
