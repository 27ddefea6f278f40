//! Types of taxonomies.

use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::loaders::{Failed, StoreLoader};
use async_graphql::dataloader::Loader;
use async_graphql::{Context, Enum, ID, Object};
use std::collections::HashMap;
use tandem_domain::taxonomy::{self, TaxonomyTerm};

/// The taxonomies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "taxonomy::Taxonomy")]
pub enum Taxonomy {
    /// How much an account matters.
    Tier,
    /// What an account does.
    Industry,
    /// Whose ground an account stands on.
    Territory,
}

/// A language that names are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

/// One term of a governed taxonomy.
pub struct TaxonomyTermNode(pub TaxonomyTerm);

/// One term of a governed taxonomy.
#[Object(name = "TaxonomyTerm")]
impl TaxonomyTermNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The taxonomy it belongs to.
    async fn taxonomy(&self) -> Taxonomy {
        self.0.taxonomy.into()
    }
    /// The code that records carry; unique in its taxonomy.
    async fn code(&self) -> &str {
        &self.0.code
    }
    /// The name.
    async fn name(
        &self,
        #[graphql(default_with = "Language::En", desc = "The language of the name.")] language: Language,
    ) -> &str {
        match language {
            Language::En => &self.0.name_en,
            Language::Zh => &self.0.name_zh,
        }
    }
    /// Other ways of writing it; case, accents, spacing and punctuation do not count.
    async fn aliases(&self) -> &[String] {
        &self.0.aliases
    }
    /// Whether input is resolved to it. Records that carry it keep it.
    async fn active(&self) -> bool {
        self.0.active
    }
}

/// A term, by its code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TermKey(taxonomy::Taxonomy, String);

#[async_trait::async_trait]
impl Loader<TermKey> for StoreLoader {
    type Value = TaxonomyTerm;
    type Error = Failed;

    async fn load(&self, keys: &[TermKey]) -> Result<HashMap<TermKey, TaxonomyTerm>, Failed> {
        let taxonomies = self.store.taxonomies().await?;
        let find = |key: &TermKey| Some((key.clone(), taxonomies.term(key.0, &key.1)?.clone()));
        Ok(keys.iter().filter_map(find).collect())
    }
}

/// The term that a record carries the code of.
pub(crate) async fn term(
    ctx: &Context<'_>,
    taxonomy: taxonomy::Taxonomy,
    code: Option<&String>,
) -> Option<Result<TaxonomyTermNode, ApiError>> {
    let key = TermKey(taxonomy, code?.clone());
    let found = ctx.loader().load_one(key).await.map_err(|failed| ApiError::from(failed.into_app()));
    Some(found.transpose()?.map(TaxonomyTermNode))
}
