//! Which processes a hall is made of.

use std::path::Path;

use super::node::Node;

/// The processes of a hall: each by its name and its roles.
#[derive(Debug, Clone)]
pub(crate) struct Shape(Vec<(String, Vec<&'static str>)>);

impl Shape {
    /// Everything in one process; messages in its files.
    pub(crate) fn one() -> Self {
        Self(vec![("hall-1".into(), vec![])])
    }

    /// A process for each role.
    pub(crate) fn three() -> Self {
        Self::each(1)
    }

    /// Two processes for each role.
    pub(crate) fn six() -> Self {
        Self::each(2)
    }

    fn each(count: usize) -> Self {
        // Those that are called before those that call them, as one would start them.
        let roles = ["auth", "chat", "gateway"];
        let named = |role| (1..=count).map(move |n| (format!("{role}-{n}"), vec![role]));
        Self(roles.into_iter().flat_map(named).collect())
    }

    /// The processes, not started yet.
    pub(super) fn nodes(&self, program: &Path, folder: &Path) -> anyhow::Result<Vec<Node>> {
        let nodes = self.0.iter();
        nodes
            .map(|(name, roles)| Node::new(name, roles, program, folder))
            .collect()
    }
}
