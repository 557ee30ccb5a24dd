//! Which processes a hall is made of.

use std::path::Path;

use super::node::Node;

/// The processes of a hall: each by its name and its roles.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    processes: Vec<(String, Vec<&'static str>)>,
    disk: Option<usize>,
}

impl Shape {
    /// Everything in one process; messages in its files.
    pub(crate) fn one() -> Self {
        Self {
            processes: vec![("hall-1".into(), vec![])],
            disk: None,
        }
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
        Self {
            processes: roles.into_iter().flat_map(named).collect(),
            disk: None,
        }
    }

    /// The same with a disk of so many MiB for the files of each process.
    pub(crate) fn on_disks(self, mib: usize) -> Self {
        let disk = Some(mib);
        Self { disk, ..self }
    }

    /// How large those disks are, in MiB.
    pub(super) fn disk(&self) -> Option<usize> {
        self.disk
    }

    /// The processes, not started yet.
    pub(super) fn nodes(&self, program: &Path, folder: &Path) -> anyhow::Result<Vec<Node>> {
        let nodes = self.processes.iter();
        nodes
            .map(|(name, roles)| Node::new(name, roles, program, folder))
            .collect()
    }
}
