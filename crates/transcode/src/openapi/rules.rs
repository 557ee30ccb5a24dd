//! `buf.validate` rules and `google.api.field_behavior` -> JSON Schema keywords.
//!
//! Read by name out of the options, so that no generated type is needed and a set without them is as good. Rules in CEL
//! have no counterpart in a schema and are passed over.

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, OneofDescriptor,
    Value as Proto,
};
use serde_json::{Map, Value, json};

use super::{numbers, strings};

/// Finds the rules of fields.
pub(super) struct Rules {
    field: Option<ExtensionDescriptor>,
    oneof: Option<ExtensionDescriptor>,
    behavior: Option<ExtensionDescriptor>,
}

/// The rules of one field, of the elements of a list, or of keys or values of a map.
#[derive(Clone, Default)]
pub(super) struct Rule {
    rules: Option<DynamicMessage>,
    /// Zero counts as absent, and absent is refused.
    nonzero: bool,
}

/// When rules are not looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ignore {
    Never,
    IfZero,
    Always,
}

impl Rules {
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        Self {
            field: pool.get_extension_by_name("buf.validate.field"),
            oneof: pool.get_extension_by_name("buf.validate.oneof"),
            behavior: pool.get_extension_by_name("google.api.field_behavior"),
        }
    }

    pub(super) fn get(&self, field: &FieldDescriptor) -> Rule {
        let Some(extension) = &self.field else {
            return Rule::default();
        };
        let options = field.options();
        if !options.has_extension(extension) {
            return Rule::default();
        }
        Rule {
            rules: options.get_extension(extension).as_message().cloned(),
            nonzero: false,
        }
    }

    /// Whether one member of the oneof must be there.
    pub(super) fn oneof_required(&self, oneof: &OneofDescriptor) -> bool {
        let Some(extension) = &self.oneof else {
            return false;
        };
        let options = oneof.options();
        let rules = options.get_extension(extension);
        rules
            .as_message()
            .is_some_and(|rules| flag(rules, "required"))
    }

    /// Whether `google.api.field_behavior` holds this name.
    pub(super) fn behaves(&self, field: &FieldDescriptor, name: &str) -> bool {
        let Some(extension) = &self.behavior else {
            return false;
        };
        let Kind::Enum(desc) = extension.kind() else {
            return false;
        };
        let Some(wanted) = desc.get_value_by_name(name) else {
            return false;
        };
        let options = field.options();
        let values = options.get_extension(extension);
        let values = values.as_list().unwrap_or_default();
        values
            .iter()
            .any(|value| value.as_enum_number() == Some(wanted.number()))
    }
}

impl Rule {
    pub(super) fn ignore(&self) -> Ignore {
        let Some(rules) = &self.rules else {
            return Ignore::Never;
        };
        match rules
            .get_field_by_name("ignore")
            .and_then(|value| value.as_enum_number())
        {
            Some(1) => Ignore::IfZero,
            Some(3) => Ignore::Always,
            _ => Ignore::Never,
        }
    }

    /// Whether the field must be there; without presence, whether it must not be zero.
    pub(super) fn required(&self) -> bool {
        self.ignore() == Ignore::Never
            && self
                .rules
                .as_ref()
                .is_some_and(|rules| flag(rules, "required"))
    }

    /// The rules of list elements (`items`), map keys (`keys`) or map values (`values`).
    pub(super) fn inner(&self, name: &str) -> Self {
        let container = if name == "items" { "repeated" } else { "map" };
        let rules = self
            .typed()
            .filter(|(kind, _)| kind == container)
            .and_then(|(_, typed)| {
                typed
                    .has_field_by_name(name)
                    .then(|| typed.get_field_by_name(name))?
                    .and_then(|value| value.as_message().cloned())
            });
        Self {
            rules,
            nonzero: false,
        }
    }

