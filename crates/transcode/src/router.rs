//! Which route a request means: a tree of path segments, literals before wild cards, verbs before none.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use http::Method;
use percent_encoding::percent_decode_str;

use crate::{
    error::BuildError,
    route::Route,
    template::{Segment, Template},
};

pub(crate) struct Router {
    routes: Vec<Arc<Route>>,
    root: Node,
}

#[derive(Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    one: Option<Box<Node>>,
    /// Routes that end here.
    ends: Ends,
    /// Routes that take all that is left from here.
    rest: Ends,
}

/// Routes of one place by verb; those without a verb stand under `None`.
type Ends = Vec<(Option<Box<str>>, Vec<usize>)>;

/// A request path that was matched.
pub(crate) struct Matched<'r, 'p> {
    pub(crate) route: &'r Arc<Route>,
    /// Raw segments of the path, the verb cut off the last.
    segments: Vec<&'p str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The path holds escapes that are none, or that are not UTF-8.
    BadPath,
    /// No route has this path.
    NoRoute,
    /// The path has these methods.
    WrongMethod(Vec<Method>),
}

impl Router {
    /// Builds the tree. Two templates must not match the same path unless one is narrower, or they are alike and serve
    /// different methods.
    pub(crate) fn build(routes: Vec<Route>) -> Result<Self, BuildError> {
        for (index, route) in routes.iter().enumerate() {
            for other in &routes[..index] {
                if ambiguous(other, route) {
                    return Err(BuildError::Ambiguous {
                        first: format!("{} {}", other.method, other.template),
                        first_rpc: other.rpc.full_name().into(),
                        second: format!("{} {}", route.method, route.template),
                        second_rpc: route.rpc.full_name().into(),
                    });
                }
            }
        }
        let mut root = Node::default();
        for (index, route) in routes.iter().enumerate() {
            root.insert(&route.template, index);
        }
        let routes = routes.into_iter().map(Arc::new).collect();
        Ok(Self { routes, root })
    }

    pub(crate) fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// Finds the route: the narrowest template that the path matches, then the method. HEAD is served by GET routes.
    pub(crate) fn find<'r, 'p>(
        &'r self,
        method: &Method,
        path: &'p str,
    ) -> Result<Matched<'r, 'p>, Miss> {
        let mut segments: Vec<&str> = path
            .strip_prefix('/')
            .ok_or(Miss::NoRoute)?
            .split('/')
            .collect();
        let decoded: Option<Vec<Cow<'p, str>>> =
            segments.iter().map(|text| unescape(text)).collect();
        let decoded = decoded.ok_or(Miss::BadPath)?;
        let search = Search {
            raw: &segments,
            decoded: &decoded,
        };
        let (end, stem) = search.walk(&self.root, 0).ok_or(Miss::NoRoute)?;
        if let (Some(last), Some(stem)) = (segments.last_mut(), stem) {
            *last = stem;
        }

        let wanted = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut routes = end.iter().map(|&index| &self.routes[index]);
        match routes.find(|route| route.method == *wanted) {
            Some(route) => Ok(Matched { route, segments }),
            None => Err(Miss::WrongMethod(self.methods(end))),
        }
    }

    fn methods(&self, end: &[usize]) -> Vec<Method> {
        let mut methods: Vec<Method> = end
            .iter()
            .map(|&index| self.routes[index].method.clone())
            .collect();
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods
    }
}

impl<'p> Matched<'_, 'p> {
    /// The text of a variable, unescaped; what spans segments keeps its `%2F`.
    pub(crate) fn value(&self, index: usize) -> Cow<'p, str> {
        let template = &self.route.template;
        let variable = &template.variables[index];
        if !template.spans(variable) {
            let raw = self
                .segments
                .get(variable.start)
                .copied()
                .unwrap_or_default();
            return unescape(raw).unwrap_or_default();
        }
        let end = if template.ends_open() && variable.end == template.segments.len() {
            self.segments.len()
        } else {
            variable.end
        };
        let kept: Vec<String> = self
            .segments
            .get(variable.start..end)
            .unwrap_or_default()
            .iter()
            .map(|raw| unescape_but_slash(raw))
            .collect();
        Cow::Owned(kept.join("/"))
    }
}

