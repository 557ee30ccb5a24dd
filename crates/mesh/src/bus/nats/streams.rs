//! The streams that keep events for a while: made where they are missing, compared where they are there.
//!
//! A server may leave out a field that it does not know, without a word, and somebody may have changed a stream by hand. So what
//! the server says of a stream is held against what was asked, field by field, and a difference is refused.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::jetstream::Context;
use serde_json::{Map, Value, json};
use tracing::info;

use super::{Trouble, wire::Names};

/// For how long a server knows a note again.
const KNOWN_AGAIN: Duration = Duration::from_secs(600);
/// So many acknowledgements may overtake each other before a number that falls is worth a look.
const OVERTAKEN: u64 = 1_024;

/// The server's codes for "there is no such stream" and for what passes by itself.
const NO_STREAM: u64 = 10_059;
const PASSING: [u64; 3] = [10_005, 10_008, 10_009];

/// Fields that say nothing about what a stream does with notes.
const FREE: [&str; 3] = ["metadata", "placement", "description"];

/// All streams of a hall.
#[derive(Debug)]
pub(super) struct Streams {
    all: Vec<Stream>,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    name: String,
    /// As patterns of ours.
    covers: Vec<String>,
    kept: Duration,
    asked: Value,
    // What was seen last, by the keeper and by every acknowledgement.
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    created: String,
    last: u64,
}

impl Streams {
    /// Events of chat for three days, all others for seven.
    pub(super) fn new(names: &Names, replicas: usize) -> Self {
        let others = ["auth", "task", "meeting", "media", "study"];
        let others: Vec<_> = others
            .iter()
            .map(|service| format!("guildhall.{service}.v1.>"))
            .collect();
        let chat = vec!["guildhall.chat.v1.>".to_owned()];
        let day = Duration::from_hours(24);
        Self {
            all: vec![
                Stream::new(names, "GH_CHAT", chat, 3 * day, replicas),
                Stream::new(names, "GH_ENTITY", others, 7 * day, replicas),
            ],
        }
    }

    /// The stream that keeps a subject or pattern of ours.
    pub(super) fn of(&self, subject: &str) -> Option<&Stream> {
        self.all.iter().find(|stream| {
            let begins = |covered: &String| subject.starts_with(covered.trim_end_matches('>'));
            stream.covers.iter().any(begins)
        })
    }

    /// Sees to it that every stream is there as asked. Says whether one has forgotten what it was told.
    pub(super) async fn settle(&self, jetstream: &Context) -> Result<bool, Trouble> {
        let mut forgot = false;
        for stream in &self.all {
            forgot |= stream.settle(jetstream).await?;
        }
        Ok(forgot)
    }

    /// A note was kept under `number`. Says whether that is so low that the stream is worth a look.
    pub(super) fn kept(&self, stream: &str, number: u64) -> bool {
        let Some(stream) = self.all.iter().find(|one| one.name == stream) else {
            return false;
        };
        match stream.seen().as_mut() {
            Some(seen) if number.saturating_add(OVERTAKEN) < seen.last => true,
            Some(seen) => {
                seen.last = seen.last.max(number);
                false
            }
            None => false,
        }
    }
}

