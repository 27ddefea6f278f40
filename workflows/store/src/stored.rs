//! How an aggregate becomes a row and comes back.

use crate::identity::KnownBy;
use crate::{Result, Tx};
use sea_orm::{EntityTrait, IntoActiveModel};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// An aggregate with a row of its own: the whole as JSON, the columns somebody searches by, and a version.
///
/// Implement it with `stored!`, in a file of the entity's own.
pub trait Stored: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its table.
    type Row: EntityTrait<Model: IntoActiveModel<Self::ActiveRow> + Send + Sync>;
    /// A row to write.
    type ActiveRow: sea_orm::ActiveModelTrait<Entity = Self::Row> + sea_orm::ActiveModelBehavior + Send;
    /// Its type name, as in the schema.
    const KIND: &'static str;

    /// Its id.
    fn key(&self) -> Uuid;
    /// Its row, at a version.
    fn row(&self, version: i32) -> Result<Self::ActiveRow>;
    /// The aggregate in a row, and the row's version.
    fn parts(row: <Self::Row as EntityTrait>::Model) -> Result<(Self, i32)>;
    /// The id column.
    fn id_column() -> <Self::Row as EntityTrait>::Column;
    /// The version column.
    fn version_column() -> <Self::Row as EntityTrait>::Column;

    /// What it is known by and its tags, which have tables of their own; none where it has neither. They are written with its row,
    /// at once or behind.
    fn known_by(&self) -> Option<KnownBy> {
        None
    }

    /// Writes what else belongs to the aggregate in other tables, after its row was written.
    fn save_parts(&self, _tx: &Tx) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// Something that a decision can write.
pub trait Save: Send + Sync {
    /// Writes it within the transaction.
    fn save(&self, tx: &Tx) -> impl Future<Output = Result<()>> + Send;
}

impl<T: Stored> Save for T {
    async fn save(&self, tx: &Tx) -> Result<()> {
        tx.write(self).await?;
        self.save_parts(tx).await
    }
}

impl Save for () {
    async fn save(&self, _: &Tx) -> Result<()> {
        Ok(())
    }
}

impl<T: Save> Save for Option<T> {
    async fn save(&self, tx: &Tx) -> Result<()> {
        match self {
            Some(value) => value.save(tx).await,
            None => Ok(()),
        }
    }
}

impl<T: Save> Save for Vec<T> {
    async fn save(&self, tx: &Tx) -> Result<()> {
        for value in self {
            value.save(tx).await?;
        }
        Ok(())
    }
}

macro_rules! save_tuple {
    ($($name:ident . $index:tt),+) => {
        impl<$($name: Save),+> Save for ($($name,)+) {
            async fn save(&self, tx: &Tx) -> Result<()> {
                $(self.$index.save(tx).await?;)+
                Ok(())
            }
        }
    };
}
save_tuple!(A.0, B.1);
save_tuple!(A.0, B.1, C.2);
save_tuple!(A.0, B.1, C.2, D.3);
save_tuple!(A.0, B.1, C.2, D.3, E.4);
save_tuple!(A.0, B.1, C.2, D.3, E.4, F.5);

/// Gives an aggregate its table: `stored!(Lead, "Lead", "lead", |lead| { stage: String = lead.stage.to_string() });`
///
/// The columns named here are those of the migration beside `id`, `body` and `row_version`. The module `row` holds
/// the entity. `save_parts = path` names what writes what belongs in other tables; `known_by = path` what gives its keys and tags.
macro_rules! stored {
    ($aggregate:ty, $kind:literal, $table:tt, |$value:ident| { $($column:ident : $type:ty = $get:expr),* $(,)? }
        $(, save_parts = $save:path)? $(, known_by = $known_by:path)?) => {
        pub(crate) mod row {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub id: Uuid,
                $(pub $column: $type,)*
                #[sea_orm(column_type = "JsonBinary")]
                pub body: Json,
                pub row_version: i32,
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }

        impl $crate::Stored for $aggregate {
            type Row = row::Entity;
            type ActiveRow = row::ActiveModel;
            const KIND: &'static str = $kind;

            fn key(&self) -> uuid::Uuid {
                self.id.into()
            }

            fn row(&self, version: i32) -> $crate::Result<row::ActiveModel> {
                let $value = self;
                let body = serde_json::to_value(self)
                    .map_err(|source| $crate::StoreError::Decode { kind: $kind, source })?;
                Ok(row::ActiveModel {
                    id: sea_orm::Set($value.id.into()),
                    $($column: sea_orm::Set($get),)*
                    body: sea_orm::Set(body),
                    row_version: sea_orm::Set(version),
                })
            }

            fn parts(row: row::Model) -> $crate::Result<(Self, i32)> {
                let value = serde_json::from_value(row.body)
                    .map_err(|source| $crate::StoreError::Decode { kind: $kind, source })?;
                Ok((value, row.row_version))
            }

            fn id_column() -> row::Column {
                row::Column::Id
            }

            fn version_column() -> row::Column {
                row::Column::RowVersion
            }

            $(fn known_by(&self) -> Option<$crate::identity::KnownBy> {
                Some($known_by(self))
            })?

            $(async fn save_parts(&self, tx: &$crate::Tx) -> $crate::Result<()> {
                $save(self, tx).await
            })?
        }
    };
}
pub(crate) use stored;
