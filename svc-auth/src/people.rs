//! The people of the hall, as any signed-in person may see them.

use guildhall_kernel::UserId;

use crate::{
    AuthError,
    model::Person,
    store::{Store, account},
};

/// How many people a search finds at most.
const FOUND: u64 = 20;

/// The people.
pub(crate) struct People {
    pub(crate) store: Store,
}

impl People {
    /// One person.
    pub(crate) async fn get(&self, user: UserId) -> Result<Person, AuthError> {
        let mut found = account::people(self.store.entities().read(), &[user]).await?;
        found.remove(&user).ok_or(AuthError::NotFound("user"))
    }

    /// Those who are there, each once, in the order asked.
    pub(crate) async fn all_of(&self, users: &[UserId]) -> Result<Vec<Person>, AuthError> {
        let mut found = account::people(self.store.entities().read(), users).await?;
        Ok(users.iter().filter_map(|user| found.remove(user)).collect())
    }

    /// People whose username, or a word of whose name, begins like this.
    pub(crate) async fn search(&self, begins: &str) -> Result<Vec<Person>, AuthError> {
        let begins = guildhall_kernel::name::fold(begins);
        if begins.is_empty() {
            return Err(AuthError::bad_field("q", "must say something"));
        }
        Ok(account::search(self.store.entities().read(), &begins, FOUND).await?)
    }
}
