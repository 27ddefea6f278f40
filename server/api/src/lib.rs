//! The GraphQL schema: one folder a family, each with its types, queries and mutations.
//!
//! Resolvers translate: input to command, aggregate to type, refusal to `userErrors`. They decide nothing.
//! A failed nullable field must become null and leave its parent alone, so nullable resolvers give
//! `Option<Result<..>>`.

pub mod access;
pub mod accounts;
pub mod channels;
mod coercion;
mod connection;
mod context;
mod cost;
pub mod custom_fields;
pub mod dispatch;
mod door;
pub mod email_templates;
pub mod emails;
mod error;
pub mod events;
mod ids;
pub mod insight;
pub mod interactions;
pub mod jobs;
pub mod leads;
pub mod ledger;
pub mod lists;
mod live;
mod loaders;
mod node;
pub mod outbound;
mod payload;
pub mod queue;
pub mod reports;
mod scalars;
pub mod sending;
pub mod sequences;
pub mod taxonomy;
pub mod webhooks;
mod words;

pub use context::Caller;
pub use ids::global as global_id;

use async_graphql::futures_util::stream::{self, BoxStream, StreamExt};
use async_graphql::{MergedObject, MergedSubscription, Request, Response, Schema, SchemaBuilder, ServerError, Value};
use tandem_app::App;

/// Reads.
#[derive(MergedObject, Default)]
pub struct Query(
    node::NodeQuery,
    access::AccessQuery,
    emails::EmailQuery,
    emails::ReceivedEmailQuery,
    ledger::LedgerQuery,
    lists::ListQuery,
    leads::LeadQuery,
    queue::QueueQuery,
    sequences::SequenceQuery,
    sequences::TriggerQuery,
    reports::ReportsQuery,
    accounts::AccountQuery,
    taxonomy::TaxonomyQuery,
    custom_fields::CustomFieldQuery,
    dispatch::DispatchQuery,
    jobs::JobQuery,
    webhooks::InboundQuery,
    outbound::OutboundQuery,
    events::EventQuery,
    sequences::SequenceVersionQuery,
    sequences::SequenceSimulationQuery,
    insight::InsightQuery,
    channels::ChannelQuery,
    sending::SendingQuery,
    email_templates::EmailTemplateQuery,
);

/// Changes: each is one command.
#[derive(MergedObject, Default)]
pub struct Mutation(
    access::AccessMutation,
    emails::EmailMutation,
    lists::ListMutation,
    leads::LeadMutation,
    queue::QueueMutation,
    queue::VerdictMutation,
    sequences::SequenceMutation,
    accounts::AccountMutation,
    accounts::ContactMutation,
    taxonomy::TaxonomyMutation,
    custom_fields::CustomFieldMutation,
    dispatch::DefinitionMutation,
    dispatch::HandoffMutation,
    jobs::JobMutation,
    webhooks::InboundMutation,
    outbound::OutboundMutation,
    events::EventMutation,
    interactions::InteractionMutation,
    sequences::SequenceMigrationMutation,
    insight::InsightMutation,
    channels::ChannelMutation,
    sending::SendingMutation,
    email_templates::EmailTemplateMutation,
);

/// What happens, as it happens.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    lists::ListSubscription,
    queue::QueueSubscription,
    sequences::SequenceSubscription,
    dispatch::DispatchSubscription,
);

/// The schema over an application.
pub type TandemSchema = Schema<Query, Mutation, Subscription>;

/// The most fields of an operation, as the library counts them; what pages multiply is counted by `cost`.
const MOST_FIELDS: usize = 5_000;

/// Builds the schema; without an application it can only be printed.
pub fn schema(app: Option<App>) -> TandemSchema {
    match app {
        Some(app) => schema_over(app).finish(),
        None => limited().finish(),
    }
}

/// The schema over an application before it is finished: for whoever puts extensions around what is resolved.
pub fn schema_over(app: App) -> SchemaBuilder<Query, Mutation, Subscription> {
    // Now and not at the first request, which would wait for it.
    coercion::prepare();
    cost::prepare();
    limited().data(app)
}

/// The types and the limits of an operation.
fn limited() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .limit_depth(15)
        .limit_complexity(MOST_FIELDS)
        .limit_recursive_depth(48)
        .limit_directives(8)
        .disable_suggestions()
        .register_output_type::<words::Words>()
}

/// The schema in the definition language, as committed in `schema.graphql`.
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new()
        .include_specified_by()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items();
    schema(None).sdl_with_options(options)
}

/// Executes a request for a caller. Every error that leaves has a code; an internal one also has the request's id.
pub async fn execute(schema: &TandemSchema, app: &App, caller: Caller, request: Request) -> Response {
    let request_id = caller.request_id.clone();
    let mut response = match admit(app, caller, request) {
        Err(error) => Response::from_errors(vec![error]),
        Ok((request, cost)) => with_cost(schema.execute(request).await, cost),
    };
    finish(&mut response, &request_id);
    response
}

/// Executes a subscription for a caller: one response an event.
pub fn execute_stream(
    schema: &TandemSchema,
    app: &App,
    caller: Caller,
    request: Request,
) -> BoxStream<'static, Response> {
    let request_id = caller.request_id.clone();
    let responses = match admit(app, caller, request) {
        Err(error) => stream::iter([Response::from_errors(vec![error])]).boxed(),
        Ok((_, Some(cost))) if cost > cost::MOST_OF_AN_EVENT => {
            stream::iter([Response::from_errors(vec![cost::too_costly(cost, cost::MOST_OF_AN_EVENT)])]).boxed()
        }
        Ok((request, cost)) => schema.execute_stream(request).map(move |response| with_cost(response, cost)).boxed(),
    };
    let finished = responses.map(move |mut response| {
        finish(&mut response, &request_id);
        response
    });
    finished.boxed()
}

/// What every request goes through before anything of it runs. Gives it with what it costs, where that could be counted.
fn admit(app: &App, caller: Caller, request: Request) -> Result<(Request, Option<usize>), ServerError> {
    let mut request = request.data(loaders::loader(app.store.clone())).data(caller);
    let refused = door::refuse_nul(&mut request)
        .or_else(|| door::refuse_missing_variables(&mut request))
        .or_else(|| coercion::refuse_misfits(&mut request))
        .or_else(|| door::refuse_several_roots(&mut request));
    match refused {
        Some(error) => Err(error),
        None => cost::of(&mut request).map(|cost| (request, cost)),
    }
}

/// Says what an operation that was executed cost.
fn with_cost(response: Response, cost: Option<usize>) -> Response {
    match cost {
        Some(cost) => response.extension("cost", cost.into()),
        None => response,
    }
}

/// Gives every error of a response its code, and internal ones the request's id; keeps at most 20 of 300 characters.
pub fn finish(response: &mut Response, request_id: &str) {
    response.errors.truncate(20);
    for error in &mut response.errors {
        if error.message.chars().count() > 300 {
            error.message = error.message.chars().take(299).chain(['…']).collect();
        }
        let executed = !error.path.is_empty();
        let message = &error.message;
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            let code = if executed {
                "BAD_USER_INPUT"
            } else if message.contains("too complex") || message.contains("too deep") {
                "QUERY_TOO_COMPLEX"
            } else if message.trim_start().starts_with("-->") {
                "GRAPHQL_PARSE_FAILED"
            } else {
                "GRAPHQL_VALIDATION_FAILED"
            };
            extensions.set("code", code);
        }
        if matches!(extensions.get("code"), Some(Value::String(code)) if code == "INTERNAL") {
            extensions.set("requestId", request_id);
        }
    }
}
