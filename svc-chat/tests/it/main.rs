//! Chat as its callers see it: through gRPC over a local link, with the real layers before it and real files below.

mod catch_up;
mod channels;
mod direct;
mod feed;
mod listing;
mod messages;
mod reads;
mod refusals;
mod spaces;
mod support;
