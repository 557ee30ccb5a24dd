//! Every statement of the engine, prepared once, each with the way it is asked.

use scylla::{
    client::{execution_profile::ExecutionProfileHandle, session::Session},
    statement::prepared::PreparedStatement,
};

use super::{
    fault::Faults,
    session::{Agreement, ConnectError, Profiles},
};
use crate::config::CqlSettings;

/// How long a change may be asked for and told again.
macro_rules! change_days {
    () => {
        "691200"
    };
}

macro_rules! head {
    () => {
        "SELECT head_seq, head_rev, applied_rev, first_rev, head_at, closed FROM message WHERE channel_id = ? AND bucket = ? LIMIT 1"
    };
}

macro_rules! messages {
    ($rest:literal) => {
        concat!(
            "SELECT n, rev, author_id, key, body, posted_at, edited_at, deleted_at FROM message WHERE channel_id = ? AND bucket = ? AND kind = 0 AND ",
            $rest
        )
    };
}

macro_rules! changes {
    ($rest:literal) => {
        concat!(
            "SELECT n, target, what, author_id, key, body, posted_at, edited_at, deleted_at FROM message WHERE channel_id = ? AND bucket = ? AND kind = 1 AND ",
            $rest
        )
    };
}

/// The statements. Those of a kind stand together.
pub(super) struct Statements {
    // The newest bucket.
    pub(super) hint: PreparedStatement,
    pub(super) put_hint: PreparedStatement,
    pub(super) head: PreparedStatement,
    pub(super) latest_head: PreparedStatement,

    // Decided by Paxos.
    pub(super) open: PreparedStatement,
    pub(super) advance: PreparedStatement,
    pub(super) put_message: PreparedStatement,
    pub(super) put_change: PreparedStatement,
    pub(super) apply: PreparedStatement,
    pub(super) applied: PreparedStatement,

    // Messages and changes.
    pub(super) message: PreparedStatement,
    pub(super) newest: PreparedStatement,
    pub(super) page: PreparedStatement,
    pub(super) latest_page: PreparedStatement,
    pub(super) posted_at: PreparedStatement,
    pub(super) targets: PreparedStatement,
    pub(super) changes_at: PreparedStatement,
    pub(super) changes: PreparedStatement,
    pub(super) batch_of: PreparedStatement,

    // Keys.
    pub(super) keys: PreparedStatement,
    pub(super) old_key: PreparedStatement,
    pub(super) put_old_key: PreparedStatement,

    // Read marks.
    pub(super) mark: PreparedStatement,
    pub(super) put_mark: PreparedStatement,
    pub(super) readers: PreparedStatement,

    // Telling.
    pub(super) put_dirty: PreparedStatement,
    pub(super) dirty: PreparedStatement,
    pub(super) told: PreparedStatement,
    pub(super) put_told: PreparedStatement,
    pub(super) swept: PreparedStatement,
    pub(super) put_swept: PreparedStatement,

    pub(super) clock: PreparedStatement,
}

