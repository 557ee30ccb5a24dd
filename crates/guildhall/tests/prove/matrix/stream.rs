//! Reads a live stream until it is clear what it is.

use std::time::Duration;

use futures::{StreamExt as _, stream::BoxStream};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;

/// Server frames as JSON; the inner error is what ended the stream.
pub(crate) type Frames = BoxStream<'static, anyhow::Result<Result<Value, Answer>>>;

/// How long a stream may take to say something.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is listened to after that.
const LISTENED: Duration = Duration::from_millis(120);

/// Waits for Ready or the end of the stream, then listens on for a moment.
pub(crate) async fn settle(mut frames: Frames) -> anyhow::Result<Answer> {
    let mut answer = Answer::ok();
    let mut until = Instant::now() + PATIENCE;
    let (mut is_ready, mut has_heads) = (false, false);
    while let Ok(frame) = timeout_at(until, frames.next()).await {
        let frame = match frame {
            Some(frame) => match frame? {
                Ok(frame) => frame,
                Err(ended) => return Ok(ended),
            },
            None => break,
        };
        if let Some(ready) = frame.get("ready") {
            is_ready = true;
            until = Instant::now() + LISTENED;
            let heads = ready.get("heads").and_then(Value::as_array);
            has_heads = heads.is_some_and(|heads| !heads.is_empty());
        } else if frame.get("gone").is_some() {
            answer.gone = true;
        } else if let Some(bye) = frame.get("bye") {
            let problem = bye.get("problem").cloned().unwrap_or_default();
            let status = problem.get("status").and_then(Value::as_u64).unwrap_or(0);
            return Ok(Answer::problem(u16::try_from(status)?, &problem));
        } else if answer.gone && frame.get("channelId").is_some() {
            anyhow::bail!("said of a channel that is gone: {frame}");
        }
    }
    anyhow::ensure!(is_ready, "a stream that says nothing");
    anyhow::ensure!(
        !(answer.gone && has_heads),
        "heads of a channel that is gone"
    );
    Ok(answer)
}
