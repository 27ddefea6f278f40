//! The `Node` interface: anything that has a global id, found by it.

use crate::access::{AccessTokenNode, TeamNode, UserNode};
use crate::accounts::{AccountNode, ContactNode};
use crate::channels::{OutboundCallNode, OutboundChannelNode};
use crate::context::ContextExt;
use crate::custom_fields::CustomFieldNode;
use crate::dispatch::{HandoffNode, OpportunityNode, PoolNode, RoutingTableNode, WorkingCalendarNode};
use crate::email_templates::{EmailTemplateNode, EmailTemplateVersionNode};
use crate::emails::{EmailNode, ReceivedEmailNode, SuppressionNode};
use crate::error::ApiError;
use crate::events::{EventSourceNode, IngestedEventNode};
use crate::ids;
use crate::insight::ExperimentNode;
use crate::interactions::InteractionNode;
use crate::jobs::{ArchivedJobNode, JobNode};
use crate::leads::LeadNode;
use crate::lists::{ChangeRequestNode, ListMembershipNode, ListVersionNode, TargetAccountListNode};
use crate::outbound::{OutboundDeliveryNode, OutboundWebhookNode};
use crate::queue::WorkItemNode;
use crate::sending::{ContactPolicyNode, SendingMailboxNode};
use crate::sequences::{EnrollmentNode, SequenceMigrationNode, SequenceNode, SequenceVersionNode, TriggerSkipNode};
use crate::taxonomy::TaxonomyTermNode;
use crate::webhooks::{InboundDeliveryNode, InboundWebhookNode};
use async_graphql::futures_util::future::try_join_all;
use async_graphql::{Context, ID, Interface, Object};
use tandem_app::AppError;
use uuid::Uuid;

/// Anything that has a global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The global id: opaque, and unique among all things."))]
pub enum Node {
    /// A person or machine that works with Tandem.
    User(UserNode),
    /// A group of users on one side.
    Team(TeamNode),
    /// A bearer token.
    AccessToken(AccessTokenNode),
    /// A list of accounts that marketing and sales own together.
    TargetAccountList(TargetAccountListNode),
    /// One candidacy of one account for one list.
    ListMembership(ListMembershipNode),
    /// A request to change a list for one account.
    ChangeRequest(ChangeRequestNode),
    /// One agreed state of a list.
    ListVersion(ListVersionNode),
    /// One candidacy of a contact for a purchase.
    Lead(LeadNode),
    /// An entry of a human queue.
    WorkItem(WorkItemNode),
    /// One e-mail to one person.
    Email(EmailNode),
    /// An e-mail that arrived.
    ReceivedEmail(ReceivedEmailNode),
    /// An address or a domain that is never written to.
    Suppression(SuppressionNode),
    /// A nurture programme.
    Sequence(SequenceNode),
    /// One published version of a sequence.
    SequenceVersion(SequenceVersionNode),
    /// One subject's run through one version of a sequence.
    Enrollment(EnrollmentNode),
    /// The last time that a trigger meant a person and no run began.
    TriggerSkip(TriggerSkipNode),
    /// A company.
    Account(AccountNode),
    /// A person at a company.
    Contact(ContactNode),
    /// A field that sales ops added.
    CustomField(CustomFieldNode),
    /// One term of a governed taxonomy.
    TaxonomyTerm(TaxonomyTermNode),
    /// A verified lead handed to sales.
    Opportunity(OpportunityNode),
    /// One transfer of responsibility for an opportunity.
    Handoff(HandoffNode),
    /// People among whom opportunities are shared.
    Pool(PoolNode),
    /// When somebody is at work.
    WorkingCalendar(WorkingCalendarNode),
    /// The rules that choose a pool.
    RoutingTable(RoutingTableNode),
    /// A job that waits or runs.
    Job(JobNode),
    /// A job that was given up or called off.
    ArchivedJob(ArchivedJobNode),
    /// An address that other systems post to.
    InboundWebhook(InboundWebhookNode),
    /// A delivery to an inbound webhook.
    InboundDelivery(InboundDeliveryNode),
    /// An address that is told what happens.
    OutboundWebhook(OutboundWebhookNode),
    /// An event on its way to a webhook.
    OutboundDelivery(OutboundDeliveryNode),
    /// A sender of events.
    EventSource(EventSourceNode),
    /// An event as it came.
    IngestedEvent(IngestedEventNode),
    /// What somebody did.
    Interaction(InteractionNode),
    /// One move of runs from older versions of a sequence to a newer one.
    SequenceMigration(SequenceMigrationNode),
    /// An experiment on a step that splits its people among variants.
    Experiment(ExperimentNode),
    /// An address outside that steps of sequences send to.
    OutboundChannel(OutboundChannelNode),
    /// What a step sends to such an address.
    OutboundCall(OutboundCallNode),
    /// How often people may be written to.
    ContactPolicy(ContactPolicyNode),
    /// A mailbox that e-mails are sent from.
    SendingMailbox(SendingMailboxNode),
    /// A template of e-mails that sequences share.
    EmailTemplate(EmailTemplateNode),
    /// One published version of a template of e-mails.
    EmailTemplateVersion(EmailTemplateVersionNode),
}

