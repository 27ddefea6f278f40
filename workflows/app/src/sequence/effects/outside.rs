//! What goes to other systems: a message to a chat, a call of an API.

use super::{Acted, Acting, Made};
use crate::Result;
use crate::outbound::plan_call;
use tandem_domain::sequence::calling::PlannedCall;

impl Acting<'_> {
    pub(super) async fn call_out(&self, planned: &PlannedCall) -> Result<Acted> {
        let call = plan_call(self.tx, planned, self.env.id(self.now), self.now).await?;
        Ok(Acted::of(call.map(|call| Made { call: Some(call), ..Made::default() })))
    }
}
