//! What a request wants: known from its path and method before anything else of it is looked at.

use std::collections::HashMap;

use guildhall_mesh::rules::{self, Rule, Rules};
use guildhall_proto::options::v1::Rate;
use guildhall_transcode::Transcoder;
use http::request::Parts;

use crate::{pages::Page, wire::Wire};

/// Opening an app: public, because a refresh cookie is enough for it.
pub(crate) const START: &str = "/guildhall.live.v1.StartService/Start";

/// The rpcs that clients may know of. What is for other services only is not among them, and so is not there for anybody outside.
#[derive(Debug)]
pub(crate) struct Rpcs {
    by_path: HashMap<String, Rpc>,
    /// Full name, with dots -> path.
    by_name: HashMap<String, String>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Rpc {
    /// `/guildhall.chat.v1.MessageService/PostMessage`.
    pub(crate) path: String,
    /// Who may call it, and how often.
    pub(crate) rule: Rule,
}

impl Rpcs {
    /// Picks the public ones.
    pub(crate) fn of(rules: &Rules) -> Self {
        let public = rules.iter().filter(|(_, rule)| !rule.is_internal());
        let rpc = |(path, rule): (&str, &Rule)| {
            let path = path.to_owned();
            let rule = rule.clone();
            (path.clone(), Rpc { path, rule })
        };
        let by_path: HashMap<_, _> = public.map(rpc).collect();
        let name = |path: &String| (path[1..].replace('/', "."), path.clone());
        let by_name = by_path.keys().map(name).collect();
        Self { by_path, by_name }
    }

    /// The names of their services, each once, in order.
    pub(crate) fn services(&self) -> Vec<String> {
        let names = self
            .by_path
            .keys()
            .filter_map(|path| path[1..].split('/').next());
        let sorted: std::collections::BTreeSet<_> = names.map(str::to_owned).collect();
        sorted.into_iter().collect()
    }

    fn named(&self, name: &str) -> Option<&Rpc> {
        self.by_path.get(self.by_name.get(name)?)
    }
}

/// What a request wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    /// An rpc of ours by gRPC or grpc-web.
    Rpc(&'a Rpc),
    /// An rpc of ours by REST.
    Rest(&'a Rpc),
    /// gRPC's own health and reflection.
    Tools,
    /// A WebSocket of the live feed.
    Live,
    /// A page or file of the hall's own site.
    Page(Page),
    /// Nothing that is here.
    Nothing,
}

impl<'a> Target<'a> {
    /// Finds it.
    pub(crate) fn of(request: &Parts, wire: Wire, rpcs: &'a Rpcs, rest: &Transcoder) -> Self {
        let path = request.uri.path();
        if wire != Wire::Http {
            return match rpcs.by_path.get(path) {
                Some(rpc) => Self::Rpc(rpc),
                None if is_tool(path) => Self::Tools,
                None => Self::Nothing,
            };
        }
        if path == "/live" {
            return Self::Live;
        }
        if let Some(page) = Page::at(path) {
            return Self::Page(page);
        }
        let rpc = rest
            .find(&request.method, path)
            .and_then(|rpc| rpcs.named(rpc.full_name()));
        rpc.map_or(Self::Nothing, Self::Rest)
    }

    /// The path of the rpc that is meant, by whichever wire.
    pub(crate) fn rpc_path(&self) -> Option<&'a str> {
        self.rpc().map(|rpc| rpc.path.as_str())
    }

    /// Whether it is an rpc that anybody may call.
    pub(crate) fn is_public_rpc(&self) -> bool {
        self.rpc()
            .is_some_and(|rpc| matches!(rpc.rule.who, rules::Caller::Public))
    }

    /// Whether people are counted one by one. Not where names and passwords are tried out: with a token of one's own for each try,
    /// nothing would be counted at all.
    pub(crate) fn counts_people(&self) -> bool {
        !self.is_public_rpc() || self.rpc_path() == Some(START)
    }

    /// Whether it is refused without an access token.
    pub(crate) fn needs_token(&self) -> bool {
        matches!(self, Self::Rpc(_) | Self::Rest(_))
            && !self.is_public_rpc()
            && !self.is_client_stream()
    }

    /// Whether the client sends as long as it likes.
    pub(crate) fn is_client_stream(&self) -> bool {
        match self {
            Self::Rpc(rpc) => rpc.rule.client_streaming,
            Self::Tools | Self::Live => true,
            Self::Rest(_) | Self::Page(_) | Self::Nothing => false,
        }
    }

    /// Which limit counts it.
    pub(crate) fn rate(&self) -> Rate {
        match self {
            Self::Live => Rate::Stream,
            Self::Rpc(_) | Self::Rest(_) | Self::Tools | Self::Page(_) | Self::Nothing => {
                self.rpc().map_or(Rate::Unspecified, |rpc| rpc.rule.rate)
            }
        }
    }

    fn rpc(&self) -> Option<&'a Rpc> {
        match self {
            Self::Rpc(rpc) | Self::Rest(rpc) => Some(rpc),
            Self::Tools | Self::Live | Self::Page(_) | Self::Nothing => None,
        }
    }
}

/// Whether a path leads to a service of gRPC itself that we offer.
fn is_tool(path: &str) -> bool {
    [
        "/grpc.health.v1.Health/",
        "/grpc.reflection.v1.ServerReflection/",
        "/grpc.reflection.v1alpha.ServerReflection/",
    ]
    .iter()
    .any(|service| path.starts_with(service))
}
