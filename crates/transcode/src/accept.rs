//! Media types: what the caller sends and what it accepts.

use http::{HeaderMap, header};

/// The form of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// `text/event-stream`, for `EventSource`.
    EventStream,
    /// `application/x-ndjson`: one JSON text a line.
    Lines,
}

impl Wire {
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::EventStream => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }
}

/// Whether the body says that it is JSON in UTF-8.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let json = parts
        .next()
        .is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => charset
            .trim()
            .trim_matches('"')
            .eq_ignore_ascii_case("utf-8"),
        _ => true,
    })
}

/// Whether the caller accepts `application/json`. No header accepts everything.
pub(crate) fn takes_json(headers: &HeaderMap) -> bool {
    weight(headers, "application", "json") > 0
}

/// The form in which the caller wants a stream. Lines serve whoever accepts JSON or does not mind.
pub(crate) fn wire(headers: &HeaderMap) -> Option<Wire> {
    let events = weight(headers, "text", "event-stream");
    let lines =
        weight(headers, "application", "x-ndjson").max(weight(headers, "application", "json"));
    match (events, lines) {
        (0, 0) => None,
        (events, lines) if events > lines => Some(Wire::EventStream),
        (events, lines) if events == lines && names(headers, "text/event-stream") => {
            Some(Wire::EventStream)
        }
        _ => Some(Wire::Lines),
    }
}

/// How much the caller wants a media type, 0 (not at all) to 1000. The most exact range that covers it counts.
fn weight(headers: &HeaderMap, family: &str, subtype: &str) -> u32 {
    if !headers.contains_key(header::ACCEPT) {
        return 1000;
    }
    let mut best = (0, 0);
    for range in ranges(headers) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let exactness = match media.split_once('/') {
            Some(("*", "*")) => 1,
            Some((a, "*")) if a.eq_ignore_ascii_case(family) => 2,
            Some((a, b)) if a.eq_ignore_ascii_case(family) && b.eq_ignore_ascii_case(subtype) => 3,
            _ => continue,
        };
        if exactness >= best.0 {
            best = (exactness, quality(parts));
        }
    }
    best.1
}

/// Whether the caller names this type itself rather than a wild card.
fn names(headers: &HeaderMap, media: &str) -> bool {
    ranges(headers).any(|range| {
        range
            .split(';')
            .next()
            .is_some_and(|name| name.trim().eq_ignore_ascii_case(media))
    })
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=1000"
)]
fn quality<'p>(mut parameters: impl Iterator<Item = &'p str>) -> u32 {
    let given = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    match given {
        None => 1000,
        Some(value) => value
            .parse::<f32>()
            .map_or(0, |q| (q.clamp(0.0, 1.0) * 1000.0) as u32),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn bodies_are_json_in_utf_8_only() {
        for (value, fine) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=latin1", false),
            ("text/json", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            assert_eq!(
                is_json(&headers(header::CONTENT_TYPE, value)),
                fine,
                "{value}"
            );
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn the_most_exact_range_decides() {
        for (value, json, stream) in [
            ("*/*", true, Some(Wire::Lines)),
            ("application/*", true, Some(Wire::Lines)),
            ("application/json", true, Some(Wire::Lines)),
            ("application/x-ndjson", false, Some(Wire::Lines)),
            ("text/event-stream", false, Some(Wire::EventStream)),
            ("text/event-stream, */*", true, Some(Wire::EventStream)),
            (
                "text/event-stream;q=0.5, application/json",
                true,
                Some(Wire::Lines),
            ),
            ("text/html, */*;q=0.1", true, Some(Wire::Lines)),
            ("*/*, application/json;q=0", false, Some(Wire::Lines)),
            ("text/html", false, None),
            ("image/*", false, None),
            ("nonsense", false, None),
        ] {
            assert_eq!(takes_json(&headers(header::ACCEPT, value)), json, "{value}");
            assert_eq!(wire(&headers(header::ACCEPT, value)), stream, "{value}");
        }
        assert!(takes_json(&HeaderMap::new()));
        assert_eq!(wire(&HeaderMap::new()), Some(Wire::Lines));
    }
}
