//! Commands on the governed taxonomies.

use crate::{Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::taxonomy::{self, LIBRARY, Taxonomies, Taxonomy, TaxonomyTerm};
use tandem_store::Tx;

/// Adds a term, or changes the one with the same taxonomy and code; what is absent stays.
#[derive(Debug, Clone, Serialize)]
pub struct TaxonomyTermSave {
    /// The taxonomy.
    pub taxonomy: Taxonomy,
    /// The code.
    pub code: String,
    /// The English name; needed for a new term.
    pub name_en: Option<String>,
    /// The Chinese name; needed for a new term.
    pub name_zh: Option<String>,
    /// Every other way of writing it.
    pub aliases: Option<Vec<String>>,
    /// Whether input is resolved to it.
    pub active: Option<bool>,
}

impl Command for TaxonomyTermSave {
    const NAME: &'static str = "taxonomyTermSave";
    type Output = TaxonomyTerm;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<TaxonomyTerm>> {
        let existing = tx.taxonomies().await?;
        let mut term = existing.term(self.taxonomy, &self.code).cloned().unwrap_or_else(|| TaxonomyTerm {
            id: env.id(call.now(env)),
            taxonomy: self.taxonomy,
            code: self.code.clone(),
            name_en: String::new(),
            name_zh: String::new(),
            aliases: Vec::new(),
            active: true,
        });
        if let Some(name) = &self.name_en {
            term.name_en.clone_from(name);
        }
        if let Some(name) = &self.name_zh {
            term.name_zh.clone_from(name);
        }
        if let Some(aliases) = &self.aliases {
            term.aliases.clone_from(aliases);
        }
        term.active = self.active.unwrap_or(term.active);
        Ok(taxonomy::save(term, &existing)?)
    }
}

/// Adds the terms that come with Tandem and are not there yet. What somebody changed or added stays; running it again
/// changes nothing.
#[derive(Debug, Clone, Serialize)]
pub struct TaxonomyLibraryInstall;

impl Command for TaxonomyLibraryInstall {
    const NAME: &'static str = "taxonomyLibraryInstall";
    type Output = Vec<TaxonomyTerm>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Vec<TaxonomyTerm>>> {
        let existing = tx.taxonomies().await?;
        let mut added = Decision::unchanged(Vec::new());
        for draft in taxonomy::read_terms(LIBRARY)? {
            if existing.term(draft.taxonomy, &draft.code).is_some() {
                continue;
            }
            let so_far = Taxonomies::new([existing.terms(), &added.next].concat());
            // A shipped way of writing that somebody gave to another term stays with that term.
            let Ok(saved) = taxonomy::save(draft.term(env.id(call.now(env))), &so_far) else { continue };
            added.next.push(saved.next);
            added.facts.extend(saved.facts);
        }
        Ok(added)
    }
}
