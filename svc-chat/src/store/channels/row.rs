//! The rows of channels.

use guildhall_kernel::{ChannelId, SpaceId, Time, UserId};
use sea_orm::ActiveValue::Set;

use crate::{
    model::{Channel, ChannelKind},
    store::StoreError,
};

/// A channel as a new row.
pub(super) fn of(
    new: &Channel,
    name_key: &str,
    by: UserId,
    create_key: Option<&str>,
) -> channel::ActiveModel {
    channel::ActiveModel {
        id: Set(new.id.uuid()),
        space_id: Set(new.space.uuid()),
        kind: Set(new.kind.number().into()),
        name: Set(new.name.clone()),
        name_key: Set(name_key.to_owned()),
        topic: Set(new.topic.clone()),
        created_by: Set(by.uuid()),
        create_key: Set(create_key.map(str::to_owned)),
        created_at: Set(new.created_at.micros()),
        people: Set(new.people.iter().flat_map(UserId::bytes).copied().collect()),
        deleted_at: Set(None),
    }
}

impl TryFrom<channel::Model> for Channel {
    type Error = StoreError;

    fn try_from(row: channel::Model) -> Result<Self, StoreError> {
        let (people, rest) = row.people.as_chunks::<16>();
        if !rest.is_empty() {
            let wrong = format!("the people of channel {} are no list of ids", row.id);
            return Err(StoreError::Broken(wrong.into()));
        }
        let kind = ChannelKind::from_number(row.kind.into()).ok_or_else(|| {
            StoreError::Broken(format!("channel {} is of unknown kind {}", row.id, row.kind).into())
        })?;
        Ok(Self {
            id: ChannelId::of(row.id),
            space: SpaceId::of(row.space_id),
            kind,
            name: row.name,
            topic: row.topic,
            created_at: Time::from_micros(row.created_at),
            people: people.iter().copied().map(UserId::from_bytes).collect(),
            deleted_at: row.deleted_at.map(Time::from_micros),
        })
    }
}

pub(super) mod channel {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "channel")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub space_id: Uuid,
        pub kind: i16,
        pub name: String,
        pub name_key: String,
        pub topic: String,
        pub created_by: Uuid,
        pub create_key: Option<String>,
        pub created_at: i64,
        pub people: Vec<u8>,
        pub deleted_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod closed_space {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "closed_space")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub closed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod arrival {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "arrival")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub space_id: Uuid,
        pub came_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
