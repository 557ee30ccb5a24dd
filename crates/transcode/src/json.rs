//! JSON text -> a tree that borrows from the text, refusing what parsers disagree about.
//!
//! Refused: keys that stand twice in one object, nesting beyond a limit, text that is not UTF-8.

use std::{borrow::Cow, cell::RefCell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::problem::FieldError;

/// The name of the whole body in field errors.
pub(crate) const WHOLE: &str = "$";

/// Objects up to this size are searched for doubled keys one by one.
const FEW: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'t> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    String(Cow<'t, str>),
    Array(Vec<Json<'t>>),
    Object(Vec<(Cow<'t, str>, Json<'t>)>),
}

impl Json<'_> {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The tree of serde_json, for what is decoded there.
    pub(crate) fn to_serde(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::from(*value),
            Self::Unsigned(value) => Value::from(*value),
            Self::Signed(value) => Value::from(*value),
            Self::Float(value) => Value::from(*value),
            Self::String(value) => Value::from(value.as_ref()),
            Self::Array(items) => items.iter().map(Self::to_serde).collect(),
            Self::Object(entries) => entries
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_serde()))
                .collect(),
        }
    }
}

/// Parses a whole text. `depth` counts objects and lists within one another.
pub(crate) fn parse(text: &[u8], depth: usize) -> Result<Json<'_>, FieldError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| FieldError::new(WHOLE, format!("the body is not UTF-8: {error}")))?;
    let fault = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = Tree {
        left: depth,
        fault: &fault,
    }
    .deserialize(&mut deserializer)
    .and_then(|tree| deserializer.end().map(|()| tree));

    parsed.map_err(|error| match fault.take() {
        Some(Fault { path, description }) => FieldError::new(path, description),
        None => FieldError::new(WHOLE, format!("the body is not valid JSON: {error}")),
    })
}

/// What the text does wrong although it is JSON; serde's errors have no room for a path.
struct Fault {
    path: String,
    description: String,
}

#[derive(Clone, Copy)]
struct Tree<'f> {
    left: usize,
    fault: &'f RefCell<Option<Fault>>,
}

impl Tree<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(self.refuse(WHOLE, "it is nested too deeply")),
        }
    }

    fn refuse<E: Error>(self, path: impl Into<String>, description: &str) -> E {
        *self.fault.borrow_mut() = Some(Fault {
            path: path.into(),
            description: description.into(),
        });
        E::custom(description)
    }

    /// Puts the place where the fault was met before its path, on the way out.
    fn located(self, place: impl FnOnce() -> String) {
        if let Some(fault) = self.fault.borrow_mut().as_mut()
            && fault.path != WHOLE
        {
            let dot = if fault.path.starts_with('[') { "" } else { "." };
            fault.path = format!("{}{dot}{}", place(), fault.path);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        loop {
            match seq.next_element_seed(inner) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Json::Array(items)),
                Err(error) => {
                    self.located(|| format!("[{}]", items.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut entries: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        let mut many: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(key) = map.next_key_seed(Key)? {
            let twice = if entries.len() < FEW {
                entries.iter().any(|(other, _)| *other == key)
            } else {
                if many.is_empty() {
                    many.extend(entries.iter().map(|(key, _)| key.clone()));
                }
                !many.insert(key.clone())
            };
            if twice {
                return Err(self.refuse(key, "this key stands twice"));
            }
            match map.next_value_seed(inner) {
                Ok(value) => entries.push((key, value)),
                Err(error) => {
                    self.located(|| key.into_owned());
                    return Err(error);
                }
            }
        }
        Ok(Json::Object(entries))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_named_with_its_path() {
        for (text, field) in [
            (r#"{"a":1,"a":2}"#, "a"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"{"x":[{"y":1},{"y":1,"y":2}]}"#, "x[1].y"),
            (r#"[[{"y":1,"y":2}]]"#, "[0][0].y"),
        ] {
            assert_eq!(
                parse(text.as_bytes(), 64).unwrap_err().field,
                field,
                "{text}"
            );
        }
        let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\":0")).collect();
        let fine = format!("{{{}}}", many.join(","));
        let doubled = format!("{{{},\"k3\":1}}", many.join(","));
        assert!(parse(fine.as_bytes(), 64).is_ok());
        assert_eq!(parse(doubled.as_bytes(), 64).unwrap_err().field, "k3");
    }

    #[test]
    fn depth_is_counted_in_objects_and_lists() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));

        assert!(parse(nested(64).as_bytes(), 64).is_ok());
        let error = parse(nested(65).as_bytes(), 64).unwrap_err();
        assert_eq!(
            (error.field.as_str(), error.description.as_str()),
            ("$", "it is nested too deeply")
        );
        assert!(parse("[".repeat(1_000_000).as_bytes(), 64).is_err());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            &b""[..],
            b"{",
            b"{}x",
            b"\xff",
            b"[1,]",
            b"{'a':1}",
            b"\"\\ud800\"",
            b"1e999",
            b"\xef\xbb\xbf{}",
        ] {
            assert_eq!(parse(text, 64).unwrap_err().field, "$", "{text:?}");
        }
    }
}
