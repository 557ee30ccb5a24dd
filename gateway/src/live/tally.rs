//! What becomes of frames, counted without a metric for each of them.

use metrics::counter;

/// Counts frames for the metrics.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Frames that wait for readers.
    pub(crate) queued: u64,
    /// Frames that were dropped for want of room.
    pub(crate) dropped: u64,
    /// Readers that were cut.
    pub(crate) cut: u64,
    /// Readers that missed a change which this process had.
    pub(crate) holes: u64,
}

impl Tally {
    /// Adds it to the metrics.
    pub(crate) fn count(self) {
        if self == Self::default() {
            return;
        }
        counter!("guildhall_live_frames_total", "outcome" => "queued").increment(self.queued);
        counter!("guildhall_live_frames_total", "outcome" => "dropped").increment(self.dropped);
        counter!("guildhall_live_slow_readers_total").increment(self.cut);
        counter!("guildhall_live_holes_total").increment(self.holes);
    }
}