impl Node {
    fn insert(&mut self, template: &Template, index: usize) {
        let mut at = self;
        for segment in &template.segments {
            at = match segment {
                Segment::Literal(text) => at.literals.entry(text.as_str().into()).or_default(),
                Segment::One => at.one.get_or_insert_default(),
                Segment::Rest => {
                    add(&mut at.rest, template.verb.as_deref(), index);
                    return;
                }
            };
        }
        add(&mut at.ends, template.verb.as_deref(), index);
    }
}

fn add(ends: &mut Ends, verb: Option<&str>, index: usize) {
    match ends.iter_mut().find(|(other, _)| other.as_deref() == verb) {
        Some((_, routes)) => routes.push(index),
        None => ends.push((verb.map(Into::into), vec![index])),
    }
}

struct Search<'s, 'p> {
    raw: &'s [&'p str],
    decoded: &'s [Cow<'p, str>],
}

/// Routes of one template, and what is left of the last segment if a verb was cut off.
type Found<'n, 'p> = (&'n [usize], Option<&'p str>);

impl<'p> Search<'_, 'p> {
    fn walk<'n>(&self, node: &'n Node, at: usize) -> Option<Found<'n, 'p>> {
        let Some(&raw) = self.raw.get(at) else {
            return plain(&node.ends).or_else(|| plain(&node.rest));
        };
        let verb = if at + 1 == self.raw.len() {
            split_verb(raw)
        } else {
            None
        };

        if let Some((stem, verb)) = verb
            && let Some(next) = node.literals.get(stem)
            && let Some(end) = with_verb(&next.ends, verb)
        {
            return Some((end, Some(stem)));
        }
        if let Some(next) = node.literals.get(self.decoded[at].as_ref())
            && let Some(found) = self.walk(next, at + 1)
        {
            return Some(found);
        }
        if let (Some(next), false) = (&node.one, raw.is_empty()) {
            if let Some((stem, verb)) = verb
                && !stem.is_empty()
                && let Some(end) = with_verb(&next.ends, verb)
            {
                return Some((end, Some(stem)));
            }
            if let Some(found) = self.walk(next, at + 1) {
                return Some(found);
            }
        }
        if let Some((stem, verb)) = self.raw.last().and_then(|last| split_verb(last))
            && let Some(end) = with_verb(&node.rest, verb)
        {
            return Some((end, Some(stem)));
        }
        plain(&node.rest)
    }
}

fn plain(ends: &Ends) -> Option<Found<'_, 'static>> {
    let (_, routes) = ends.iter().find(|(verb, _)| verb.is_none())?;
    Some((routes, None))
}

fn with_verb<'n>(ends: &'n Ends, verb: &str) -> Option<&'n [usize]> {
    let (_, routes) = ends
        .iter()
        .find(|(other, _)| other.as_deref() == Some(verb))?;
    Some(routes)
}

fn ambiguous(a: &Route, b: &Route) -> bool {
    let alike = a.template.within(&b.template) && b.template.within(&a.template);
    if alike {
        return a.method == b.method;
    }
    a.template.overlaps(&b.template)
        && !a.template.within(&b.template)
        && !b.template.within(&a.template)
}

fn split_verb(segment: &str) -> Option<(&str, &str)> {
    segment
        .rsplit_once(':')
        .filter(|(_, verb)| !verb.is_empty())
}

/// Undoes percent escapes. `None`: an escape is none, or the result is not UTF-8.
pub(crate) fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    if !escapes_are_whole(text) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let hex = after.as_bytes().get(..2).unwrap_or_default();
        hex.len() == 2 && hex.iter().all(u8::is_ascii_hexdigit)
    })
}

/// Undoes all escapes but that of the slash.
fn unescape_but_slash(text: &str) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find_slash(rest) {
        done.push_str(&unescape(&rest[..at]).unwrap_or_default());
        done.push_str(&rest[at..at + 3]);
        rest = &rest[at + 3..];
    }
    done.push_str(&unescape(rest).unwrap_or_default());
    done
}

fn find_slash(text: &str) -> Option<usize> {
    text.as_bytes()
        .windows(3)
        .position(|three| three.eq_ignore_ascii_case(b"%2f"))
}

#[cfg(test)]
mod tests;
