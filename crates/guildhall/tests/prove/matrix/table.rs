//! The second account of who may do what: `expected.txt`, read.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

use super::who::Who;

const TEXT: &str = include_str!("expected.txt");

/// What is expected of one rpc.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    /// Other services only: as if absent.
    Internal,
    /// A cell for each caller in the own space, then for somebody else's and for what is not there.
    Public {
        ours: Vec<Cell>,
        theirs: Cell,
        absent: Cell,
    },
}

/// What is expected of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Answered.
    Ok,
    /// Refused with this status.
    Refused(u16),
    /// A stream that says Gone.
    Gone,
    /// There is no such case.
    None,
}

impl Cell {
    /// Whether the call may do what it says.
    pub(crate) fn is_ok(self) -> bool {
        self == Self::Ok
    }
}

impl Row {
    /// What is expected in the own space; nothing of an internal rpc.
    pub(crate) fn ours(&self, who: Who) -> Cell {
        match self {
            Self::Internal => Cell::None,
            Self::Public { ours, .. } => ours[who as usize],
        }
    }
}

/// All rows by rpc: "guildhall.chat.v1.MessageService/PostMessage".
pub(crate) fn rows() -> anyhow::Result<BTreeMap<String, Row>> {
    let mut rows = BTreeMap::new();
    for line in TEXT.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (rpc, row) = row(line).with_context(|| format!("expected.txt: {line}"))?;
        ensure!(
            rows.insert(rpc.clone(), row).is_none(),
            "expected.txt has {rpc} twice"
        );
    }
    Ok(rows)
}

fn row(line: &str) -> anyhow::Result<(String, Row)> {
    let mut words = line.split_whitespace().filter(|word| *word != "|");
    let rpc = words.next().context("an rpc")?.to_owned();
    let words: Vec<_> = words.collect();
    if words == ["internal"] {
        return Ok((rpc, Row::Internal));
    }
    let cells: Vec<_> = words
        .iter()
        .map(|word| cell(word))
        .collect::<anyhow::Result<_>>()?;
    let (ours, others) = cells
        .split_at_checked(Who::ALL.len())
        .context("a cell for each caller")?;
    let [theirs, absent] = *others else {
        anyhow::bail!("two cells after the bar");
    };
    let ours = ours.to_vec();
    Ok((
        rpc,
        Row::Public {
            ours,
            theirs,
            absent,
        },
    ))
}

fn cell(word: &str) -> anyhow::Result<Cell> {
    Ok(match word {
        "ok" => Cell::Ok,
        "gone" => Cell::Gone,
        "-" => Cell::None,
        status => Cell::Refused(status.parse().context("ok, gone, - or a status")?),
    })
}
