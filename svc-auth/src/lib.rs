//! Who you are and where you belong: accounts, sessions, people, spaces, and the numbered changes of all rights.
//!
//! In reading order: [`model`] has the values; [`store`] keeps them and [`event`] tells them; [`passwords`], [`tokens`], [`keys`] and
//! [`throttle`] are the tools of signing in; [`sessions`], [`accounts`], [`people`], [`spaces`] and [`rights`] are the rules; [`grpc`]
//! is how they are called; [`admin`] is for a stopped hall. [`build`] puts all of it together.
#![warn(missing_docs)]

use std::sync::Arc;

use guildhall_kernel::{Clock, Ids};
use guildhall_mesh::{
    Bus, Tasks,
    access::{Access, AccessSettings},
    guard::{Places, SpacesOnly},
    outbox::{Journal, relay},
};
use guildhall_store::{
    Home, StoreError,
    postgres::{self, Schema},
};
use tonic::service::Routes;

mod accounts;
pub mod admin;
pub mod config;
mod error;
mod event;
mod grpc;
mod keys;
mod migrations;
pub mod model;
mod passwords;
mod people;
mod rights;
mod sessions;
mod spaces;
mod store;
mod throttle;
mod tokens;
mod upkeep;

pub use config::AuthSettings;
pub use error::AuthError;

use crate::{
    accounts::Accounts,
    grpc::Source,
    keys::KeyRing,
    passwords::Hashers,
    people::People,
    rights::Rights,
    sessions::Sessions,
    spaces::Spaces,
    store::{Store, Write, journal::AuthJournal},
    throttle::Throttle,
    tokens::Mint,
};

/// Under what name its database stands: the file `auth.db`, or a schema that ends in `_auth`.
pub const NAME: &str = "auth";

/// What svc-auth is built from.
pub struct Parts {
    /// Where its database is. A file stands in a data folder that this process has locked.
    pub home: Home,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids and secrets come from.
    pub ids: Arc<dyn Ids>,
    /// Who runs and stops its tasks.
    pub tasks: Tasks,
    /// Where its events are told.
    pub bus: Arc<dyn Bus>,
}

/// svc-auth, running.
pub struct Auth {
    /// Its rpc services, to be put behind the guard.
    pub routes: Routes,
    /// Leads from requests to spaces, for the guard.
    pub places: Arc<dyn Places>,
    /// What this process knows of rights, over the store itself; to be shared with everybody in the process.
    pub access: Access,
    /// Its outbox, for followers in this process. The relay to the bus runs already.
    pub journal: Arc<dyn Journal>,
    store: Store,
}

/// Opens the store and wires everything. Tasks run until `parts.tasks` stop; call [`Auth::close`] after that.
///
/// # Errors
/// Bad settings, by name; a database that cannot be opened, with a sentence.
pub async fn build(
    settings: &AuthSettings,
    access: &AccessSettings,
    parts: Parts,
) -> anyhow::Result<Auth> {
    let Parts {
        home,
        clock,
        ids,
        tasks,
        bus,
    } = parts;
    settings.check()?;

    // What is kept, and the tools.
    let store = Store::open(&home).await?;
    let key_time = settings.key_time();
    let keys = KeyRing::open(store.clone(), clock.clone(), ids.clone(), key_time).await?;
    let keys = Arc::new(keys);
    let secret = refresh_secret(&store, ids.as_ref()).await?;
    let mint = Mint::new(&secret, keys.clone(), ids.clone(), settings.access_time());
    let hashers = Arc::new(Hashers::new(settings, ids.clone())?);
    let throttle = Throttle::new(settings, clock.clone());

    // Rights: the truth, and this process's cache of it.
    let rights = Rights {
        store: store.clone(),
        keys: keys.clone(),
        clock: clock.clone(),
    };
    let rights = Arc::new(rights);
    let access = Access::new(Arc::new(Source::new(rights.clone())), clock.clone(), access);

    // The use cases.
    let sessions = Sessions {
        store: store.clone(),
        hashers,
        mint,
        throttle,
        access: access.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        settings: settings.clone(),
    };
    let sessions = Arc::new(sessions);
    let accounts = Accounts {
        store: store.clone(),
        sessions: sessions.clone(),
    };
    let people = People {
        store: store.clone(),
    };
    let spaces = Spaces {
        store: store.clone(),
        access: access.clone(),
        clock,
        ids,
    };
    let routes = grpc::routes(accounts, sessions.clone(), people, Arc::new(spaces), rights);

    // What runs by itself.
    let journal: Arc<dyn Journal> = Arc::new(AuthJournal(store.entities().clone()));
    access.keep(&tasks, bus.clone());
    relay(&tasks, journal.clone(), bus);
    upkeep::keep(&tasks, store.clone(), keys, sessions);

    Ok(Auth {
        routes,
        places: Arc::new(SpacesOnly),
        access,
        journal,
        store,
    })
}

/// Brings the tables of a database up to date, making it where it is missing. Returns the changes that were made.
///
/// # Errors
/// What the database says.
pub async fn migrate(home: &Home) -> Result<Vec<String>, StoreError> {
    home.migrate::<migrations::Migrations>().await
}

/// The changes that the tables of a schema lack.
///
/// # Errors
/// What the database says.
pub async fn missing(schema: &Schema) -> Result<Vec<String>, StoreError> {
    postgres::missing::<migrations::Migrations>(schema).await
}

impl Auth {
    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        store::change::head(self.store.entities().read())
            .await
            .is_ok()
    }

    /// Closes the database, after the tasks have stopped.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// What refresh tokens are derived with: made once, kept with the sessions.
async fn refresh_secret(store: &Store, ids: &dyn Ids) -> Result<[u8; 32], AuthError> {
    let mut fresh = [0; 32];
    ids.random(&mut fresh);
    store
        .write(async |write: &Write| Ok(store::key::secret(write, "refresh", fresh).await?))
        .await
}
