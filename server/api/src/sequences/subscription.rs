//! What happens to enrolments.

use super::types::EnrollmentNode;
use crate::error::ApiError;
use crate::ids::local;
use crate::live::{Event, watched};
use async_graphql::futures_util::stream::{Stream, StreamExt};
use async_graphql::{Context, ID, Subscription};
use tandem_domain::id::EnrollmentId;
use tandem_domain::sequence::Enrollment;

/// What happens to enrolments.
#[derive(Default)]
pub struct SequenceSubscription;

#[Subscription]
impl SequenceSubscription {
    /// An enrolment as it is now, and then whenever it changes.
    async fn enrollment_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The enrolment.")] id: ID,
    ) -> Result<impl Stream<Item = Event<EnrollmentNode>>, ApiError> {
        let id: EnrollmentId = local(&id, "id")?;
        Ok(watched::<Enrollment>(ctx, id.into()).await?.map(|event| event.map(EnrollmentNode)))
    }
}