    /// Adds the keywords that say the same.
    pub(super) fn apply(&self, schema: &mut Map<String, Value>) {
        if self.ignore() == Ignore::Always {
            return;
        }
        let Some((kind, typed)) = self.typed() else {
            return;
        };
        match kind.as_str() {
            "string" => strings::apply(&typed, schema),
            "bytes" => bytes(&typed, schema),
            "bool" => {
                if let Some(value) = get(&typed, "const") {
                    schema.insert("const".into(), plain(&value));
                }
            }
            "repeated" => {
                copy(
                    &typed,
                    schema,
                    &[("min_items", "minItems"), ("max_items", "maxItems")],
                );
                if flag(&typed, "unique") {
                    schema.insert("uniqueItems".into(), true.into());
                }
            }
            "map" => copy(
                &typed,
                schema,
                &[
                    ("min_pairs", "minProperties"),
                    ("max_pairs", "maxProperties"),
                ],
            ),
            "any" | "duration" | "field_mask" | "timestamp" | "enum" => {}
            _ if schema.get("type") == Some(&json!("string")) => {
                numbers::apply_wide(&typed, schema);
            }
            _ => numbers::apply(&typed, schema),
        }
    }

    pub(super) fn without_zero(self) -> Self {
        Self {
            nonzero: true,
            ..self
        }
    }

    /// Whether an enum takes declared numbers only.
    pub(super) fn only_declared(&self) -> bool {
        let typed = self.typed().filter(|(kind, _)| kind == "enum");
        typed.is_some_and(|(_, typed)| {
            flag(&typed, "defined_only")
                || get(&typed, "in").is_some()
                || get(&typed, "const").is_some()
        })
    }

    /// Whether an enum takes this number.
    pub(super) fn allows(&self, number: i32) -> bool {
        match self.ignore() {
            Ignore::Always => return true,
            Ignore::IfZero if number == 0 => return true,
            Ignore::IfZero | Ignore::Never if number == 0 && self.nonzero => return false,
            Ignore::IfZero | Ignore::Never => {}
        }
        let Some((_, typed)) = self.typed().filter(|(kind, _)| kind == "enum") else {
            return true;
        };
        let numbers = |name: &str| -> Option<Vec<i32>> {
            let value = get(&typed, name)?;
            let list = value.as_list()?;
            (!list.is_empty()).then(|| {
                list.iter()
                    .filter_map(|item| item.as_i32().or(item.as_enum_number()))
                    .collect()
            })
        };
        get(&typed, "const").is_none_or(|value| value.as_i32() == Some(number))
            && numbers("in").is_none_or(|allowed| allowed.contains(&number))
            && numbers("not_in").is_none_or(|refused| !refused.contains(&number))
    }

    /// Whether the zero value passes. If not, a field without presence cannot be left out.
    pub(super) fn zero_passes(&self) -> bool {
        if self.ignore() != Ignore::Never {
            return true;
        }
        let Some((kind, typed)) = self.typed() else {
            return true;
        };
        let at_least_one = |names: &[&str]| {
            names
                .iter()
                .any(|name| get(&typed, name).and_then(|value| value.as_u64()) > Some(0))
        };
        match kind.as_str() {
            "string" => strings::empty_passes(&typed),
            "bytes" => {
                !at_least_one(&["len", "min_len"])
                    && get(&typed, "const")
                        .is_none_or(|value| value.as_bytes().is_some_and(bytes::Bytes::is_empty))
                    && ["prefix", "suffix", "contains", "ip", "ipv4", "ipv6", "uuid"]
                        .iter()
                        .all(|name| get(&typed, name).is_none())
            }
            "bool" => get(&typed, "const").is_none_or(|value| value.as_bool() == Some(false)),
            "repeated" => !at_least_one(&["min_items"]),
            "map" => !at_least_one(&["min_pairs"]),
            "enum" => self.allows(0),
            "any" | "duration" | "field_mask" | "timestamp" => true,
            _ => numbers::zero_passes(&typed),
        }
    }

