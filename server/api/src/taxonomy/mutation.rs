//! Changes of taxonomies.

use super::types::{Taxonomy, TaxonomyTermNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::payload::payload;
use async_graphql::{Context, InputObject, Object};
use tandem_app::TaxonomyTermSave;

/// A term to add, or to change where the taxonomy has the code; what is absent stays.
#[derive(InputObject)]
pub struct TaxonomyTermSaveInput {
    /// The taxonomy.
    taxonomy: Taxonomy,
    /// The code: 1 to 40 of A-Z, 0-9 and _.
    code: String,
    /// The English name; needed for a new term.
    name_en: Option<String>,
    /// The Chinese name; needed for a new term.
    name_zh: Option<String>,
    /// Every other way of writing it.
    aliases: Option<Vec<String>>,
    /// Whether input is resolved to it.
    active: Option<bool>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `taxonomyTermSave` did.
    TaxonomyTermSavePayload {
        /// The term as it is now.
        term: TaxonomyTermNode,
    }
}

/// Changes of taxonomies.
#[derive(Default)]
pub struct TaxonomyMutation;

#[Object]
impl TaxonomyMutation {
    /// Adds a term, or changes names, aliases or activity of one.
    async fn taxonomy_term_save(
        &self,
        ctx: &Context<'_>,
        input: TaxonomyTermSaveInput,
    ) -> Result<TaxonomyTermSavePayload, ApiError> {
        let command = TaxonomyTermSave {
            taxonomy: input.taxonomy.into(),
            code: input.code,
            name_en: input.name_en,
            name_zh: input.name_zh,
            aliases: input.aliases,
            active: input.active,
        };
        let done = ctx.run(input.idempotency_key, command).await;
        TaxonomyTermSavePayload::of(done.map(TaxonomyTermNode))
    }
}
