//! Reads server-sent events as a browser does.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};

/// Reads one stream.
pub struct Events<S> {
    chunks: S,
    text: Vec<u8>,
    id: Option<String>,
    data: Vec<String>,
    ready: VecDeque<Value>,
}

impl<S> Events<S>
where
    S: Stream<Item = reqwest::Result<Bytes>> + Send + Unpin + 'static,
{
    /// The data of each event as JSON; its id stands beside it as "sse id".
    pub fn of(chunks: S) -> impl Stream<Item = Value> + Send {
        let events = Self {
            chunks,
            text: Vec::new(),
            id: None,
            data: Vec::new(),
            ready: VecDeque::new(),
        };
        futures::stream::unfold(events, async |mut events| {
            Some((events.next().await?, events))
        })
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            self.text.extend(self.chunks.next().await?.ok()?);
            while let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                self.line(String::from_utf8_lossy(&line).trim_end());
            }
        }
    }

    fn line(&mut self, line: &str) {
        match line.split_once(':') {
            None if line.is_empty() => self.dispatch(),
            Some(("id", id)) => self.id = Some(id.trim_start().to_owned()),
            Some(("data", data)) => self.data.push(data.trim_start().to_owned()),
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        if self.data.is_empty() {
            return;
        }
        let data = std::mem::take(&mut self.data).join("\n");
        let mut event: Value = serde_json::from_str(&data).expect("JSON");
        if let (Some(id), Some(event)) = (self.id.take(), event.as_object_mut()) {
            event.insert("sse id".into(), json!(id));
        }
        self.ready.push_back(event);
    }
}
