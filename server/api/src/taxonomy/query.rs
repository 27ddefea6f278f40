//! Reads of taxonomies.

use super::types::{Taxonomy, TaxonomyTermNode};
use crate::connection::{connection, page};
use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::connection::Connection;
use async_graphql::{Context, Object};

/// Reads of taxonomies.
#[derive(Default)]
pub struct TaxonomyQuery;

#[Object]
impl TaxonomyQuery {
    /// The terms of one taxonomy or of all, in the order they were added.
    async fn taxonomy_terms(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this taxonomy's.")] taxonomy: Option<Taxonomy>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Connection<String, TaxonomyTermNode>, ApiError> {
        let page = page(first, after, last, before)?;
        let terms = ctx.app().store.term_page(taxonomy.map(Into::into), &page).await?;
        Ok(connection(terms, |term| term.id, TaxonomyTermNode))
    }

    /// The term that a text stands for: a code, name or alias in any case and punctuation. Null where there is none.
    async fn taxonomy_term_resolve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The taxonomy.")] taxonomy: Taxonomy,
        #[graphql(desc = "The text, as somebody typed it.")] text: String,
    ) -> Option<Result<TaxonomyTermNode, ApiError>> {
        let taxonomies = match ctx.app().store.taxonomies().await {
            Ok(taxonomies) => taxonomies,
            Err(error) => return Some(Err(error.into())),
        };
        let code = taxonomies.resolve(taxonomy.into(), &text).ok()?;
        taxonomies.term(taxonomy.into(), code).cloned().map(|term| Ok(TaxonomyTermNode(term)))
    }
}
