//! Who acts, and who may do what: the only place with such rules.
//!
//! The table is by role and command. What depends on the thing at hand (only the holder of a claim may finish it, only
//! the person offered may accept) is the domain's to refuse. Tandem itself (timers, jobs) may run every command.

use crate::AppError;
use std::collections::BTreeSet;
use tandem_domain::access::{Role, Scope, Side};
use tandem_domain::id::UserId;
use uuid::Uuid;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The user; none for Tandem itself.
    pub user: Option<UserId>,
    /// The role acted in; none for Tandem itself.
    pub role: Option<Role>,
    /// The side the user stands on.
    pub side: Option<Side>,
    /// What the token is limited to; empty means no limit.
    pub scopes: BTreeSet<Scope>,
}

impl Actor {
    /// Tandem itself: timers, jobs, the operator at the command line.
    pub const fn system() -> Self {
        Self { user: None, role: None, side: None, scopes: BTreeSet::new() }
    }

    /// A user in one of the user's roles, without limits of scope.
    pub const fn user(user: UserId, role: Role, side: Option<Side>) -> Self {
        Self { user: Some(user), role: Some(role), side, scopes: BTreeSet::new() }
    }

    /// Whether this is Tandem itself.
    pub const fn is_system(&self) -> bool {
        self.role.is_none()
    }

    /// The role's code, or `SYSTEM`.
    pub const fn role_code(&self) -> &'static str {
        match self.role {
            Some(role) => role.as_str(),
            None => "SYSTEM",
        }
    }

    /// The user, for commands that only a person can run.
    pub fn person(&self) -> Result<UserId, AppError> {
        self.user.ok_or(AppError::Forbidden { needed: "a person".to_owned() })
    }

    /// The user's id for stamps.
    pub fn id(&self) -> Option<Uuid> {
        self.user.map(Into::into)
    }

    /// Whether the actor has one of these roles, or is Tandem itself.
    pub fn is_any(&self, roles: &[Role]) -> bool {
        self.role.is_none_or(|role| roles.contains(&role))
    }

    /// Refuses unless the actor may run the command of this name.
    pub fn may(&self, command: &str) -> Result<(), AppError> {
        let Some(role) = self.role else { return Ok(()) };
        let roles = roles_for(command);
        if !roles.contains(&role) {
            let needed = match roles {
                [] => "Tandem itself".to_owned(),
                _ => roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", "),
            };
            return Err(AppError::Forbidden { needed });
        }
        if !self.scopes.is_empty() && !self.scopes.contains(&Scope::Write) {
            return Err(AppError::Forbidden { needed: "the scope WRITE".to_owned() });
        }
        Ok(())
    }

    /// Refuses unless the actor may read administrative matters: users, tokens, the audit book.
    pub fn may_administer(&self) -> Result<(), AppError> {
        if self.is_any(ADMIN) { Ok(()) } else { Err(AppError::Forbidden { needed: "ADMIN".to_owned() }) }
    }

    /// Refuses unless the actor may see what operators see: jobs with their inputs, queues, schedules and nodes.
    pub fn may_operate(&self) -> Result<(), AppError> {
        if self.is_any(DEFINERS) { Ok(()) } else { Err(AppError::Forbidden { needed: "SALES_OPS, ADMIN".to_owned() }) }
    }
}

const ADMIN: &[Role] = &[Role::Admin];
const NOBODY: &[Role] = &[];
/// Every role. Whoever hears of it may see to it that a person is left alone.
const EVERYBODY: &[Role] = Role::ALL;
/// Those who define what everybody works with.
const DEFINERS: &[Role] = &[Role::SalesOps, Role::Admin];
/// Everybody who works with accounts and contacts.
const PEOPLE: &[Role] = &[Role::Marketing, Role::Sdr, Role::Sales, Role::SalesManager, Role::SalesOps, Role::Admin];
/// Those who bring in many records at once.
const IMPORTERS: &[Role] = &[Role::Marketing, Role::SalesOps, Role::Admin, Role::Integration];
/// People who may hold an offer; whether this one is theirs is the domain's to say.
const SELLERS: &[Role] = &[Role::Sales, Role::SalesManager, Role::Admin];
/// Machines that pass on what came to them, and those who look after them.
const MACHINES: &[Role] = &[Role::SalesOps, Role::Admin, Role::Integration];
const SALES_MANAGERS: &[Role] = &[Role::SalesManager, Role::Admin];
/// Both sides of a list, and those who look after it. A key is turned only by somebody with a side: the domain refuses
/// the others by name. Machines hold none.
const LIST_PARTIES: &[Role] = &[Role::Marketing, Role::Sales, Role::SalesManager, Role::SalesOps, Role::Admin];

