//! The commands: the one way to change anything in Tandem.
//!
//! A command loads what it needs in a transaction, asks the domain, and commits the decision. [`App::run`] does what
//! is the same for all of them: who may, idempotency keys, the stamp on the record, and trying again after a lost race.

mod access;
pub mod actor;
mod command;
pub mod email;
pub mod env;
pub mod error;
pub mod import;
pub mod leads;
pub mod queue;
mod rules;
pub mod target_list;
mod virtual_env;

pub use access::{AccessTokenIssue, AccessTokenRevoke, IssuedToken, TeamCreate, UserChange, UserCreate};
pub use actor::Actor;
pub use command::{App, Batch, Call, Command};
pub use email::{
    EmailBegin, EmailPlan, EmailResolve, EmailSettle, EmailUnsubscribe, Links, Mail, NoMailer, SuppressionAdd,
    SuppressionLift,
};
pub use env::{Chance, Clock, Env, Ids};
pub use error::{AppError, Result};
pub use leads::{
    LeadClose, LeadDisqualify, LeadFallDue, LeadGrade, LeadMarkDuplicate, LeadPrioritise, LeadQualify, LeadReceive,
};
pub use queue::{
    ChecklistAnswer, ClaimExpire, TaskComplete, TaskCreate, WorkItemAnswer, WorkItemClaim, WorkItemClaimNext,
    WorkItemDisqualify, WorkItemHeartbeat, WorkItemMarkDuplicate, WorkItemRecycle, WorkItemRelease, WorkItemResume,
    WorkItemStart, WorkItemTakeBack, WorkItemVerify, WorkItemWait, WorkItemWake,
};
pub use rules::QueueRules;
pub use target_list::{
    ChangeRequestApprove, ChangeRequestEdit, ChangeRequestExpire, ChangeRequestPropose, ChangeRequestReject,
    ChangeRequestWithdraw, ListMembershipMakePermanent, ListMembershipRestore, ListMembershipSuspend,
    ListSuspensionEnd, TargetListCreate,
};
pub use virtual_env::{SeededChance, SeededIds, VirtualClock};
