//! Path templates of `google.api.http`: parsing, printing, and the order of "more specific".
//!
//! ```text
//! template = "/" segments [ ":" verb ]
//! segments = segment { "/" segment }
//! segment  = "*" | "**" | literal | "{" field { "." field } [ "=" segments ] "}"
//! ```

use std::fmt;

/// One place of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Any one segment, not empty.
    One,
    /// All segments that are left, also none. Last place only.
    Rest,
}

/// A field that takes its value from the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Dotted path of proto names in the request message.
    pub(crate) field: String,
    /// First of its segments.
    pub(crate) start: usize,
    /// One past the last of its segments.
    pub(crate) end: usize,
}

/// A parsed path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) verb: Option<String>,
}

impl Template {
    /// Reads a template. The error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix('/').ok_or("it must begin with `/`")?;
        let mut parser = Parser {
            rest: path,
            segments: Vec::new(),
            variables: Vec::new(),
        };
        parser.segments(None)?;
        let verb = parser.verb()?;
        let Parser {
            segments,
            variables,
            ..
        } = parser;

        let rest = segments
            .iter()
            .position(|segment| *segment == Segment::Rest);
        if rest.is_some_and(|at| at + 1 != segments.len()) {
            return Err("`**` may only stand last".into());
        }
        for (index, variable) in variables.iter().enumerate() {
            if variables[..index]
                .iter()
                .any(|other| other.field == variable.field)
            {
                return Err(format!("`{}` is bound twice", variable.field));
            }
        }
        Ok(Self {
            segments,
            variables,
            verb,
        })
    }

    /// Whether the path can be longer than the template.
    pub(crate) fn ends_open(&self) -> bool {
        self.segments.last() == Some(&Segment::Rest)
    }

    /// Whether the variable may hold several segments, so that `%2F` in it must stay as it is.
    pub(crate) fn spans(&self, variable: &Variable) -> bool {
        variable.end - variable.start != 1 || self.segments[variable.start] == Segment::Rest
    }

    /// The segments without a closing `**`.
    fn fixed(&self) -> &[Segment] {
        let end = self.segments.len() - usize::from(self.ends_open());
        &self.segments[..end]
    }

    /// How many segments a path has at least. A verb hangs on a segment, so `**` cannot be none before it.
    fn least(&self) -> usize {
        self.fixed().len() + usize::from(self.ends_open() && self.verb.is_some())
    }

    /// Whether the last segment of a path of `len` segments may be any text, a verb of others included.
    fn last_is_wild(&self, len: usize) -> bool {
        self.fixed().len() < len || self.fixed().last() == Some(&Segment::One)
    }

    /// Whether some path matches both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        if self.verb.is_some() && other.verb.is_some() && self.verb != other.verb {
            return false;
        }
        let (ours, theirs) = (self.fixed(), other.fixed());
        // The longest path that both may match is the one with the fewest conditions.
        let len = match (self.ends_open(), other.ends_open()) {
            (false, false) if ours.len() != theirs.len() => return false,
            (false, _) => ours.len(),
            (true, false) => theirs.len(),
            (true, true) => ours.len().max(theirs.len()) + 1,
        };
        if len < self.least() || len < other.least() {
            return false;
        }
        let same_verb = self.verb == other.verb;
        let plain = if self.verb.is_none() { self } else { other };
        if !same_verb && !plain.last_is_wild(len) {
            return false;
        }
        // Under different verbs the two see different texts in the last place.
        let compared = if same_verb { len } else { len - 1 };
        ours.iter()
            .zip(theirs)
            .take(compared)
            .all(|(a, b)| match (a, b) {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                _ => true,
            })
    }

    /// Whether every path that matches this one matches the other one too.
    pub(crate) fn within(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.fixed(), other.fixed());
        let lengths = if other.ends_open() {
            ours.len() >= theirs.len() && self.least() >= other.least()
        } else {
            ours.len() == theirs.len() && !self.ends_open()
        };
        let verbs =
            self.verb == other.verb || (other.verb.is_none() && other.last_is_wild(self.least()));
        lengths
            && verbs
            && ours
                .iter()
                .zip(theirs)
                .all(|(a, b)| *b == Segment::One || a == b)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        while at < self.segments.len() {
            f.write_str("/")?;
            let Some(variable) = self.variables.iter().find(|variable| variable.start == at) else {
                write!(f, "{}", self.segments[at])?;
                at += 1;
                continue;
            };
            let inner = &self.segments[variable.start..variable.end];
            write!(f, "{{{}", variable.field)?;
            if *inner != [Segment::One] {
                for (index, segment) in inner.iter().enumerate() {
                    f.write_str(if index == 0 { "=" } else { "/" })?;
                    write!(f, "{segment}")?;
                }
            }
            f.write_str("}")?;
            at = variable.end;
        }
        match &self.verb {
            Some(verb) => write!(f, ":{verb}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal(text) => text,
            Self::One => "*",
            Self::Rest => "**",
        })
    }
}

struct Parser<'t> {
    rest: &'t str,
    segments: Vec<Segment>,
    variables: Vec<Variable>,
}

