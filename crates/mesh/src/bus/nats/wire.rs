//! A note as NATS carries it: its subject, two headers and the payload.

use async_nats::{Message, jetstream::message::PublishMessage};
use guildhall_kernel::{EventId, Time};

use crate::bus::{Note, Whisper};

/// Names the fact: a server takes the same name once within its window, whatever it carries.
const ID: &str = "Nats-Msg-Id";
/// When it became a fact, in microseconds since 1970 UTC.
const AT: &str = "Guildhall-At";

/// How our subjects are called on servers that other halls may use too.
#[derive(Debug, Clone)]
pub(super) struct Names {
    namespace: String,
}

impl Names {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
        }
    }

    /// The name of one of our streams.
    pub(super) fn stream(&self, name: &str) -> String {
        match self.namespace.as_str() {
            "" => name.to_owned(),
            namespace => format!("{namespace}_{name}"),
        }
    }

    /// A subject or pattern as it is sent.
    pub(super) fn sent(&self, subject: &str) -> String {
        match self.namespace.as_str() {
            "" => subject.to_owned(),
            namespace => format!("{namespace}.{subject}"),
        }
    }

    /// A subject or pattern as a stream says it on.
    pub(super) fn said_on(&self, subject: &str) -> String {
        format!("{SAID_ON}{}", self.sent(subject))
    }

    /// The subject of a note that was sent, or said on.
    fn subject<'a>(&self, wire: &'a str) -> Option<&'a str> {
        let sent = wire.strip_prefix(SAID_ON).unwrap_or(wire);
        match self.namespace.as_str() {
            "" => Some(sent),
            namespace => sent.strip_prefix(namespace)?.strip_prefix('.'),
        }
    }

    /// A topic or pattern of what is said in passing, as it is sent.
    pub(super) fn in_passing(&self, topic: &str) -> String {
        self.sent(&format!("{IN_PASSING}{topic}"))
    }

    /// Reads what was said in passing.
    pub(super) fn overhear(&self, message: &Message) -> Option<Note> {
        let topic = self.subject(&message.subject)?.strip_prefix(IN_PASSING)?;
        Some(Whisper::note(topic, message.payload.clone()))
    }

    /// A note as it is sent.
    pub(super) fn write(&self, note: &Note) -> (String, PublishMessage) {
        let message = PublishMessage::build()
            .payload(note.payload.clone())
            .header(ID, note.id.to_string())
            .header(AT, note.at.micros().to_string());
        (self.sent(&note.subject), message)
    }

    /// Reads what [`Names::write`] wrote; `None` for what somebody else sent.
    pub(super) fn read(&self, message: &Message) -> Option<Note> {
        let headers = message.headers.as_ref()?;
        Some(Note {
            id: EventId::parse(headers.get_last(ID)?.as_str()).ok()?,
            subject: self.subject(&message.subject)?.into(),
            payload: message.payload.clone(),
            at: at(headers)?,
        })
    }
}

/// Begins the subjects of what a stream says on. No stream keeps them.
const SAID_ON: &str = "rt.";
/// Begins the subjects of what is said in passing. No stream keeps them either.
const IN_PASSING: &str = "eph.v1.";

/// When the fact of a message became one.
pub(super) fn at(headers: &async_nats::HeaderMap) -> Option<Time> {
    let micros = headers.get_last(AT)?.as_str().parse().ok()?;
    Some(Time::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_in_any_namespace() {
        for namespace in ["", "north"] {
            let names = Names::new(namespace);
            let note = Note {
                id: EventId::from_bytes([7; 16]),
                subject: "guildhall.chat.v1.here.MessagePosted".into(),
                payload: vec![1, 2].into(),
                at: Time::from_micros(-3),
            };

            let (subject, message) = names.write(&note);
            let sent = message.outbound_message(subject);
            for subject in [sent.subject.to_string(), format!("rt.{}", sent.subject)] {
                let came = Message {
                    subject: subject.into(),
                    reply: None,
                    payload: sent.payload.clone(),
                    headers: sent.headers.clone(),
                    status: None,
                    description: None,
                    length: 0,
                };

                assert_eq!(names.read(&came), Some(note.clone()), "{namespace}");
                assert_eq!(Names::new("south").read(&came), None, "{namespace}");
            }
        }
    }

    #[test]
    fn what_is_heard_is_what_a_stream_says_on() {
        assert_eq!(Names::new("").said_on("a.*.E"), "rt.a.*.E");
        assert_eq!(Names::new("north").said_on("a.*.E"), "rt.north.a.*.E");
        assert_eq!(Names::new("north").stream("GH_CHAT"), "north_GH_CHAT");
    }
}
