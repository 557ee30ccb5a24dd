//! Packets that are lost by the kernel, in a network of the proofs' own: what a proxy cannot show are connections that are never made,
//! and timers of TCP.
//!
//! `./dev prove --long`, run by root, gives the proofs such a network, and says so by GUILDHALL_PROVE_NETWORK. Without it proxies fall
//! silent instead.

use std::process::Command;

use guildhall_testkit::chaos::Way;

const TABLE: &str = "guildhall_prove";

/// Packets to and from some ports that are lost, until this is dropped.
#[derive(Debug)]
pub(super) struct Lost(());

impl Lost {
    /// Loses what goes that way through proxies at these addresses; `None` in a network that is not ours to break.
    pub(super) fn at(addresses: &[String], way: Way) -> anyhow::Result<Option<Self>> {
        if std::env::var_os("GUILDHALL_PROVE_NETWORK").is_none() {
            return Ok(None);
        }
        let ports = addresses.iter().filter_map(|at| at.rsplit_once(':'));
        let ports: Vec<_> = ports.map(|(_, port)| port).collect();
        let ports = ports.join(", ");
        let (there, back) = (way != Way::Back, way != Way::There);
        let rule = |lost: bool, which: &str| {
            let rule = format!("tcp {which} {{ {ports} }} drop\n");
            if lost { rule } else { String::new() }
        };
        let rules = format!(
            "table inet {TABLE} {{\nchain input {{\ntype filter hook input priority 0;\n{}{}}}\n}}\n",
            rule(there, "dport"),
            rule(back, "sport"),
        );
        let done = Command::new("nft").arg(rules).output()?;
        let said = String::from_utf8_lossy(&done.stderr);
        anyhow::ensure!(done.status.success(), "nft: {said}");
        Ok(Some(Self(())))
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        let delete = ["delete", "table", "inet", TABLE];
        // With the network, at the latest.
        let _done = Command::new("nft").args(delete).output();
    }
}
