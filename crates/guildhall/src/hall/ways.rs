//! The ways from service to service: a call within the process where both are in it, a link over the network where not.

use std::{net::SocketAddr, sync::Arc};

use guildhall_kernel::{Clock, Ids};
use guildhall_mesh::{
    Link, Tasks,
    config::BadSettings,
    guard::Guarded,
    link::{Identity, LinkSettings, RemoteParts, Served, serve_links},
    rules::Rules,
};

use super::parts::Common;
use crate::roles::{Role, Roles};

/// The services of this process, and the ways to those elsewhere.
pub(super) struct Ways {
    settings: LinkSettings,
    // There where a service is called over the network, or calls.
    identity: Option<Identity>,
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    tasks: Tasks,
    servers: Vec<(Role, Guarded)>,
    remote: Vec<((Role, Role), Link)>,
}

impl Ways {
    /// No service yet. `tasks` keep the connections to other processes.
    pub(super) fn new(
        settings: &LinkSettings,
        roles: &Roles,
        common: &Common,
        tasks: &Tasks,
    ) -> Result<Self, BadSettings> {
        let Common {
            rules, clock, ids, ..
        } = common;
        let is_needed = roles.elsewhere().next().is_some() || !settings.listen.is_empty();
        let identity = is_needed.then(|| settings.identity(clock.clone(), tasks));
        Ok(Self {
            settings: settings.clone(),
            identity: identity.transpose()?,
            rules: rules.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            tasks: tasks.clone(),
            servers: Vec::new(),
            remote: Vec::new(),
        })
    }

    /// A service of this process, behind its guard.
    pub(super) fn add(&mut self, role: Role, server: Guarded) {
        self.servers.push((role, server));
    }

    /// The way from one service to another. Where both are in this process, the other one was added before.
    pub(super) fn between(&mut self, from: Role, to: Role) -> Result<Link, BadSettings> {
        if !from.may_call(to) {
            let wrong = format!("{} may not call {}", from.name(), to.name());
            return Err(BadSettings::new("roles", wrong));
        }
        if let Some((_, server)) = self.servers.iter().find(|(role, _)| *role == to) {
            return Ok(Link::local(from.name(), server.clone()));
        }
        // One set of connections, however often the way is asked for.
        if let Some((_, link)) = self.remote.iter().find(|(way, _)| *way == (from, to)) {
            return Ok(link.clone());
        }
        let Some(identity) = self.identity.clone() else {
            let key = format!("links.{}", to.name());
            let wrong = format!("{} calls {}, which is not here", from.name(), to.name());
            return Err(BadSettings::new(&key, wrong));
        };
        let parts = RemoteParts {
            identity,
            rules: self.rules.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tasks: self.tasks.clone(),
        };
        let link = Link::remote(from.name(), to.name(), &self.settings, parts)?;
        self.remote.push(((from, to), link.clone()));
        Ok(link)
    }

    /// Lets other processes call the services of this one, until `tasks` stop. Returns where, if the settings say so.
    pub(super) async fn serve(&self, tasks: &Tasks) -> Result<Option<SocketAddr>, BadSettings> {
        let Some(identity) = self.identity.clone() else {
            return Ok(None);
        };
        // A gateway is called by nobody, whatever a file says that all processes read.
        if self.settings.listen.is_empty() || self.servers.is_empty() {
            return Ok(None);
        }
        let served = self.servers.iter().map(|(role, server)| Served {
            name: role.name(),
            callers: role.callers(),
            server: server.clone(),
        });
        let served = served.collect();
        let bound = serve_links(&self.settings, identity, served, self.clock.clone(), tasks).await;
        bound.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::{SystemClock, SystemIds};

    use super::*;
    use crate::settings::Settings;

    #[tokio::test]
    async fn nobody_is_given_a_way_that_the_architecture_does_not_name() {
        let tasks = Tasks::new();
        let settings = Settings::default();
        let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(SystemIds));
        let common = Common::new(&settings, clock, ids, &tasks).await;
        let common = common.expect("nothing is needed for it");
        let roles = Roles::parse(Roles::EVERY).expect("all of them");
        let mut ways = Ways::new(&settings.links, &roles, &common, &tasks).expect("no files");

        for from in Role::ALL {
            for to in Role::ALL {
                let refused = ways.between(from, to).expect_err("no service was added");
                let told = refused.to_string();
                assert_eq!(told.contains("may not call"), !from.may_call(to), "{told}");
            }
        }
    }
}