/// Prepares everything.
pub(super) async fn prepare(
    session: &Session,
    settings: &CqlSettings,
    faults: Faults,
) -> Result<Statements, ConnectError> {
    let Profiles { read, write, claim } = Profiles::of(settings);
    let latest = Agreement::of(settings.across_datacenters).latest;
    let ask = async |text: &str, profile: &ExecutionProfileHandle, repeats: bool| {
        let prepared = session.prepare(text).await;
        let mut prepared = prepared.map_err(ConnectError::statement)?;
        prepared.set_execution_profile_handle(Some(profile.clone()));
        prepared.set_is_idempotent(repeats);
        Ok::<_, ConnectError>(prepared)
    };
    let reading = async |text: &str| ask(text, &read, true).await;
    let writing = async |text: &str| ask(text, &write, true).await;
    let claiming = async |text: &str| ask(text, &claim, false).await;
    let reading_latest = async |text: &str| {
        let mut prepared = ask(text, &claim, true).await?;
        prepared.set_consistency(latest);
        Ok::<_, ConnectError>(prepared)
    };
    let advance = if faults.ignores_closed() {
        "UPDATE message SET head_seq = ?, head_rev = ?, applied_rev = ?, head_at = ?, closed = ? WHERE channel_id = ? AND bucket = ? IF head_seq = ? AND head_rev = ?"
    } else {
        "UPDATE message SET head_seq = ?, head_rev = ?, applied_rev = ?, head_at = ?, closed = ? WHERE channel_id = ? AND bucket = ? IF head_seq = ? AND head_rev = ? AND closed = false"
    };
    Ok(Statements {
        hint: reading("SELECT bucket FROM channel_bucket WHERE channel_id = ?").await?,
        put_hint: writing("UPDATE channel_bucket USING TIMESTAMP ? SET bucket = ? WHERE channel_id = ?").await?,
        head: reading(head!()).await?,
        latest_head: reading_latest(head!()).await?,

        open: claiming("UPDATE message SET head_seq = ?, head_rev = ?, applied_rev = ?, first_rev = ?, head_at = ?, closed = false WHERE channel_id = ? AND bucket = ? IF head_seq = null").await?,
        advance: claiming(advance).await?,
        put_message: claiming("INSERT INTO message (channel_id, bucket, kind, n, rev, author_id, key, body, posted_at, latest_at, edited_at, deleted_at) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)").await?,
        put_change: claiming(concat!("INSERT INTO message (channel_id, bucket, kind, n, target, what, author_id, key, body, posted_at, edited_at, deleted_at, batch_id) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ", change_days!())).await?,
        apply: claiming("UPDATE message SET rev = ?, body = ?, edited_at = ?, deleted_at = ? WHERE channel_id = ? AND bucket = ? AND kind = 0 AND n = ? IF rev < ?").await?,
        applied: claiming("UPDATE message SET applied_rev = ? WHERE channel_id = ? AND bucket = ? IF applied_rev = ?").await?,

        message: reading(messages!("n = ?")).await?,
        newest: reading("SELECT head_seq, head_rev, applied_rev, first_rev, head_at, closed, n, rev, author_id, key, body, posted_at, edited_at, deleted_at FROM message WHERE channel_id = ? AND bucket = ? AND kind = 0 LIMIT ?").await?,
        page: reading(messages!("n > ? AND n <= ?")).await?,
        latest_page: reading_latest(messages!("n > ? AND n <= ?")).await?,
        posted_at: reading("SELECT posted_at, latest_at FROM message WHERE channel_id = ? AND bucket = ? AND kind = 0 AND n = ?").await?,
        targets: reading("SELECT n, target FROM message WHERE channel_id = ? AND bucket = ? AND kind = 1 AND n > ? AND n <= ?").await?,
        changes_at: reading(changes!("n IN ?")).await?,
        changes: reading(changes!("n > ? AND n <= ?")).await?,
        batch_of: reading("SELECT batch_id FROM message WHERE channel_id = ? AND bucket = ? AND kind = 1 AND n = ?").await?,

        keys: reading("SELECT n, author_id, key FROM message WHERE channel_id = ? AND bucket = ? AND kind = 0 AND n > ? AND n <= ?").await?,
        old_key: reading("SELECT seq FROM posted_key WHERE channel_id = ? AND shard = ? AND author_id = ? AND key = ?").await?,
        put_old_key: writing("INSERT INTO posted_key (channel_id, shard, author_id, key, seq) VALUES (?, ?, ?, ?, ?)").await?,

        mark: reading("SELECT seq, read_at FROM read_state WHERE channel_id = ? AND user_id = ?").await?,
        put_mark: writing("UPDATE read_state USING TIMESTAMP ? SET seq = ?, read_at = ? WHERE channel_id = ? AND user_id = ?").await?,
        readers: reading("SELECT user_id, seq FROM read_state WHERE channel_id = ? AND user_id > ? LIMIT ?").await?,

        put_dirty: writing("INSERT INTO dirty (shard, minute, channel_id) VALUES (?, ?, ?)").await?,
        dirty: reading("SELECT channel_id FROM dirty WHERE shard = ? AND minute = ?").await?,
        told: reading("SELECT rev FROM told WHERE channel_id = ?").await?,
        put_told: writing("UPDATE told USING TIMESTAMP ? SET rev = ? WHERE channel_id = ?").await?,
        swept: reading("SELECT minute FROM swept WHERE shard = ?").await?,
        put_swept: writing("UPDATE swept USING TIMESTAMP ? SET minute = ? WHERE shard = ?").await?,

        clock: reading("SELECT toTimestamp(now()) FROM system.local").await?,
    })
}
