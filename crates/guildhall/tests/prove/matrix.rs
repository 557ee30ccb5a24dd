//! Nobody reads or changes what is not theirs: every rpc, by every caller, about their own, somebody else's and nothing, on every wire,
//! held against a table that was written by hand.
//!
//! In reading order: `expected.txt` is that table, `table` reads it, `who` are its columns; `world` has the people and places, which
//! come in by the `door`; `request` builds requests, `wires` are the ways to call, `caller` makes calls on them, `framing` has their
//! bytes, `stream` reads what does not end, `answer` is what they have in common; `run` compares, `live` listens to what a reader hears,
//! `rules` are the rules of data.

use std::collections::BTreeSet;

use anyhow::Context as _;
use guildhall_mesh::rules::Caller;
use prost_reflect::MethodDescriptor;

use crate::server::Server;

mod answer;
mod caller;
mod door;
mod framing;
mod live;
mod request;
mod rules;
mod run;
mod stream;
mod table;
mod who;
mod wires;
mod world;

use run::Run;
use table::Row;
use wires::Wire;
use world::World;

/// Rpcs whose rule at the door may be missing without the matrix seeing it, each with the reason. Any other is a hole in the matrix.
const GUARDED_TWICE: [(&str, &str); 2] = [
    (
        "/guildhall.auth.v1.SpaceService/UpdateMember",
        "anyone may step down: the door asks for a member, whose role counts where the change is made",
    ),
    (
        "/guildhall.live.v1.LiveService/Watch",
        "a stream verifies its token itself, for as long as it lasts",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn nobody_reads_or_changes_what_is_not_theirs() -> anyhow::Result<()> {
    let table = table::rows()?;
    let rpcs = rpcs();
    let known: BTreeSet<_> = rpcs.iter().map(name).collect();
    let listed: BTreeSet<_> = table.keys().cloned().collect();
    let missing: Vec<_> = known.symmetric_difference(&listed).collect();
    assert!(
        missing.is_empty(),
        "expected.txt and the protos do not name the same rpcs: {missing:#?}"
    );

    let mut server = Server::new()?;
    server.start().await?;
    let world = World::on(&server).await?;
    let mut run = Run::on(&world).await?;

    let before = world.snapshot().await?;
    for rpc in &rpcs {
        match &table[&name(rpc)] {
            Row::Internal => run.internal(rpc).await?,
            row @ Row::Public { .. } => {
                for wire in wires::wires(rpc)? {
                    run.denied(rpc, row, &wire).await?;
                }
            }
        }
    }
    let denied = run.calls;
    let after = world.snapshot().await?;
    if before != after {
        run.wrong.push(format!(
            "calls that were refused changed\n{before}\ninto\n{after}"
        ));
    }

    for rpc in &rpcs {
        if let row @ Row::Public { .. } = &table[&name(rpc)] {
            for wire in wires::wires(rpc)? {
                run.allowed(rpc, row, &wire).await?;
            }
        }
    }
    run.wrong.extend(live::judge(&world).await?);
    run.wrong.extend(rules::judge(&world).await?);
    println!(
        "{} rpcs, {denied} calls refused, {} granted",
        rpcs.len(),
        run.calls - denied
    );
    server.stop().await?;
    assert!(run.wrong.is_empty(), "{}", run.wrong.join("\n"));
    Ok(())
}

/// Without the rule of any one rpc the proof has to go red, but for those that are guarded twice: where a rule asks for a role, and
/// where it asks for somebody who is signed in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn the_matrix_is_red_without_any_one_rule() -> anyhow::Result<()> {
    let table = table::rows()?;
    let rules = guildhall_mesh::rules::Rules::of(guildhall_proto::pool())?;
    let mut green = Vec::new();
    let (mut of_roles, mut of_tokens) = (0, 0);
    for rpc in rpcs() {
        let path = format!("/{}", name(&rpc));
        let rule = rules.at(&path).context("a rule")?;
        match rule.who {
            Caller::InSpace { .. } => of_roles += 1,
            Caller::SignedIn => of_tokens += 1,
            Caller::Public | Caller::Admin | Caller::Service(_) => continue,
        }
        // A name for as long as the process: there are three dozen.
        let fault: &'static str = format!("open:{path}").leak();
        let mut server = Server::without(fault)?;
        server.start().await?;
        let world = World::on(&server).await?;
        let mut run = Run::on(&world).await?;
        run.denied(&rpc, &table[&name(&rpc)], &Wire::Grpc).await?;
        if run.wrong.is_empty() {
            green.push(path);
        }
        server.kill().await?;
    }
    println!("taken away one after the other: {of_roles} rules of roles, {of_tokens} of tokens");
    assert!(
        of_roles > 15 && of_tokens > 10,
        "only {of_roles} and {of_tokens} rules"
    );
    green.sort();
    assert_eq!(
        green,
        GUARDED_TWICE.map(|(rpc, _)| rpc),
        "other rules than these can be missing without the matrix seeing it"
    );
    Ok(())
}

/// Every rpc of ours.
fn rpcs() -> Vec<MethodDescriptor> {
    let services = guildhall_proto::pool().services();
    let ours = services.filter(|service| service.package_name().starts_with("guildhall."));
    ours.flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect()
}

/// "guildhall.chat.v1.MessageService/PostMessage"
fn name(rpc: &MethodDescriptor) -> String {
    format!("{}/{}", rpc.parent_service().full_name(), rpc.name())
}