impl Stream {
    fn new(
        names: &Names,
        name: &str,
        covers: Vec<String>,
        kept: Duration,
        replicas: usize,
    ) -> Self {
        let name = names.stream(name);
        let subjects: Vec<_> = covers.iter().map(|subject| names.sent(subject)).collect();
        let asked = json!({
            "name": name,
            "subjects": subjects,
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_age": nanos(kept),
            "max_msgs": -1,
            "max_bytes": -1,
            "max_msgs_per_subject": -1,
            "max_msg_size": -1,
            "max_consumers": -1,
            "num_replicas": replicas,
            "duplicate_window": nanos(KNOWN_AGAIN),
            "allow_direct": true,
            "republish": { "src": ">", "dest": "rt.>" },
        });
        Self {
            name,
            covers,
            kept,
            asked,
            seen: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How long it keeps a note.
    pub(super) fn keeps(&self) -> Duration {
        self.kept
    }

    async fn settle(&self, jetstream: &Context) -> Result<bool, Trouble> {
        let before = self.seen().clone();
        let found = match self.ask(jetstream, "INFO", &json!({})).await? {
            Ok(found) => found,
            Err(fault) if fault.number == NO_STREAM => self.make(jetstream).await?,
            Err(fault) => return Err(fault.trouble(&self.name)),
        };

        let different = differences(&self.asked, &found["config"]);
        if !different.is_empty() {
            let different = different.join("; ");
            return Err(Trouble::Wrong(format!(
                "stream {} is not as asked: {different}",
                self.name
            )));
        }
        let now = Seen {
            created: found["created"].as_str().unwrap_or_default().to_owned(),
            last: found["state"]["last_seq"].as_u64().unwrap_or_default(),
        };
        let forgot =
            before.is_some_and(|before| before.created != now.created || now.last < before.last);
        self.see(now, forgot);
        Ok(forgot)
    }

    /// Two processes may make it at the same time: the same again is no fault.
    async fn make(&self, jetstream: &Context) -> Result<Value, Trouble> {
        let made = self.ask(jetstream, "CREATE", &self.asked).await?;
        let made = made.map_err(|fault| fault.trouble(&self.name))?;
        info!(stream = self.name, "made a stream");
        Ok(made)
    }

    async fn ask(
        &self,
        jetstream: &Context,
        what: &str,
        body: &Value,
    ) -> Result<Result<Value, Fault>, Trouble> {
        let subject = format!("STREAM.{what}.{}", self.name);
        let answer: Value = jetstream
            .request(subject, body)
            .await
            .map_err(|error| Trouble::Away(format!("JetStream does not answer: {error}")))?;
        Ok(match answer.get("error") {
            None => Ok(answer),
            Some(error) => Err(Fault {
                number: error["err_code"].as_u64().unwrap_or_default(),
                text: error["description"].as_str().unwrap_or_default().to_owned(),
                busy: error["code"].as_u64() == Some(503),
            }),
        })
    }

    /// Acknowledgements that came meanwhile stay seen, unless they are of a stream that is no more.
    fn see(&self, now: Seen, forgot: bool) {
        let mut seen = self.seen();
        match seen.as_mut() {
            Some(seen) if !forgot => seen.last = seen.last.max(now.last),
            _ => *seen = Some(now),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server has against a request.
struct Fault {
    number: u64,
    text: String,
    busy: bool,
}

impl Fault {
    fn trouble(self, stream: &str) -> Trouble {
        let text = format!("stream {stream}: {} ({})", self.text, self.number);
        if self.busy || PASSING.contains(&self.number) {
            Trouble::Away(text)
        } else {
            Trouble::Wrong(text)
        }
    }
}

/// What the server has otherwise than asked: fields that differ, and fields that nobody asked for and that mean something.
fn differences(asked: &Value, told: &Value) -> Vec<String> {
    let empty = Map::new();
    let (asked, told) = (
        asked.as_object().unwrap_or(&empty),
        told.as_object().unwrap_or(&empty),
    );
    let differ = asked.iter().filter_map(|(field, want)| {
        let have = told.get(field).unwrap_or(&Value::Null);
        (!same(want, have)).then(|| format!("{field} is {have}, not {want}"))
    });
    let extra = told.iter().filter_map(|(field, have)| {
        let unasked = !asked.contains_key(field) && !FREE.contains(&field.as_str());
        (unasked && means_something(have))
            .then(|| format!("{field} is {have}, which was not asked for"))
    });
    differ.chain(extra).collect()
}

/// Whether all that was asked for is there; an object may hold more where that means nothing.
fn same(want: &Value, have: &Value) -> bool {
    match (want, have) {
        (Value::Object(_), Value::Object(_)) => differences(want, have).is_empty(),
        _ => want == have,
    }
}

fn means_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(set) => *set,
        Value::Number(number) => number.as_i64() != Some(0),
        Value::String(text) => !["", "none", "default"].contains(&text.as_str()),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => fields.values().any(means_something),
    }
}

/// As JetStream writes durations.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat() -> Stream {
        let day = Duration::from_hours(24);
        Stream::new(
            &Names::new("t"),
            "GH_CHAT",
            vec!["guildhall.chat.v1.>".into()],
            day,
            1,
        )
    }

    #[test]
    fn a_field_that_the_server_left_out_or_changed_is_found() {
        let asked = chat().asked;
        assert!(differences(&asked, &asked).is_empty());

        for (field, value) in [
            ("republish", Value::Null),
            (
                "republish",
                json!({"src": ">", "dest": "rt.>", "headers_only": true}),
            ),
            ("max_age", json!(1)),
            ("subjects", json!(["t.guildhall.chat.v1.>", "t.more.>"])),
            ("sealed", json!(true)),
            ("mirror", json!({"name": "OTHER"})),
            ("subject_transform", json!({"src": ">", "dest": "else.>"})),
        ] {
            let mut told = asked.clone();
            told[field] = value;

            let found = differences(&asked, &told);

            assert!(
                found.len() == 1 && found[0].contains(field),
                "{field}: {found:?}"
            );
        }
    }

    #[test]
    fn what_a_newer_server_adds_without_meaning_is_no_difference() {
        let asked = chat().asked;
        let mut told = asked.clone();
        told["compression"] = json!("none");
        told["metadata"] = json!({"_nats.req.level": "0"});
        told["consumer_limits"] = json!({});
        told["allow_rollup_hdrs"] = json!(false);
        told["first_seq"] = json!(0);

        assert_eq!(differences(&asked, &told), Vec::<String>::new());
    }

    #[test]
    fn every_service_has_a_stream_and_none_has_two() {
        let streams = Streams::new(&Names::new(""), 1);
        for (subject, name) in [
            ("guildhall.chat.v1.c.MessagePosted", Some("GH_CHAT")),
            ("guildhall.auth.v1.*.SpaceChanged", Some("GH_ENTITY")),
            ("guildhall.study.v1.s.E", Some("GH_ENTITY")),
            ("eph.v1.typing.c", None),
        ] {
            assert_eq!(streams.of(subject).map(Stream::name), name, "{subject}");
        }
    }

    #[test]
    fn numbers_that_overtake_each_other_are_no_alarm_and_a_fall_is() {
        let streams = Streams::new(&Names::new(""), 1);
        let stream = streams.of("guildhall.chat.v1.").expect("there");
        stream.see(
            Seen {
                created: "then".into(),
                last: 5_000,
            },
            false,
        );

        assert!(!streams.kept("GH_CHAT", 5_002));
        assert!(!streams.kept("GH_CHAT", 5_001));
        assert!(streams.kept("GH_CHAT", 1));
        assert_eq!(stream.seen().as_ref().map(|seen| seen.last), Some(5_002));
    }
}
