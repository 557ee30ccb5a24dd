//! Links between processes, over real sockets: each process here has a certificate, tasks and a port of its own.

mod balance;
mod echo;
mod failing;
mod hop;
mod knock;
mod proxy;
mod serving;
mod town;
mod trust;
