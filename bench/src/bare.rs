//! The limit of timelines in CQL: the same conditional batches on the same tables by the driver and nothing else. It knows the head,
//! since nobody else writes, looks for no keys, writes no marks and tells nobody.

use std::{sync::Arc, time::Duration};

use guildhall_kernel::{Ids as _, SystemIds};
use scylla::{
    client::{session::Session, session_builder::SessionBuilder},
    statement::{
        Consistency, SerialConsistency,
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
    value::{CqlValue, MaybeUnset},
};
use svc_chat::config::CqlSettings;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// How many messages a batch holds at most, as in the engine.
const MOST: usize = 32;
/// How many messages a bucket holds, as in the engine.
const BUCKET: i64 = 8_192;
/// How many may wait for one channel.
const ROOM: usize = 1_024;

const ADVANCE: &str = "UPDATE message SET head_seq = ?, head_rev = ?, applied_rev = ?, head_at = ?, closed = ? WHERE channel_id = ? AND bucket = ? IF head_seq = ? AND head_rev = ? AND closed = false";
const OPEN: &str = "UPDATE message SET head_seq = 0, head_rev = 0, applied_rev = 0, first_rev = 0, head_at = 0, closed = false WHERE channel_id = ? AND bucket = 0 IF head_seq = null";
const PUT_MESSAGE: &str = "INSERT INTO message (channel_id, bucket, kind, n, rev, author_id, key, body, posted_at) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)";
const PUT_CHANGE: &str = "INSERT INTO message (channel_id, bucket, kind, n, target, what, author_id, key, body, posted_at, batch_id) VALUES (?, ?, 1, ?, ?, 0, ?, ?, ?, ?, ?) USING TTL 691200";
const NEWEST: &str = "SELECT head_seq, head_rev, applied_rev, first_rev, head_at, closed, n, rev, author_id, key, body, posted_at, edited_at, deleted_at FROM message WHERE channel_id = ? AND bucket = ? AND kind = 0 LIMIT 50";

/// A session with the statements.
pub(crate) struct Bare {
    session: Session,
    advance: PreparedStatement,
    open: PreparedStatement,
    put_message: PreparedStatement,
    put_change: PreparedStatement,
    newest: PreparedStatement,
}

/// A post that waits: its author and key, and where its number goes.
type Post = (Uuid, String, oneshot::Sender<i64>);

/// A row of the newest page as it is read; only how many there are counts.
type NewestRow = (
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<bool>,
    i64,
    i64,
    Uuid,
    String,
    String,
    i64,
    Option<i64>,
    Option<i64>,
);

impl Bare {
    /// Connects to a keyspace that `migrate` has prepared.
    pub(crate) async fn open(settings: &CqlSettings) -> anyhow::Result<Arc<Self>> {
        let session = SessionBuilder::new()
            .known_nodes(&settings.nodes)
            .use_keyspace(settings.keyspace.as_str(), false)
            .build()
            .await?;
        let prepare = async |text: &str| {
            let mut prepared = session.prepare(text).await?;
            prepared.set_consistency(Consistency::LocalQuorum);
            prepared.set_serial_consistency(Some(SerialConsistency::LocalSerial));
            Ok::<_, anyhow::Error>(prepared)
        };
        let (advance, open) = (prepare(ADVANCE).await?, prepare(OPEN).await?);
        let (put_message, put_change) = (prepare(PUT_MESSAGE).await?, prepare(PUT_CHANGE).await?);
        let newest = prepare(NEWEST).await?;
        Ok(Arc::new(Self {
            session,
            advance,
            open,
            put_message,
            put_change,
            newest,
        }))
    }

    /// Writes one channel until its last sender is gone: whoever waits together goes together.
    pub(crate) fn channel(
        self: &Arc<Self>,
        mut id: Uuid,
        text: &'static str,
    ) -> mpsc::Sender<Post> {
        let (queue, mut waiting) = mpsc::channel::<Post>(ROOM);
        let own = self.clone();
        tokio::spawn(async move {
            own.session.execute_unpaged(&own.open, (id,)).await?;
            let (mut head, mut group) = (0_i64, Vec::new());
            while waiting.recv_many(&mut group, MOST).await > 0 {
                if head + i64::try_from(group.len())? > BUCKET {
                    // The next bucket is another partition, and so is another channel.
                    (id, head) = (SystemIds.uuid(), 0);
                    own.session.execute_unpaged(&own.open, (id,)).await?;
                }
                head = own.append(id, head, &group, text).await?;
                let first = head - i64::try_from(group.len())? + 1;
                for (number, (_, _, done)) in (first..).zip(group.drain(..)) {
                    // A sender that stopped waiting at the end of its time is fine.
                    let _ = done.send(number);
                }
            }
            Ok::<_, anyhow::Error>(())
        });
        queue
    }

    async fn append(&self, id: Uuid, head: i64, group: &[Post], text: &str) -> anyhow::Result<i64> {
        let bucket = 0;
        let name = Uuid::from_u128(u128::try_from(head)?);
        let to = head + i64::try_from(group.len())?;
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        batch.set_request_timeout(Some(Duration::from_secs(3)));
        batch.append_statement(self.advance.clone());
        let mut rows = vec![vec![
            big(to),
            big(to),
            big(to),
            big(to),
            set(CqlValue::Boolean(false)),
            uuid(id),
            int(bucket),
            big(head),
            big(head),
        ]];
        for (n, (author, key, _)) in (head + 1..).zip(group) {
            batch.append_statement(self.put_message.clone());
            rows.push(vec![
                uuid(id),
                int(bucket),
                big(n),
                big(n),
                uuid(*author),
                words(key),
                words(text),
                big(n),
            ]);
        }
        for (n, (author, key, _)) in (head + 1..).zip(group) {
            batch.append_statement(self.put_change.clone());
            rows.push(vec![
                uuid(id),
                int(bucket),
                big(n),
                big(n),
                uuid(*author),
                words(key),
                words(text),
                big(n),
                uuid(name),
            ]);
        }
        let answer = self.session.batch(&batch, rows).await?.into_rows_result()?;
        let row: scylla::value::Row = answer.first_row()?;
        let applied = matches!(row.columns.first(), Some(Some(CqlValue::Boolean(true))));
        anyhow::ensure!(applied, "somebody else writes here");
        Ok(to)
    }

    /// Reads the newest 50 messages of a channel; how many came.
    pub(crate) async fn newest(&self, id: Uuid) -> anyhow::Result<usize> {
        let answer = self.session.execute_unpaged(&self.newest, (id, 0)).await?;
        let rows = answer.into_rows_result()?;
        let mut count = 0;
        for row in rows.rows::<NewestRow>()? {
            row?;
            count += 1;
        }
        Ok(count)
    }
}

type Value = MaybeUnset<CqlValue>;

fn set(value: CqlValue) -> Value {
    MaybeUnset::Set(value)
}

fn big(number: i64) -> Value {
    set(CqlValue::BigInt(number))
}

fn int(number: i32) -> Value {
    set(CqlValue::Int(number))
}

fn uuid(id: Uuid) -> Value {
    set(CqlValue::Uuid(id))
}

fn words(text: &str) -> Value {
    set(CqlValue::Text(text.to_owned()))
}
