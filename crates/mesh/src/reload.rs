//! What is read from files and read again when they change: certificates above all, which are renewed while a process runs.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use guildhall_kernel::{Clock, Time};
use metrics::gauge;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tracing::{error, info};

use crate::{config::BadSettings, tasks::Tasks};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A file that a setting names.
#[derive(Debug, Clone)]
pub struct Named {
    /// The setting: "links.ca_file".
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// What was made of some files. Clones see the same.
pub struct Reloading<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Reloading<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

type Make<T> = dyn Fn(&[Vec<u8>]) -> Result<T, BadSettings> + Send + Sync;

struct Shared<T> {
    files: Vec<Named>,
    make: Box<Make<T>>,
    // Read at each connection, written when files change; never held across an await.
    current: RwLock<Arc<T>>,
    /// Of the files as they were when the first `T` was made.
    began_with: Digest,
}

type Digest = [u8; 32];

/// What ends some day, as certificates do.
pub trait Ends {
    /// When.
    fn ends_at(&self) -> Time;
}

/// When a certificate ends; the beginning of time where it cannot be read.
pub fn ends_at(certificate: &CertificateDer<'_>) -> Time {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let seconds = parsed.map_or(0, |(_, parsed)| parsed.validity().not_after.timestamp());
    Time::from_micros(seconds.saturating_mul(1_000_000))
}

impl<T: Ends + Send + Sync + 'static> Reloading<T> {
    /// Reads the files and makes the first `T` of their contents, which come in the order of `files`.
    ///
    /// # Errors
    /// [`BadSettings`] naming the setting whose file cannot be read, or what `make` says.
    pub fn open<F>(files: Vec<Named>, make: F) -> Result<Self, BadSettings>
    where
        F: Fn(&[Vec<u8>]) -> Result<T, BadSettings> + Send + Sync + 'static,
    {
        let read = files.iter().map(|file| told(file, fs::read(&file.path)));
        let contents = read.collect::<Result<Vec<_>, _>>()?;
        let current = RwLock::new(Arc::new(make(&contents)?));
        let shared = Shared {
            files,
            make: Box::new(make),
            current,
            began_with: digest_of(&contents),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// What the files hold now, as far as it is good.
    pub fn current(&self) -> Arc<T> {
        let current = self.shared.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files every 2 s until the tasks stop. Bad ones are logged once and change nothing. `of` names the certificate in
    /// the log and in the gauge of how long it is still good.
    pub fn keep(&self, of: &'static str, clock: Arc<dyn Clock>, tasks: &Tasks) {
        let (this, own) = (self.clone(), tasks.clone());
        tasks.spawn("reload", async move {
            let mut last = Look::Good(this.shared.began_with);
            loop {
                let left = this.current().ends_at().micros() - clock.now().micros();
                #[expect(clippy::cast_precision_loss, reason = "seconds, for people")]
                gauge!("guildhall_certificate_seconds_left", "of" => of).set(left as f64 / 1e6);
                tokio::select! {
                    () = own.stopping() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                last = this.look(of, last).await;
            }
        });
    }

    /// Looks at the files once. What is bad is told when it is seen for the second time: files are replaced one after the other.
    async fn look(&self, of: &'static str, last: Look) -> Look {
        let contents = match self.read().await {
            Ok(contents) => contents,
            Err(bad) => return last.with_bad(of, None, &bad),
        };
        let digest = digest_of(&contents);
        if last == Look::Good(digest) || last == Look::Told(Some(digest)) {
            return last;
        }
        match (self.shared.make)(&contents) {
            Ok(new) => {
                let mut current = self
                    .shared
                    .current
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(new);
                info!(of, "certificate read anew");
                Look::Good(digest)
            }
            Err(bad) => last.with_bad(of, Some(digest), &bad),
        }
    }

    async fn read(&self) -> Result<Vec<Vec<u8>>, BadSettings> {
        let mut contents = Vec::with_capacity(self.shared.files.len());
        for file in &self.shared.files {
            contents.push(told(file, tokio::fs::read(&file.path).await)?);
        }
        Ok(contents)
    }
}

/// What the last look at the files found; bad ones with their digest, where they could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Good(Digest),
    Bad(Option<Digest>),
    Told(Option<Digest>),
}

impl Look {
    fn with_bad(self, of: &'static str, digest: Option<Digest>, bad: &BadSettings) -> Self {
        if self == Self::Told(digest) {
            return self;
        }
        if self == Self::Bad(digest) {
            error!(of, %bad, "the new certificate files are no good; the old ones stay in use");
            return Self::Told(digest);
        }
        Self::Bad(digest)
    }
}

fn told(file: &Named, read: io::Result<Vec<u8>>) -> Result<Vec<u8>, BadSettings> {
    read.map_err(|error| unreadable(file.setting, &file.path, &error))
}

fn unreadable(setting: &str, path: &Path, error: &io::Error) -> BadSettings {
    BadSettings::new(
        setting,
        format!("{} cannot be read: {error}", path.display()),
    )
}

fn digest_of(contents: &[Vec<u8>]) -> Digest {
    let each = contents.iter().map(|one| digest(&SHA256, one));
    let all = each.flat_map(|one| one.as_ref().to_vec());
    let mut whole = [0; 32];
    whole.copy_from_slice(digest(&SHA256, &all.collect::<Vec<_>>()).as_ref());
    whole
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("files", &self.shared.files)
            .finish_non_exhaustive()
    }
}
