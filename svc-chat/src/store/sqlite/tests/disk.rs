//! A disk that is full.

use std::{path::PathBuf, process::Command, sync::Arc};

use guildhall_kernel::{SystemClock, SystemIds};

use super::{
    bench, channel, draft,
    engine::{head, number},
};
use crate::{
    model::{Draft, Text},
    store::{
        StoreError,
        sqlite::{Options, SqliteTimeline, ledger::Ledger},
        timeline::{Appended, Timeline as _},
    },
};

#[tokio::test]
async fn a_file_that_may_not_grow_refuses_whole_changes_and_goes_on_when_it_may() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    let allow = async |more: u32| {
        let change = move |ledger: &mut Ledger| {
            let pages: u32 = ledger
                .connection
                .query_row("PRAGMA page_count", [], |row| row.get(0))?;
            let most = format!("PRAGMA max_page_count = {}", pages.saturating_add(more));
            Ok(ledger
                .connection
                .query_row(&most, [], |row| row.get::<_, u32>(0))?)
        };
        timeline.writer.make(0, change).await.expect("is allowed");
    };
    allow(20).await;

    let stored = fill(&timeline).await;
    allow(1_000).await;

    check(&timeline, stored).await;
    timeline.close().await;
    let again = file.start(Options::default()).await;
    assert_eq!(head(&again).await, stored + 2);
}

/// On a real file system of two megabytes, where it can be mounted (as root).
#[tokio::test]
async fn a_full_disk_refuses_whole_changes_and_the_engine_goes_on_when_space_returns() {
    let Some(disk) = SmallDisk::mount() else {
        println!("left out: a small file system cannot be mounted here");
        return;
    };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 800_000]).expect("writes");
    let open = async || {
        let path = disk.path().join("timeline.db");
        let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(SystemIds));
        SqliteTimeline::open(path, clock, ids, Options::default())
            .await
            .expect("opens")
    };
    let timeline = open().await;

    let stored = fill(&timeline).await;
    let still_full = timeline.append(channel(1), big("still full")).await;
    assert!(
        matches!(still_full, Err(StoreError::Refused(_))),
        "{still_full:?}"
    );
    std::fs::remove_file(&ballast).expect("is removed");

    check(&timeline, stored).await;
    timeline.close().await;
    let again = open().await;
    assert_eq!(head(&again).await, stored + 2);
    again.close().await;
}

/// Posts until the store refuses, and says how many it took.
async fn fill(timeline: &SqliteTimeline) -> u32 {
    for post in 1..10_000 {
        match timeline.append(channel(1), big(&post.to_string())).await {
            Ok(Appended::New(message)) => assert_eq!(message.id.seq.0, post),
            Err(StoreError::Refused(cause)) => {
                assert!(cause.to_string().contains("full"), "{cause}");
                // Reading goes on, and nothing of the refused one is seen.
                assert_eq!(head(timeline).await, post - 1);
                return post - 1;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("it was never full");
}

/// Two more posts fit, the second is the one that was refused.
async fn check(timeline: &SqliteTimeline, stored: u32) {
    assert!(stored > 2, "{stored}");
    assert_eq!(
        number(timeline.append(channel(1), draft(1, "now")).await),
        stored + 1
    );
    let refused = big(&(stored + 1).to_string());
    assert_eq!(
        number(timeline.append(channel(1), refused).await),
        stored + 2
    );
    let sound = |file: &rusqlite::Connection| {
        Ok(file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))?)
    };
    assert_eq!(timeline.readers.ask(sound).await.expect("reads"), "ok");
}

fn big(key: &str) -> Draft {
    let text = Text::parse("big ".repeat(2_000)).expect("can be said");
    Draft {
        text,
        ..draft(1, key)
    }
}

struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&folder);
        let mounted = mount.output().is_ok_and(|done| done.status.success());
        if !mounted {
            std::fs::remove_dir(&folder).expect("is removed");
            return None;
        }
        Some(Self(folder))
    }

    fn path(&self) -> &PathBuf {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
