//! The commands: the one way to change anything in Tandem.
//!
//! A command loads what it needs in a transaction, asks the domain, and commits the decision. [`App::run`] does what
//! is the same for all of them: who may, idempotency keys, the stamp on the record, and trying again after a lost race.

mod access;
pub mod accounts;
pub mod actor;
pub mod book;
mod command;
pub mod contact_policy;
pub mod contacts;
pub mod custom_fields;
pub mod dispatch;
pub mod email;
pub mod email_template;
pub mod env;
pub mod error;
pub mod import;
pub mod inbound;
pub mod ingest;
pub mod insight;
pub mod interactions;
pub mod jobs;
pub mod leads;
pub mod outbound;
pub mod queue;
mod reading;
pub mod received;
pub mod reports;
mod rules;
pub mod sending_mailbox;
pub mod sequence;
pub mod target_list;
pub mod taxonomy;
mod virtual_env;
pub mod written;

pub use access::{AccessTokenIssue, AccessTokenRevoke, IssuedToken, TeamCreate, UserChange, UserCreate};
pub use accounts::{AccountChange, AccountCreate, AccountTag, AccountUpsert, AccountUpsertMany};
pub use actor::Actor;
pub use command::{App, Batch, Call, Command};
pub use contact_policy::ContactPolicySave;
pub use contacts::{
    ContactChange, ContactCreate, ContactRow, ContactSetConsent, ContactTag, ContactUpsert, ContactUpsertMany,
};
pub use custom_fields::{CustomFieldChange, CustomFieldDefine};
pub use dispatch::{
    HandoffAccept, HandoffAssign, HandoffCheckSla, HandoffConvert, HandoffExpireOffer, HandoffLose, HandoffMatch,
    HandoffMoved, HandoffProgress, HandoffReclaim, HandoffReject, HandoffReturn, HandoffReviewReturn, HandoffStart,
    OpportunityDispatch, OutOfOfficeSet, PoolSave, RoutingTableSave, WorkingCalendarSave,
};
pub use email::{
    EmailBegin, EmailPlan, EmailResolve, EmailSettle, EmailTrack, EmailUnsubscribe, Links, Mail, NoMailer,
    SuppressionAdd, SuppressionLift, Tracked, Tracking,
};
pub use email_template::{EmailTemplateArchive, EmailTemplatePublish};
pub use env::{Chance, Clock, Env, Ids, NoTraces, Traces};
pub use error::{AppError, Result};
pub use inbound::{
    InboundDeliveryReceive, InboundDeliveryReplay, InboundDeliverySettle, InboundWebhookRotateSecret,
    InboundWebhookSave,
};
pub use ingest::{EventSourceRotateKey, EventSourceSave, EventsApply, EventsReceive, Parcel};
pub use insight::{ExperimentChange, ExperimentDecide, ExperimentRegister, ExperimentStart};
pub use interactions::InteractionRecord;
pub use jobs::{JobQueueSave, JobScheduleSwitch, JobsCancel, JobsChanged, JobsRedrive, JobsRunNow};
pub use leads::{
    LeadChange, LeadClose, LeadDisqualify, LeadFallDue, LeadGrade, LeadMarkDuplicate, LeadPrioritise, LeadQualify,
    LeadReceive,
};
pub use outbound::{
    OutboundCallBegin, OutboundCallSettle, OutboundChannelPause, OutboundChannelResume, OutboundChannelRotateSecret,
    OutboundChannelSave, OutboundChannelTest, OutboundDeliveryReplay, OutboundDeliverySettle, OutboundWebhookReplay,
    OutboundWebhookReplayPart, OutboundWebhookRotateSecret, OutboundWebhookSave, OutboundWebhookTest,
};
pub use queue::{
    ChecklistAnswer, ClaimExpire, TaskCancel, TaskComplete, TaskCreate, WorkItemAnswer, WorkItemClaim,
    WorkItemClaimNext, WorkItemDisqualify, WorkItemHeartbeat, WorkItemMarkDuplicate, WorkItemRecycle, WorkItemRelease,
    WorkItemResume, WorkItemStart, WorkItemTakeBack, WorkItemVerify, WorkItemWait, WorkItemWake,
};
pub use received::{EmailReceive, ReceivedEmailApply};
pub use rules::QueueRules;
pub use sending_mailbox::{MailboxSpread, SendingMailboxPause, SendingMailboxResume, SendingMailboxSave};
pub use sequence::{
    EnrollmentAdvance, EnrollmentCreate, EnrollmentExit, EnrollmentFinish, EnrollmentPause, EnrollmentResume,
    EnrollmentWake, EnrollmentsResume, SequenceArchive, SequenceCatchUp, SequenceDraft, SequenceMigrate,
    SequenceMigrationCancel, SequenceMigrationPart, SequenceMigrationPause, SequenceMigrationResume, SequencePause,
    SequencePauseUntil, SequencePublish, SequencePublishAgain, SequenceReplace, SequenceResume, SequenceWake,
};
pub use target_list::{
    ChangeRequestApprove, ChangeRequestEdit, ChangeRequestExpire, ChangeRequestPropose, ChangeRequestReject,
    ChangeRequestWithdraw, ListMembershipMakePermanent, ListMembershipRestore, ListMembershipSuspend,
    ListSuspensionEnd, TargetListCreate,
};
pub use taxonomy::{TaxonomyLibraryInstall, TaxonomyTermSave};
pub use virtual_env::{SeededChance, SeededIds, VirtualClock};
pub use written::{Outcome, RowRefusal, RowResult, Rows, Written};
