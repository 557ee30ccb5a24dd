//! A whole hall, from outside: the real binary, real sockets.
//!
//! [`stories`] are what people do; they know a hall by its addresses only, so that they can be told to any number of processes.
//! [`one_process`] tells them to `guildhall serve`, [`on_postgres`] to the same with its entities in PostgreSQL,
//! [`on_cql`] to one with nothing in files: PostgreSQL, Cassandra and NATS. [`process`] is how that process begins and ends, [`words`] what the other words
//! of the command do, [`surface`] what holds for every call. [`support`] is what all of them stand on.
#![expect(
    unreachable_pub,
    reason = "a test binary shows nothing to other crates: here `pub` says what other files use"
)]

mod certs;
mod clusters;
mod on_cql;
mod on_postgres;
mod one_process;
mod process;
mod stories;
mod support;
mod surface;
mod words;
