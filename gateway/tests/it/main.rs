//! The gateway by its port, before services that answer from a table.

mod bounds;
mod connections;
mod cookies;
mod hidden;
mod live_mount;
mod names;
mod opening;
mod site;
mod sites;
mod support;
mod tls;
mod wires;
