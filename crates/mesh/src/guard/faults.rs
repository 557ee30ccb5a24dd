//! What people read where a field breaks a rule of the protos: one sentence a field, which says what is allowed.

use guildhall_kernel::FieldFault;
use prost_protovalidate::Violation;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value,
};

/// The option of a field that holds its rules.
const RULES: &str = "buf.validate.field";

/// Each pattern of the protos, and what it allows.
const PATTERNS: [(&str, &str); 8] = [
    (
        r"^[A-Za-z0-9][A-Za-z0-9._-]{1,49}$",
        "must have 2 to 50 characters: letters from a to z, digits, dot, dash and underscore, the first a letter or digit",
    ),
    (
        r"^[^\x00-\x1f\x7f-\x9f]*$",
        "must be one line, without control characters",
    ),
    (
        r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$",
        "must be one line with at least one visible character",
    ),
    (r"^[^\x00]*$", "must have no NUL character"),
    (
        r"^[^\x00]*[^\x00-\x20\x7f-\xa0][^\x00]*$",
        "must have at least one visible character, and no NUL character",
    ),
    (
        r"^[ -~]{1,128}$",
        "must have 1 to 128 characters, letters, digits or signs of ASCII or blanks; chosen by you: the same key again gets the \
         first result again",
    ),
    (
        r"^(me|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$",
        "must be the id of a user like 01939a4e-7a3c-7bb0-b1f6-2f2a4f7d9c11, or me",
    ),
    (
        r"^[A-Za-z0-9_-]{26}[AEIMQUYcgkosw048]$",
        "must be the id of a message, as the hall gave it",
    ),
];

/// What is wrong with a message of this kind: of each field the most telling of what it breaks, in the order they were found.
pub fn faults(message: &MessageDescriptor, violations: &[Violation]) -> Vec<FieldFault> {
    let mut faults: Vec<(u8, FieldFault)> = Vec::new();
    for violation in violations {
        let rank = rank(violation.rule_id());
        for fault in told(message, violation) {
            match faults.iter_mut().find(|(_, one)| one.field == fault.field) {
                Some(one) if rank < one.0 => *one = (rank, fault),
                Some(_) => {}
                None => faults.push((rank, fault)),
            }
        }
    }
    faults.into_iter().map(|(_, fault)| fault).collect()
}

/// The lower, the more it tells: an address that is far too long is that first, an empty one is first of all no address.
fn rank(rule: &str) -> u8 {
    match rule.trim_end_matches("_empty") {
        "string.max_len" => 0,
        "string.email" | "string.uuid" => 1,
        "string.min_len" => 2,
        _ => 3,
    }
}

fn told(message: &MessageDescriptor, violation: &Violation) -> Vec<FieldFault> {
    let path = violation.field_path();
    if let Some((within, oneof)) = oneof_at(message, &path) {
        let names: Vec<_> = oneof
            .fields()
            .map(|field| field.name().to_owned())
            .collect();
        let sentence = format!("{} is needed, one of them", names.join(" or "));
        let each = names.iter();
        return each
            .map(|name| FieldFault::new(format!("{within}{name}"), &sentence))
            .collect();
    }
    let sentence = violation.field_descriptor().and_then(|field| {
        let rules = rules_at(field, &violation.rule_path())?;
        sentence(violation.rule_id(), field, &rules)
    });
    // A rule that no proto of ours uses, or a text that the proto itself gives.
    let sentence = sentence.unwrap_or_else(|| match violation.message() {
        "" => "is not allowed here".to_owned(),
        text => text.to_owned(),
    });
    vec![FieldFault::new(path, sentence)]
}

/// The choice that a path leads to, and the path of its message, with a dot at the end unless it is the first.
fn oneof_at<'a>(message: &MessageDescriptor, path: &'a str) -> Option<(&'a str, OneofDescriptor)> {
    let at = path.rfind('.').map_or(0, |dot| dot + 1);
    let (within, name) = path.split_at(at);
    let mut message = message.clone();
    for step in within.split_terminator('.') {
        let step = step.split('[').next().unwrap_or_default();
        let Kind::Message(inner) = message.get_field_by_name(step)?.kind() else {
            return None;
        };
        message = inner;
    }
    let oneof = message.oneofs().find(|oneof| oneof.name() == name)?;
    Some((within, oneof))
}

/// The rules that hold the last step of a rule path: those of `string` for `repeated.items.string.pattern`.
fn rules_at(field: &FieldDescriptor, path: &str) -> Option<DynamicMessage> {
    let mut rules = rules_of(field)?;
    let (within, _) = path.rsplit_once('.')?;
    for step in within.split('.') {
        rules = rules.get_field_by_name(step)?.as_message()?.clone();
    }
    Some(rules)
}

fn rules_of(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let options = field.options();
    let rules = field.parent_pool().get_extension_by_name(RULES)?;
    options.get_extension(&rules).as_message().cloned()
}