/// Finds things by their global ids.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The thing with this id; null where there is none or the caller may not see it.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of anything.")] id: ID,
    ) -> Option<Result<Node, ApiError>> {
        find(ctx, &id).await.map_err(ApiError::from).transpose()
    }

    /// The things with these ids, in the order given; null where there is none. At most 100.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids of anything, also of different kinds.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>, ApiError> {
        if ids.len() > 100 {
            return Err(AppError::refused("PAGE_INVALID", "ids: at most 100 can be asked for", Some("ids")).into());
        }
        // All at once, so that the loader sees them together.
        Ok(try_join_all(ids.iter().map(|id| find(ctx, id))).await?)
    }
}

async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>, AppError> {
    let Some((kind, id)) = ids::parts(id) else { return Ok(None) };
    load(ctx, &kind, id).await
}

// One arm a kind.
async fn load(ctx: &Context<'_>, kind: &str, id: Uuid) -> Result<Option<Node>, AppError> {
    Ok(match kind {
        "User" => ctx.load(id).await?.map(|user| Node::User(UserNode(user))),
        "Team" => ctx.load(id).await?.map(|team| Node::Team(TeamNode(team))),
        "AccessToken" if ctx.actor().may_administer().is_ok() => {
            ctx.load(id).await?.map(|token| Node::AccessToken(AccessTokenNode(token)))
        }
        "TargetAccountList" => ctx.load(id).await?.map(|list| Node::TargetAccountList(TargetAccountListNode(list))),
        "ListMembership" => ctx.load(id).await?.map(|member| Node::ListMembership(ListMembershipNode(member))),
        "ChangeRequest" => ctx.load(id).await?.map(|request| Node::ChangeRequest(ChangeRequestNode(request))),
        "ListVersion" => ctx.load(id).await?.map(|version| Node::ListVersion(ListVersionNode(version))),
        "Lead" => ctx.load(id).await?.map(|lead| Node::Lead(LeadNode(lead))),
        "WorkItem" => ctx.load(id).await?.map(|item| Node::WorkItem(WorkItemNode(item))),
        "Email" => ctx.load(id).await?.map(|email| Node::Email(EmailNode(email))),
        "ReceivedEmail" => ctx.load(id).await?.map(|found| Node::ReceivedEmail(ReceivedEmailNode(found))),
        "Suppression" => ctx.load(id).await?.map(|found| Node::Suppression(SuppressionNode(found))),
        "Sequence" => ctx.load(id).await?.map(|sequence| Node::Sequence(SequenceNode(sequence))),
        "SequenceVersion" => ctx.load(id).await?.map(|version| Node::SequenceVersion(SequenceVersionNode(version))),
        "Enrollment" => ctx.load(id).await?.map(|enrollment| Node::Enrollment(EnrollmentNode(enrollment))),
        "TriggerSkip" => ctx.load(id).await?.map(|skip| Node::TriggerSkip(TriggerSkipNode(skip))),
        "Account" => ctx.load(id).await?.map(|account| Node::Account(AccountNode(account))),
        "Contact" => ctx.load(id).await?.map(|contact| Node::Contact(ContactNode(contact))),
        "CustomField" => ctx.load(id).await?.map(|field| Node::CustomField(CustomFieldNode(field))),
        "TaxonomyTerm" => ctx.load(id).await?.map(|term| Node::TaxonomyTerm(TaxonomyTermNode(term))),
        "Opportunity" => ctx.load(id).await?.map(|opportunity| Node::Opportunity(OpportunityNode(opportunity))),
        "Handoff" => ctx.load(id).await?.map(|handoff| Node::Handoff(HandoffNode(handoff))),
        "Pool" => ctx.load(id).await?.map(|pool| Node::Pool(PoolNode(pool))),
        "WorkingCalendar" => ctx.load(id).await?.map(|one| Node::WorkingCalendar(WorkingCalendarNode(one))),
        "RoutingTable" => ctx.load(id).await?.map(|table| Node::RoutingTable(RoutingTableNode(table))),
        "Job" => JobNode::find(ctx, id).await?.map(Node::Job),
        "ArchivedJob" => ArchivedJobNode::find(ctx, id).await?.map(Node::ArchivedJob),
        "InboundWebhook" if ctx.actor().may_operate().is_ok() => {
            ctx.load(id).await?.map(|webhook| Node::InboundWebhook(InboundWebhookNode(webhook)))
        }
        "InboundDelivery" if ctx.actor().may_operate().is_ok() => {
            ctx.load(id).await?.map(|delivery| Node::InboundDelivery(InboundDeliveryNode(delivery)))
        }
        "OutboundWebhook" if ctx.actor().may_operate().is_ok() => {
            ctx.load(id).await?.map(|webhook| Node::OutboundWebhook(OutboundWebhookNode(webhook)))
        }
        "OutboundDelivery" if ctx.actor().may_operate().is_ok() => {
            ctx.load(id).await?.map(|delivery| Node::OutboundDelivery(OutboundDeliveryNode(delivery)))
        }
        "EventSource" if ctx.actor().may_operate().is_ok() => {
            ctx.load(id).await?.map(|source| Node::EventSource(EventSourceNode(source)))
        }
        "IngestedEvent" if ctx.actor().may_operate().is_ok() => {
            ctx.load(id).await?.map(|event| Node::IngestedEvent(IngestedEventNode(event)))
        }
        "OutboundChannel" if ctx.actor().may_operate().is_ok() => {
            ctx.load(id).await?.map(|channel| Node::OutboundChannel(OutboundChannelNode(channel)))
        }
        "OutboundCall" => ctx.load(id).await?.map(|call| Node::OutboundCall(OutboundCallNode(call))),
        "ContactPolicy" => ctx.load(id).await?.map(|policy| Node::ContactPolicy(ContactPolicyNode(policy))),
        "SendingMailbox" => ctx.load(id).await?.map(|mailbox| Node::SendingMailbox(SendingMailboxNode(mailbox))),
        "Interaction" => ctx.load(id).await?.map(|found| Node::Interaction(InteractionNode(found))),
        "SequenceMigration" => ctx.load(id).await?.map(|found| Node::SequenceMigration(SequenceMigrationNode(found))),
        "Experiment" => ctx.load(id).await?.map(|found| Node::Experiment(ExperimentNode(found))),
        "EmailTemplate" => ctx.load(id).await?.map(|found| Node::EmailTemplate(EmailTemplateNode(found))),
        "EmailTemplateVersion" => {
            ctx.load(id).await?.map(|found| Node::EmailTemplateVersion(EmailTemplateVersionNode(found)))
        }
        _ => None,
    })
}
