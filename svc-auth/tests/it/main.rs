//! Behaviour of svc-auth through gRPC over a local link, with the real stack of layers and a real database.

mod access;
mod accounts;
mod admin;
mod cookies;
mod members;
mod people;
mod refreshing;
mod sessions;
mod spaces;
mod support;
mod tokens;