    /// The rules for the kind of the field, and the name of the kind.
    fn typed(&self) -> Option<(String, DynamicMessage)> {
        let rules = self.rules.as_ref()?;
        let oneof = rules.descriptor_oneof("type")?;
        let field = oneof.fields().find(|field| rules.has_field(field))?;
        let typed = rules.get_field(&field).as_message()?.clone();
        Some((field.name().to_owned(), typed))
    }
}

/// Finds a oneof by name.
trait OneofOf {
    fn descriptor_oneof(&self, name: &str) -> Option<OneofDescriptor>;
}

impl OneofOf for DynamicMessage {
    fn descriptor_oneof(&self, name: &str) -> Option<OneofDescriptor> {
        let desc = prost_reflect::ReflectMessage::descriptor(self);
        desc.oneofs().find(|oneof| oneof.name() == name)
    }
}

/// The value of a rule that is set.
pub(super) fn get(rules: &DynamicMessage, name: &str) -> Option<Proto> {
    if !rules.has_field_by_name(name) {
        return None;
    }
    rules
        .get_field_by_name(name)
        .map(std::borrow::Cow::into_owned)
}

pub(super) fn flag(rules: &DynamicMessage, name: &str) -> bool {
    get(rules, name).and_then(|value| value.as_bool()) == Some(true)
}

/// Copies rules that have a keyword of the same meaning.
pub(super) fn copy(
    rules: &DynamicMessage,
    schema: &mut Map<String, Value>,
    names: &[(&str, &str)],
) {
    for (rule, keyword) in names {
        if let Some(value) = get(rules, rule) {
            schema.insert((*keyword).into(), plain(&value));
        }
    }
}

/// A rule's value as JSON; 64-bit numbers stay numbers, for they are bounds, not contents.
pub(super) fn plain(value: &Proto) -> Value {
    match value {
        Proto::Bool(value) => Value::from(*value),
        Proto::I32(value) | Proto::EnumNumber(value) => Value::from(*value),
        Proto::I64(value) => Value::from(*value),
        Proto::U32(value) => Value::from(*value),
        Proto::U64(value) => Value::from(*value),
        // Printing the shorter form first keeps 0.1 from becoming 0.10000000149.
        Proto::F32(value) => value
            .to_string()
            .parse::<f64>()
            .map_or(Value::Null, Value::from),
        Proto::F64(value) => Value::from(*value),
        Proto::String(value) => Value::from(value.as_str()),
        Proto::List(items) => items.iter().map(plain).collect(),
        Proto::Bytes(_) | Proto::Message(_) | Proto::Map(_) => Value::Null,
    }
}

/// Adds a condition without losing one that stands there already.
pub(super) fn also(schema: &mut Map<String, Value>, condition: Value) {
    match schema.entry("allOf").or_insert_with(|| json!([])) {
        Value::Array(all) => all.push(condition),
        other => *other = json!([condition]),
    }
}

fn bytes(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    let length = |name: &str| get(rules, name).and_then(|value| value.as_u64());
    let (exact, least, most) = (length("len"), length("min_len"), length("max_len"));
    // Base64 without padding at least, with padding at most.
    if let Some(least) = exact.or(least) {
        schema.insert("minLength".into(), (least * 4).div_ceil(3).into());
    }
    if let Some(most) = exact.or(most) {
        schema.insert("maxLength".into(), (most.div_ceil(3) * 4).into());
    }
}

/// `const`, `in`, `not_in`.
pub(super) fn sets(
    rules: &DynamicMessage,
    schema: &mut Map<String, Value>,
    print: impl Fn(&Proto) -> Value,
) {
    if let Some(value) = get(rules, "const") {
        schema.insert("const".into(), print(&value));
    }
    if let Some(value) = get(rules, "in") {
        schema.insert("enum".into(), print(&value));
    }
    if let Some(value) = get(rules, "not_in") {
        also(schema, json!({"not": {"enum": print(&value)}}));
    }
}