/// What a rule allows. `rules` are those that it stands among.
fn sentence(rule: &str, field: &FieldDescriptor, rules: &DynamicMessage) -> Option<String> {
    let number = |name| number(rules, name);
    match rule.trim_end_matches("_empty") {
        "string.email" => Some("must be an e-mail address like name@example.org".to_owned()),
        "string.uuid" => Some("must be an id like 01939a4e-7a3c-7bb0-b1f6-2f2a4f7d9c11".to_owned()),
        "string.min_len" | "string.max_len" => how_many(
            number("min_len"),
            number("max_len"),
            "character",
            "characters",
        ),
        "string.pattern" => words(rules.get_field_by_name("pattern")?.as_str()?),
        "repeated.min_items" | "repeated.max_items" => {
            how_many(number("min_items"), number("max_items"), "entry", "entries")
        }
        "repeated.unique" => Some("must name nothing twice".to_owned()),
        "map.min_pairs" | "map.max_pairs" => {
            how_many(number("min_pairs"), number("max_pairs"), "entry", "entries")
        }
        "enum.defined_only" | "enum.in" | "enum.not_in" => names(field, rules),
        "uint32.lte" => number("lte").map(|most| format!("must be at most {most}")),
        _ => None,
    }
}

fn number(rules: &DynamicMessage, name: &str) -> Option<u64> {
    if !rules.has_field_by_name(name) {
        return None;
    }
    let value = rules.get_field_by_name(name)?;
    value.as_u64().or_else(|| value.as_u32().map(u64::from))
}

fn how_many(least: Option<u64>, most: Option<u64>, one: &str, more: &str) -> Option<String> {
    let unit = |count| if count == 1 { one } else { more };
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("must have {least} to {most} {}", unit(most))),
        (Some(least), None) => Some(format!("must have at least {least} {}", unit(least))),
        (None, Some(most)) => Some(format!("must have at most {most} {}", unit(most))),
        (None, None) => None,
    }
}

fn words(pattern: &str) -> Option<String> {
    let known = PATTERNS.iter().find(|(known, _)| *known == pattern);
    known.map(|(_, words)| (*words).to_owned())
}

/// The values of an enum that its rules allow. Zero says that nothing was chosen, so it is never named.
fn names(field: &FieldDescriptor, rules: &DynamicMessage) -> Option<String> {
    let Kind::Enum(values) = field.kind() else {
        return None;
    };
    let listed = |list: &str, number: i32| {
        let list = rules.get_field_by_name(list);
        let list = list.as_deref().and_then(Value::as_list).unwrap_or_default();
        (
            list.is_empty(),
            list.iter().any(|one| one.as_i32() == Some(number)),
        )
    };
    let allowed = |number| {
        let (any, named) = listed("in", number);
        number != 0 && (any || named) && !listed("not_in", number).1
    };
    let names: Vec<_> = values
        .values()
        .filter(|value| allowed(value.number()))
        .map(|value| value.name().to_owned())
        .collect();
    match names.as_slice() {
        [] => None,
        [only] => Some(format!("must be {only}")),
        _ => Some(format!("must be one of {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    /// Every rule that a field carries, with what it stands among: `repeated.items` are looked into.
    fn rules_in(rules: &DynamicMessage) -> Vec<(String, DynamicMessage)> {
        let mut found = Vec::new();
        for (kind, value) in rules.fields() {
            let Some(inner) = value.as_message() else {
                continue;
            };
            for (rule, value) in inner.fields() {
                match value.as_message() {
                    Some(items) if rule.name() == "items" => found.extend(rules_in(items)),
                    _ => found.push((format!("{}.{}", kind.name(), rule.name()), inner.clone())),
                }
            }
        }
        found
    }

    fn fields(pool: &DescriptorPool) -> Vec<FieldDescriptor> {
        let ours = pool.all_messages();
        ours.filter(|message| message.full_name().starts_with("guildhall."))
            .flat_map(|message| message.fields().collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn every_rule_of_the_protos_has_a_sentence_without_signs_of_patterns() {
        let mut seen = 0;
        for field in fields(guildhall_proto::pool()) {
            let Some(rules) = rules_of(&field) else {
                continue;
            };
            for (rule, among) in rules_in(&rules) {
                let told = sentence(&rule, &field, &among);

                let told = told.unwrap_or_else(|| panic!("{}: {rule}", field.full_name()));
                assert!(told.starts_with("must "), "{told}");
                assert!(!told.contains(['^', '$', '\\', '[']), "{told}");
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn no_words_are_kept_for_a_pattern_that_no_proto_has() {
        let fields = fields(guildhall_proto::pool());
        let rules = fields.iter().filter_map(rules_of);
        let used: Vec<_> = rules
            .flat_map(|rules| rules_in(&rules))
            .filter(|(rule, _)| rule == "string.pattern")
            .filter_map(|(_, among)| Some(among.get_field_by_name("pattern")?.as_str()?.to_owned()))
            .collect();

        for (pattern, _) in PATTERNS {
            assert!(used.iter().any(|used| used == pattern), "{pattern}");
        }
    }
}
