//! The options of the protos, read once: who may call each rpc, and how often.

use std::collections::HashMap;

use guildhall_kernel::Role;
use guildhall_proto::options::v1::{self as options, access::Who};
use prost::Message as _;
use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor, MethodDescriptor};

#[cfg(feature = "sabotage")]
pub(crate) mod fault;

/// The rules of every rpc of ours, by path: `/guildhall.chat.v1.MessageService/PostMessage`.
#[derive(Debug, Clone)]
pub struct Rules {
    by_path: HashMap<String, Rule>,
}

/// The rule of one rpc.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Who may call.
    pub who: Caller,
    /// Which rate limit counts it.
    pub rate: options::Rate,
    /// What a request is.
    pub input: MessageDescriptor,
    /// Whether the client sends a stream.
    pub client_streaming: bool,
    /// Whether the server answers with a stream.
    pub server_streaming: bool,
    /// Whether it may be repeated without a second effect.
    pub retry_safe: bool,
    /// The service's name without its package: "MessageService".
    pub service: String,
    /// The rpc's name: "PostMessage".
    pub name: String,
    /// Whether everybody counts as an owner of the place: a fault for proofs.
    #[cfg(feature = "sabotage")]
    pub open: bool,
}

/// Who may call an rpc.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Anyone.
    Public,
    /// Anyone signed in.
    SignedIn,
    /// Who has a role in the space that a field leads to.
    InSpace {
        /// The least role.
        at_least: Role,
        /// The field with the id.
        field: FieldDescriptor,
        /// What the id is of.
        place: options::Place,
    },
    /// Administrators of the hall.
    Admin,
    /// These services of ours.
    Service(Vec<String>),
}

/// An rpc's options are missing or make no sense.
#[derive(Debug, thiserror::Error)]
#[error("{method}: {wrong}")]
pub struct BadRule {
    method: String,
    wrong: String,
}

impl Rules {
    /// Reads the options of every service in the packages `guildhall.*`.
    ///
    /// # Errors
    /// [`BadRule`] for an rpc without the option, or with one that cannot be kept.
    pub fn of(pool: &DescriptorPool) -> Result<Self, BadRule> {
        let mut by_path = HashMap::new();
        for service in pool
            .services()
            .filter(|service| service.package_name().starts_with("guildhall."))
        {
            for method in service.methods() {
                let rule = rule(pool, &method).map_err(|wrong| BadRule {
                    method: method.full_name().to_owned(),
                    wrong,
                })?;
                let path = format!("/{}/{}", service.full_name(), method.name());
                #[cfg(feature = "sabotage")]
                let rule = fault::honoured(rule, &path);
                by_path.insert(path, rule);
            }
        }
        Ok(Self { by_path })
    }

    /// The rule of the rpc at a path.
    pub fn at(&self, path: &str) -> Option<&Rule> {
        self.by_path.get(path)
    }

    /// All rules with their paths, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.by_path
            .iter()
            .map(|(path, rule)| (path.as_str(), rule))
    }
}

impl Rule {
    /// Whether the rpc is for other services only, and so neither routed nor shown on the public port.
    pub fn is_internal(&self) -> bool {
        matches!(self.who, Caller::Service(_))
    }
}

fn rule(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<Rule, String> {
    let access = access(pool, method)?;
    let input = method.input();
    let who = match access.who.clone().ok_or("its access option says nothing")? {
        Who::Public(true) => Caller::Public,
        Who::SignedIn(true) => Caller::SignedIn,
        Who::Admin(true) => Caller::Admin,
        Who::Public(false) | Who::SignedIn(false) | Who::Admin(false) => {
            return Err("its access option says `false`".into());
        }
        Who::Service(from) if from.callers.is_empty() => {
            return Err("no service may call it".into());
        }
        Who::Service(from) => Caller::Service(from.callers),
        Who::InSpace(_) if method.is_client_streaming() => {
            return Err("a stream of requests names no one space".into());
        }
        Who::InSpace(rule) => Caller::InSpace {
            at_least: Role::from_number(rule.at_least).ok_or("it names no role")?,
            place: match rule.place() {
                options::Place::Unspecified => {
                    return Err("it says not what its field names".into());
                }
                place @ (options::Place::Space | options::Place::Channel) => place,
            },
            field: input
                .get_field_by_name(&rule.field)
                .ok_or_else(|| format!("its request has no field {}", rule.field))?,
        },
    };
    Ok(Rule {
        who,
        rate: access.rate(),
        client_streaming: method.is_client_streaming(),
        server_streaming: method.is_server_streaming(),
        retry_safe: is_retry_safe(method),
        service: method.parent_service().name().to_owned(),
        name: method.name().to_owned(),
        input,
        #[cfg(feature = "sabotage")]
        open: false,
    })
}

fn access(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<options::Access, String> {
    let extension = pool
        .get_extension_by_name("guildhall.options.v1.access")
        .ok_or("the descriptors lack guildhall.options.v1")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return Err("it lacks the option guildhall.options.v1.access".into());
    }
    let value = options.get_extension(&extension);
    let message = value
        .as_message()
        .ok_or("its access option is no message")?;
    options::Access::decode(message.encode_to_vec().as_slice()).map_err(|error| error.to_string())
}

fn is_retry_safe(method: &MethodDescriptor) -> bool {
    use prost_reflect::prost_types::method_options::IdempotencyLevel;
    let level = method
        .method_descriptor_proto()
        .options
        .as_ref()
        .map(prost_reflect::prost_types::MethodOptions::idempotency_level);
    matches!(
        level,
        Some(IdempotencyLevel::NoSideEffects | IdempotencyLevel::Idempotent)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_says_who_may_call_it() {
        let rules = Rules::of(guildhall_proto::pool()).expect("every rpc has its option");

        assert!(rules.iter().count() > 30);
        let post = rules
            .at("/guildhall.chat.v1.MessageService/PostMessage")
            .expect("is there");
        assert!(matches!(
            post.who,
            Caller::InSpace {
                at_least: Role::Guest,
                ..
            }
        ));
        assert!(post.retry_safe);
    }

    #[test]
    fn an_rpc_without_the_option_is_refused() {
        // Decoding into prost's own types loses every custom option: the mistake that must not start.
        let set =
            prost_reflect::prost_types::FileDescriptorSet::decode(guildhall_proto::DESCRIPTORS);
        let pool =
            DescriptorPool::from_file_descriptor_set(set.expect("decodes")).expect("still a pool");

        let refused = Rules::of(&pool).expect_err("refused").to_string();

        assert!(refused.contains("lacks the option"), "{refused}");
    }
}
