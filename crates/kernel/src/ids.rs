//! Where new ids and secrets come from. Ambient randomness is a lint error elsewhere, so that tests can count.

use uuid::Uuid;

/// A source of ids and random bytes.
pub trait Ids: Send + Sync + 'static {
    /// A new UUIDv7: later ones sort after earlier ones of the same source.
    fn uuid(&self) -> Uuid;
    /// Fills `bytes` with unpredictable ones, good enough for secrets.
    fn random(&self, bytes: &mut [u8]);
}

/// Ids by the machine's clock and its random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is where ids come in")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is where randomness comes in"
    )]
    fn random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
