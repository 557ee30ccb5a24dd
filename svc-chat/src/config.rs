//! Settings of chat, section `[chat]`.

guildhall_mesh::settings! {
    /// How chat works.
    pub struct ChatSettings {
        /// How many channels are remembered, so that a call about one of them need not ask the database.
        pub channels_remembered: usize = 50_000,
    }
}