impl<'t> Parser<'t> {
    /// Reads segments up to the end, a verb, or the brace that closes `inside`.
    fn segments(&mut self, inside: Option<&str>) -> Result<(), String> {
        loop {
            if self.rest.starts_with('{') {
                if let Some(outer) = inside {
                    return Err(format!("`{outer}` holds another variable"));
                }
                self.variable()?;
            } else {
                let text = self.until(&['/', ':', '{', '}', '=']);
                self.segments.push(segment(text)?);
            }
            match self.rest.strip_prefix('/') {
                Some(rest) => self.rest = rest,
                None => return Ok(()),
            }
        }
    }

    fn variable(&mut self) -> Result<(), String> {
        self.rest = &self.rest[1..];
        let field = self.until(&['=', '}', '/', ':', '{']);
        if !field.split('.').all(is_identifier) {
            return Err(format!("`{field}` is not the path of a field"));
        }
        let start = self.segments.len();
        if let Some(rest) = self.rest.strip_prefix('=') {
            self.rest = rest;
            self.segments(Some(field))?;
        } else {
            self.segments.push(Segment::One);
        }
        self.rest = self
            .rest
            .strip_prefix('}')
            .ok_or_else(|| format!("the brace of `{field}` is not closed"))?;
        self.variables.push(Variable {
            field: field.into(),
            start,
            end: self.segments.len(),
        });
        Ok(())
    }

    fn verb(&mut self) -> Result<Option<String>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        match self.rest.strip_prefix(':') {
            Some(verb) if is_literal(verb) => Ok(Some(verb.into())),
            _ => Err(format!("`{}` is not understood", self.rest)),
        }
    }

    fn until(&mut self, stops: &[char]) -> &'t str {
        let end = self.rest.find(stops).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    match text {
        "*" => Ok(Segment::One),
        "**" => Ok(Segment::Rest),
        "" => Err("a segment is empty".into()),
        literal if is_literal(literal) => Ok(Segment::Literal(literal.into())),
        other => Err(format!("`{other}` is not a segment")),
    }
}

/// Literals are limited to what a path shows unescaped, so that comparing is comparing bytes.
fn is_literal(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;@".contains(&byte))
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn templates_print_as_they_were_written() {
        for text in [
            "/v1/rooms",
            "/v1/rooms/{room_id}",
            "/v1/rooms/{room.id}/messages/{message_id}:archive",
            "/v1/{name=rooms/*/messages/*}",
            "/v1/files/{path=**}",
            "/v1/*/x/**",
            "/v1/{path=files/**}:read",
        ] {
            assert_eq!(template(text).to_string(), text);
        }
        assert_eq!(template("/v1/{id=*}").to_string(), "/v1/{id}");
    }

    #[test]
    fn broken_templates_are_refused() {
        for text in [
            "",
            "v1",
            "/",
            "/v1/",
            "/v1//x",
            "/v1/{",
            "/v1/{a",
            "/v1/{}",
            "/v1/{a=}",
            "/v1/{a..b}",
            "/v1/{a={b}}",
            "/v1/**/x",
            "/v1/{a=**}/x",
            "/v1/{a}/{a}",
            "/v1/x:",
            "/v1/x:a:b",
            "/v1/x:a/b",
            "/v1/a b",
            "/v1/ab*",
            "/v1/{1a}",
            "/v1/x}",
            "/v1/{a}b",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn overlap_and_inclusion_follow_the_paths() {
        for (a, b, overlaps, within) in [
            ("/u/{id}", "/u/search", true, false),
            ("/u/search", "/u/{id}", true, true),
            ("/a/*", "/b/*", false, false),
            ("/a/*", "/*/b", true, false),
            ("/a/*/c", "/a/**", true, true),
            ("/a/**", "/a/*", true, false),
            ("/a", "/a/**", true, true),
            ("/x/**", "/*/y", true, false),
            ("/r/*:go", "/r/*", true, true),
            ("/r/*:go", "/r/*:stop", false, false),
            ("/r/a:go", "/r/a", false, false),
            ("/r/a:go", "/r/*:go", true, true),
            ("/r/**", "/*/a:v", true, false),
            ("/r/a:go", "/r/**", true, true),
        ] {
            let (x, y) = (template(a), template(b));
            assert_eq!(x.overlaps(&y), overlaps, "{a} {b}");
            assert_eq!(y.overlaps(&x), overlaps, "{b} {a}");
            assert_eq!(x.within(&y), within, "{a} {b}");
        }
    }

    prop_compose! {
        fn any_template()(
            head in proptest::collection::vec("[a-z]{1,3}|\\*|\\{[a-z]{1,4}(\\.[a-z]{1,3})?\\}", 1..5),
            tail in proptest::option::of("\\*\\*|\\{z=\\*\\*\\}|\\{z=x/\\*/\\*\\*\\}"),
            verb in proptest::option::of("[a-z]{1,4}"),
        ) -> String {
            let verb = verb.map(|verb| format!(":{verb}")).unwrap_or_default();
            let segments: Vec<String> = head.into_iter().chain(tail).collect();
            format!("/{}{verb}", segments.join("/"))
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(text in any_template()) {
            if let Ok(parsed) = Template::parse(&text) {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }

        #[test]
        fn parsing_never_panics(text in "[/a-z{}=*:.]{0,24}") {
            if let Ok(parsed) = Template::parse(&text) {
                prop_assert_eq!(Template::parse(&parsed.to_string()), Ok(parsed));
            }
        }
    }
}
