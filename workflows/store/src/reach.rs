//! The channels that steps of sequences send to, and the calls that they make.

pub mod channel_row {
    //! The channel's row.
    use crate::stored::stored;
    use tandem_domain::outbound::OutboundChannel;
    stored!(OutboundChannel, "OutboundChannel", "outbound_channel", |channel| {
        key: String = channel.key.clone(),
        provider: String = channel.provider.to_string(),
        state: String = channel.state.to_string(),
    });
}

pub mod call_row {
    //! The call's row.
    use crate::stored::stored;
    use tandem_domain::outbound::OutboundCall;
    stored!(OutboundCall, "OutboundCall", "outbound_call", |call| {
        channel_id: Uuid = call.channel.into(),
        enrollment_id: Option<Uuid> = call.enrollment.map(Into::into),
        step: String = call.step.clone(),
        visit: i32 = i32::try_from(call.visit).unwrap_or(i32::MAX),
        state: String = call.state.to_string(),
        planned_at: i64 = crate::ms(call.planned_at),
    });
}

use crate::page::{Page, PageOf};
use crate::{Result, Store, Tx, ms};
use call_row::row as call;
use channel_row::row as channel;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Statement};
use tandem_domain::id::{EnrollmentId, OutboundChannelId};
use tandem_domain::outbound::{CallState, OutboundCall, OutboundChannel};
use uuid::Uuid;

/// Which calls to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct OutboundCallFilter {
    /// In one of these states; empty means any.
    pub states: Vec<CallState>,
    /// Over this channel.
    pub channel: Option<OutboundChannelId>,
    /// Of this enrolment.
    pub enrollment: Option<EnrollmentId>,
}

impl Tx {
    /// The channel with this key, which the decision only reads.
    pub async fn outbound_channel_with_key(&self, key: &str) -> Result<Option<OutboundChannel>> {
        Ok(self.read(channel::Entity::find().filter(channel::Column::Key.eq(key))).await?.pop())
    }

    /// The channel with this key, to be changed.
    pub async fn outbound_channel_to_change(&self, key: &str) -> Result<Option<OutboundChannel>> {
        Ok(self.select(channel::Entity::find().filter(channel::Column::Key.eq(key))).await?.pop())
    }
}

impl Store {
    /// The channel with this key.
    pub async fn outbound_channel_by_key(&self, key: &str) -> Result<Option<OutboundChannel>> {
        Ok(self.all(channel::Entity::find().filter(channel::Column::Key.eq(key))).await?.pop())
    }

    /// A page of channels.
    pub async fn outbound_channel_page(&self, page: &Page<Uuid>) -> Result<PageOf<OutboundChannel>> {
        self.page(channel::Entity::find(), page).await
    }

    /// A page of calls.
    pub async fn outbound_call_page(
        &self,
        filter: &OutboundCallFilter,
        page: &Page<Uuid>,
    ) -> Result<PageOf<OutboundCall>> {
        use call::{Column, Entity};
        let mut query = Entity::find();
        let conditions = [
            (Column::ChannelId, filter.channel.map(Uuid::from)),
            (Column::EnrollmentId, filter.enrollment.map(Uuid::from)),
        ];
        for (column, id) in conditions {
            if let Some(id) = id {
                query = query.filter(column.eq(id));
            }
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        self.page(query, page).await
    }

    /// How many calls over a channel are still on their way.
    pub async fn outbound_calls_pending(&self, of: OutboundChannelId) -> Result<u64> {
        use call::{Column, Entity};
        let open = [CallState::Planned, CallState::Sending].map(CallState::as_str);
        let query = Entity::find().filter(Column::ChannelId.eq(Uuid::from(of))).filter(Column::State.is_in(open));
        Ok(query.count(self.reader()).await?)
    }

    /// Forgets calls that were planned before a moment and are done with, at most `limit`. Gives how many.
    pub async fn prune_outbound_calls(&self, before: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM outbound_call WHERE state NOT IN ('PLANNED', 'SENDING') AND id IN (SELECT id FROM outbound_call \
             WHERE planned_at < $1 AND state NOT IN ('PLANNED', 'SENDING') ORDER BY planned_at LIMIT {limit})"
        );
        let backend = self.writer().get_database_backend();
        let done = self.writer().execute_raw(Statement::from_sql_and_values(backend, sql, [ms(before).into()])).await?;
        Ok(done.rows_affected())
    }
}
