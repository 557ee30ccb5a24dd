//! Accounts.

use std::collections::HashMap;

use guildhall_kernel::{Time, UserId};
use guildhall_store::{StoreError, Write};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, LikeExpr, LockType},
};

use super::entity::account::{ActiveModel, Column, Entity, Model};
use crate::model::{Account, Email, Login, Person, Username, words};

/// An account to be.
pub(crate) struct NewAccount<'a> {
    pub(crate) id: UserId,
    pub(crate) username: &'a Username,
    pub(crate) email: &'a Email,
    pub(crate) password_hash: String,
    pub(crate) display_name: String,
    pub(crate) at: Time,
}

/// An account with the hash of its password.
pub(crate) struct Credentials {
    pub(crate) account: Account,
    pub(crate) password_hash: String,
}

/// Which of the names belong to somebody: the username, the address.
pub(crate) async fn taken(
    on: &impl ConnectionTrait,
    username: &Username,
    email: &Email,
) -> Result<(bool, bool), StoreError> {
    let (username, email) = (username.key(), email.key());
    let either = Condition::any()
        .add(Column::UsernameKey.eq(username.as_str()))
        .add(Column::EmailKey.eq(email.as_str()));
    let found = Entity::find().filter(either).all(on).await?;
    Ok((
        found.iter().any(|row| row.username_key == username),
        found.iter().any(|row| row.email_key == email),
    ))
}

/// Keeps a new account.
pub(crate) async fn add(write: &Write, new: NewAccount<'_>) -> Result<Account, StoreError> {
    let row = ActiveModel {
        id: Set(new.id.uuid()),
        username: Set(new.username.as_str().to_owned()),
        username_key: Set(new.username.key()),
        email: Set(new.email.as_str().to_owned()),
        email_key: Set(new.email.key()),
        password_hash: Set(new.password_hash),
        display_words: Set(words(&new.display_name)),
        display_name: Set(new.display_name),
        status_text: Set(String::new()),
        created_at: Set(new.at.micros()),
    };
    Ok(account(
        Entity::insert(row).exec_with_returning(write).await?,
    ))
}

/// The account of a user.
pub(crate) async fn load(
    on: &impl ConnectionTrait,
    user: UserId,
) -> Result<Option<Credentials>, StoreError> {
    Ok(Entity::find_by_id(user.uuid())
        .one(on)
        .await?
        .map(credentials))
}

/// The account of a user, which nobody else changes until the transaction ends.
pub(crate) async fn lock(write: &Write, user: UserId) -> Result<Option<Credentials>, StoreError> {
    Ok(Entity::find_by_id(user.uuid())
        .lock(LockType::NoKeyUpdate)
        .one(write)
        .await?
        .map(credentials))
}

/// The account that somebody names when they sign in.
pub(crate) async fn by_login(
    on: &impl ConnectionTrait,
    login: &Login,
) -> Result<Option<Credentials>, StoreError> {
    let key = login.key();
    // No column of text holds a NUL, and PostgreSQL refuses even to look for one.
    if key.contains('\0') {
        return Ok(None);
    }
    let column = match login {
        Login::Email(_) => Column::EmailKey,
        Login::Username(_) => Column::UsernameKey,
    };
    let found = Entity::find().filter(column.eq(key)).one(on).await?;
    Ok(found.map(credentials))
}

/// Those of the people who are there, in no order.
pub(crate) async fn people(
    on: &impl ConnectionTrait,
    ids: &[UserId],
) -> Result<HashMap<UserId, Person>, StoreError> {
    let wanted = ids.iter().map(|id| id.uuid());
    let found = Entity::find()
        .filter(Column::Id.is_in(wanted))
        .all(on)
        .await?;
    Ok(found
        .into_iter()
        .map(|row| (UserId::of(row.id), person(row)))
        .collect())
}

/// People whose username, or a word of whose name, begins like this, by username.
pub(crate) async fn search(
    on: &impl ConnectionTrait,
    begins: &str,
    limit: u64,
) -> Result<Vec<Person>, StoreError> {
    let mut either =
        Condition::any().add(like(Column::UsernameKey, &format!("{}%", escaped(begins))));
    let in_words = words(begins);
    if !in_words.is_empty() {
        // The last word goes on unless something stands behind it.
        let goes_on = begins.ends_with(char::is_alphanumeric);
        let in_words = if goes_on {
            in_words.trim_end()
        } else {
            in_words.as_str()
        };
        either = either.add(like(
            Column::DisplayWords,
            &format!("%{}%", escaped(in_words)),
        ));
    }
    let found = Entity::find()
        .filter(either)
        .order_by_asc(Column::UsernameKey)
        .limit(limit)
        .all(on)
        .await?;
    Ok(found.into_iter().map(person).collect())
}

/// Changes what others see of somebody.
pub(crate) async fn set_profile(
    write: &Write,
    user: UserId,
    display_name: &str,
    status_text: &str,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::DisplayName, Expr::value(display_name))
        .col_expr(Column::DisplayWords, Expr::value(words(display_name)))
        .col_expr(Column::StatusText, Expr::value(status_text))
        .filter(Column::Id.eq(user.uuid()))
        .exec(write)
        .await?;
    Ok(())
}

/// Replaces the hash of a password if it is still the one that was seen. Whether it was.
pub(crate) async fn replace_hash(
    write: &Write,
    user: UserId,
    seen: &str,
    hash: String,
) -> Result<bool, StoreError> {
    let replaced = Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(hash))
        .filter(Column::Id.eq(user.uuid()))
        .filter(Column::PasswordHash.eq(seen))
        .exec(write)
        .await?;
    Ok(replaced.rows_affected == 1)
}

fn like(column: Column, pattern: &str) -> Expr {
    Expr::col(column).like(LikeExpr::new(pattern).escape('\\'))
}

/// The text, taken literally in a pattern of LIKE.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

fn credentials(mut row: Model) -> Credentials {
    let password_hash = std::mem::take(&mut row.password_hash);
    Credentials {
        account: account(row),
        password_hash,
    }
}

fn account(mut row: Model) -> Account {
    Account {
        email: std::mem::take(&mut row.email),
        created_at: Time::from_micros(row.created_at),
        person: person(row),
    }
}

pub(super) fn person(row: Model) -> Person {
    Person {
        id: UserId::of(row.id),
        username: row.username,
        display_name: row.display_name,
        status_text: row.status_text,
    }
}
