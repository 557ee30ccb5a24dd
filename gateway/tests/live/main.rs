//! The live feed from outside: real sockets and streams over a real port, with a chat and an authority that tests turn.

mod authority;
mod chat;
mod clients;
mod delivery;
mod gossip;
mod hall;
mod protocol;
mod rights;
mod showing;
mod wires;
