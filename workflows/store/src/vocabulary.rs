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

use crate::page::{Page, PageOf};
use crate::{Result, Store, Tx};
use custom_field_row::row as field;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select};
use tandem_domain::custom_field::{CustomField, Entity};
use tandem_domain::identity::Vocabulary;
use tandem_domain::taxonomy::{Taxonomies, Taxonomy, TaxonomyTerm};
use term_row::row as term;
use uuid::Uuid;

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
    /// A page of custom fields, of one entity or of all.
    pub async fn custom_field_page(&self, entity: Option<Entity>, page: &Page<Uuid>) -> Result<PageOf<CustomField>> {
        let mut query = field::Entity::find();
        if let Some(entity) = entity {
            query = query.filter(field::Column::Entity.eq(entity.as_str()));
        }
        self.page(query, page).await
    }

    /// A page of terms, of one taxonomy or of all.
    pub async fn term_page(&self, taxonomy: Option<Taxonomy>, page: &Page<Uuid>) -> Result<PageOf<TaxonomyTerm>> {
        let mut query = term::Entity::find();
        if let Some(taxonomy) = taxonomy {
            query = query.filter(term::Column::Taxonomy.eq(taxonomy.as_str()));
        }
        self.page(query, page).await
    }

    /// The custom fields, in the order they were defined.
    pub async fn custom_fields(&self) -> Result<Vec<CustomField>> {
        self.all(fields()).await
    }

    /// The taxonomies.
    pub async fn taxonomies(&self) -> Result<Taxonomies> {
        Ok(Taxonomies::new(self.all::<TaxonomyTerm>(terms()).await?))
    }
}