/// Those who may say what a list should be; a machine's proposal turns no key.
const EVERYBODY_BUT_SDRS: &[Role] =
    &[Role::Marketing, Role::Sales, Role::SalesManager, Role::SalesOps, Role::Admin, Role::Integration];

/// Those who look after leads before an SDR has them.
const TRIAGE: &[Role] = &[Role::Marketing, Role::SalesOps, Role::Admin];
/// Those who grade and receive leads, machines among them.
const LEAD_SOURCES: &[Role] = &[Role::Marketing, Role::Sdr, Role::SalesOps, Role::Admin, Role::Integration];
/// Those who work in the queue. That only the holder of a claim may go on with it is the domain's to refuse.
const QUEUE: &[Role] = &[Role::Sdr, Role::Admin];

/// The roles that may run a command: by family, one line a command. A command that is not here is Tandem's own.
pub const RULES: &[(&str, &[Role])] = &[
    // access
    ("userCreate", ADMIN),
    ("userChange", ADMIN),
    ("teamCreate", ADMIN),
    ("accessTokenIssue", ADMIN),
    ("accessTokenRevoke", ADMIN),
    // e-mail
    ("emailResolve", &[Role::SalesOps, Role::Admin]),
    ("contactPolicySave", DEFINERS),
    ("sendingMailboxSave", DEFINERS),
    ("sendingMailboxPause", DEFINERS),
    ("sendingMailboxResume", DEFINERS),
    ("suppressionAdd", EVERYBODY),
    ("suppressionLift", &[Role::SalesOps, Role::Admin]),
    // accounts, contacts, and what they are described by
    ("accountCreate", EVERYBODY),
    ("accountChange", EVERYBODY),
    ("accountUpsert", EVERYBODY),
    ("accountUpsertMany", IMPORTERS),
    ("accountTag", PEOPLE),
    ("contactCreate", EVERYBODY),
    ("contactChange", EVERYBODY),
    ("contactUpsert", EVERYBODY),
    ("contactUpsertMany", IMPORTERS),
    ("contactTag", PEOPLE),
    ("contactSetConsent", EVERYBODY),
    ("customFieldDefine", DEFINERS),
    ("customFieldChange", DEFINERS),
    ("taxonomyTermSave", DEFINERS),
    ("taxonomyLibraryInstall", DEFINERS),
    // sequences
    ("sequenceDraft", DEFINERS),
    ("sequencePublish", DEFINERS),
    ("sequencePause", DEFINERS),
    ("sequenceResume", DEFINERS),
    ("sequenceArchive", DEFINERS),
    ("sequenceMigrate", DEFINERS),
    ("sequenceMigrationPause", DEFINERS),
    ("sequenceMigrationResume", DEFINERS),
    ("sequenceMigrationCancel", DEFINERS),
    ("emailTemplatePublish", DEFINERS),
    ("emailTemplateArchive", DEFINERS),
    ("enrollmentCreate", EVERYBODY),
    ("enrollmentExit", PEOPLE),
    ("enrollmentFinish", PEOPLE),
    ("enrollmentPause", PEOPLE),
    ("enrollmentResume", PEOPLE),
    ("experimentRegister", DEFINERS),
    ("experimentChange", DEFINERS),
    ("experimentStart", DEFINERS),
    ("experimentDecide", DEFINERS),
    // target-account lists
    ("targetListCreate", &[Role::Marketing, Role::SalesManager, Role::SalesOps, Role::Admin]),
    ("changeRequestPropose", EVERYBODY_BUT_SDRS),
    ("changeRequestEdit", LIST_PARTIES),
    ("changeRequestApprove", LIST_PARTIES),
    ("changeRequestReject", LIST_PARTIES),
    ("changeRequestWithdraw", LIST_PARTIES),
    ("listMembershipSuspend", LIST_PARTIES),
    ("listMembershipMakePermanent", LIST_PARTIES),
    ("listMembershipRestore", LIST_PARTIES),
    // leads
    ("leadReceive", LEAD_SOURCES),
    ("leadGrade", LEAD_SOURCES),
    ("leadChange", LEAD_SOURCES),
    ("leadQualify", TRIAGE),
    ("leadPrioritise", &[Role::Marketing, Role::Sdr, Role::SalesOps, Role::Admin]),
    ("leadDisqualify", TRIAGE),
    ("leadMarkDuplicate", TRIAGE),
    ("leadClose", TRIAGE),
    // the SDR queue
    ("workItemClaim", QUEUE),
    ("workItemClaimNext", QUEUE),
    ("workItemHeartbeat", QUEUE),
    ("workItemRelease", QUEUE),
    ("workItemTakeBack", &[Role::SalesManager, Role::SalesOps, Role::Admin]),
    ("workItemStart", QUEUE),
    ("workItemWait", QUEUE),
    ("workItemResume", QUEUE),
    ("workItemAnswer", QUEUE),
    ("workItemVerify", QUEUE),
    ("workItemDisqualify", QUEUE),
    ("workItemRecycle", QUEUE),
    ("workItemMarkDuplicate", QUEUE),
    ("taskCreate", &[Role::Marketing, Role::Sdr, Role::SalesManager, Role::SalesOps, Role::Admin]),
    ("taskComplete", QUEUE),
    ("taskCancel", &[Role::Marketing, Role::Sdr, Role::SalesManager, Role::SalesOps, Role::Admin]),
    // dispatch and return
    ("workingCalendarSave", DEFINERS),
    ("poolSave", DEFINERS),
    ("routingTableSave", DEFINERS),
    ("outOfOfficeSet", &[Role::Sales, Role::SalesManager, Role::SalesOps, Role::Admin]),
    ("opportunityDispatch", &[Role::Sdr, Role::SalesManager, Role::SalesOps, Role::Admin, Role::Integration]),
    ("handoffAccept", SELLERS),
    ("handoffReject", SELLERS),
    ("handoffStart", SELLERS),
    ("handoffProgress", SELLERS),
    ("handoffConvert", SELLERS),
    ("handoffLose", SELLERS),
    ("handoffReturn", SELLERS),
    ("handoffReviewReturn", SALES_MANAGERS),
    ("handoffReclaim", SALES_MANAGERS),
    ("handoffAssign", SALES_MANAGERS),
    // webhooks
    ("inboundWebhookSave", DEFINERS),
    ("inboundWebhookRotateSecret", DEFINERS),
    ("inboundWebhookTry", DEFINERS),
    ("inboundDeliveryReplay", DEFINERS),
    ("outboundWebhookSave", DEFINERS),
    ("outboundWebhookRotateSecret", DEFINERS),
    ("outboundWebhookTest", DEFINERS),
    ("outboundWebhookReplay", DEFINERS),
    ("outboundDeliveryReplay", DEFINERS),
    ("outboundChannelSave", DEFINERS),
    ("outboundChannelRotateSecret", DEFINERS),
    ("outboundChannelPause", DEFINERS),
    ("outboundChannelResume", DEFINERS),
    ("outboundChannelTest", DEFINERS),
    // events and what people did
    ("eventSourceSave", DEFINERS),
    ("eventSourceRotateKey", DEFINERS),
    ("interactionRecord", EVERYBODY),
    // e-mails that arrive
    ("emailReceive", MACHINES),
    // the runner
    ("jobsRunNow", DEFINERS),
    ("jobsCancel", DEFINERS),
    ("jobsRedrive", DEFINERS),
    ("jobQueueSave", DEFINERS),
    ("jobScheduleSwitch", DEFINERS),
];

/// The roles that may run the command of this name.
pub fn roles_for(command: &str) -> &'static [Role] {
    RULES.iter().find(|(name, _)| *name == command).map_or(NOBODY, |(_, roles)| *roles)
}
