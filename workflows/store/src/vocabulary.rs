//! What sales ops defined: custom fields and taxonomy terms. Small sets, read whole.

pub mod custom_field_row {
    //! The definition's row.
    use crate::stored::stored;
    use tandem_domain::custom_field::CustomField;
    stored!(CustomField, "CustomField", "custom_field", |field| {
        entity: String = field.entity.to_string(),
        key: String = field.key.clone(),
        active: bool = field.active,
    });
}

pub mod term_row {
    //! The term's row.
    use crate::stored::stored;
    use tandem_domain::taxonomy::TaxonomyTerm;
    stored!(TaxonomyTerm, "TaxonomyTerm", "taxonomy_term", |term| {
        taxonomy: String = term.taxonomy.to_string(),
        code: String = term.code.clone(),
        active: bool = term.active,
    });
}

use crate::{Result, Store, Tx};
use custom_field_row::row as field;
use sea_orm::{EntityTrait, QueryOrder, Select};
use tandem_domain::custom_field::CustomField;
use tandem_domain::identity::Vocabulary;
use tandem_domain::taxonomy::{Taxonomies, TaxonomyTerm};
use term_row::row as term;

fn fields() -> Select<field::Entity> {
    field::Entity::find().order_by_asc(field::Column::Entity).order_by_asc(field::Column::Id)
}

fn terms() -> Select<term::Entity> {
    term::Entity::find().order_by_asc(term::Column::Taxonomy).order_by_asc(term::Column::Id)
}

impl Tx {
    /// The custom fields, in the order they were defined.
    pub async fn custom_fields(&self) -> Result<Vec<CustomField>> {
        self.read(fields()).await
    }

    /// The taxonomies.
    pub async fn taxonomies(&self) -> Result<Taxonomies> {
        Ok(Taxonomies::new(self.read::<TaxonomyTerm>(terms()).await?))
    }

    /// What input is read by; numbers without a country code are dialled from `default_region`.
    pub async fn vocabulary(&self, default_region: Option<&str>) -> Result<Vocabulary> {
        let (taxonomies, fields) = (self.taxonomies().await?, self.custom_fields().await?);
        Ok(Vocabulary { taxonomies, fields, default_region: default_region.map(str::to_owned) })
    }
}

impl Store {
    /// The custom fields, in the order they were defined.
    pub async fn custom_fields(&self) -> Result<Vec<CustomField>> {
        self.all(fields()).await
    }

    /// The taxonomies.
    pub async fn taxonomies(&self) -> Result<Taxonomies> {
        Ok(Taxonomies::new(self.all::<TaxonomyTerm>(terms()).await?))
    }
}
