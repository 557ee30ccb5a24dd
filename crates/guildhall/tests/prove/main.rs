//! The long proofs, run on the real server by `./dev prove`.
//!
//! In reading order: `server` starts and kills it, `doors` are where clients go, `people` call it, `caller` posts, edits and deletes,
//! `clerk` makes spaces and channels, `reader` follows the live feed, `record` is what the callers were told, `judge` compares that with what is stored, and `load` is all
//! of it together. Then one file per proof; `cluster` is the hall of several processes, with the faults of all that it stands on. Each
//! proof is also run on a server with the guard taken away that it is about, and has to go red: see `sabotage`.
//!
//! `cargo test` leaves this target out (`test = false`), and its proofs are ignored until somebody asks for them by `--include-ignored`:
//! they need a second server, built with its guards made removable, and the minutes.
#![expect(clippy::print_stdout, reason = "a proof tells what it did")]
#![expect(
    clippy::disallowed_methods,
    reason = "a proof runs by the machine's clock and spawns its load"
)]

mod caller;
mod clerk;
mod cluster;
mod crash;
mod doors;
mod hostile;
mod judge;
mod load;
mod matrix;
mod people;
mod reader;
mod record;
mod seed;
mod server;
mod subscriber;
mod trace;
