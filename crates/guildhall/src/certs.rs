//! `guildhall certs`: certificates for the links between processes, by an authority of one's own in a folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, builder::RangedU64ValueParser};
use guildhall_kernel::{Clock, SystemClock, Time};
use guildhall_mesh::link::{LinkSettings, NAMES_BEGIN};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::{roles::Role, screen};

mod keep;

use keep::{keep, keep_secret};

/// What a process can be.
const ROLES: [&str; 3] = [Role::Gateway.name(), Role::Auth.name(), Role::Chat.name()];
/// The name of the certificate that is for all of them.
const ALL: &str = "all";
/// How long an authority is good.
const AUTHORITY: Duration = Duration::from_hours(24 * 365 * 10);
/// How far the clocks of two machines may differ: so much before now a certificate begins.
const CLOCKS: Duration = Duration::from_hours(1);
/// The longest that a certificate may be good, in hours.
const MOST_HOURS: u64 = 24 * 365;

/// What to make.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder; made where it is missing.
    dir: PathBuf,
    /// The roles to make certificates for.
    #[arg(long, value_name = "ROLES", value_delimiter = ',', default_values = ROLES, value_parser = ROLES)]
    roles: Vec<String>,
    /// How long the certificates are good, in hours.
    #[arg(long, value_name = "N", default_value_t = 720, value_parser = RangedU64ValueParser::<u64>::new().range(1..=MOST_HOURS))]
    hours: u64,
}

/// Makes them, and says how they are used.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let dir = std::path::absolute(&options.dir).context("the folder has no name")?;
    fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    // Certificates know whole seconds.
    let now = Time::from_micros(clock.now().seconds().saturating_mul(1_000_000));
    let authority = Authority::in_folder(&dir, now)?;

    let ends_at = now.plus(Duration::from_secs(options.hours.saturating_mul(3_600)));
    ensure!(
        ends_at <= authority.ends_at,
        "the authority in {} ends at {}, before the certificates would: ask for fewer --hours, or move the folder away and \
         give all processes certificates of a new one",
        dir.display(),
        authority.ends_at
    );
    for role in &options.roles {
        issue(&authority, &dir, role, &[role], now, ends_at)?;
    }
    issue(&authority, &dir, ALL, &options.roles, now, ends_at)?;
    for name in options.roles.iter().map(String::as_str).chain([ALL]) {
        settings(&dir, name).check_files(&clock)?;
    }
    explain(&authority, &dir, options, ends_at);
    Ok(ExitCode::SUCCESS)
}

fn explain(authority: &Authority, dir: &Path, options: &Options, ends_at: Time) {
    let (made, until) = (&authority.made, authority.ends_at);
    screen::say(format_args!(
        "{made} the authority, good until {until}: ca.pem, ca-key.pem"
    ));
    let names = options.roles.iter().map(String::as_str).chain([ALL]);
    for name in names.clone() {
        screen::say(format_args!(
            "made {name}.pem and {name}-key.pem, good until {ends_at}"
        ));
    }
    screen::say(format_args!(
        "\nA process whose only role is {first} has in its settings:\n",
        first = options.roles[0]
    ));
    let of = settings(dir, &options.roles[0]);
    screen::say(format_args!(
        "[links]\nca_file = {:?}\ncertificate_file = {:?}\nkey_file = {:?}",
        of.ca_file, of.certificate_file, of.key_file
    ));
    let names: Vec<_> = names.collect();
    screen::say(format_args!(
        "\nThe others take the files of their name ({}; {ALL} is for a process with several roles).\n\
         This is for development and small installations: whoever reads ca-key.pem can be any service. Keep it where no\n\
         process runs, give each machine the files of its roles and ca.pem only, and run this again before they end: running\n\
         processes take up the new files by themselves.",
        names.join(", ")
    ));
}

/// The settings of a process with the certificate of this name.
fn settings(dir: &Path, name: &str) -> LinkSettings {
    let file = |file: String| dir.join(file).display().to_string();
    LinkSettings {
        ca_file: file("ca.pem".into()),
        certificate_file: file(format!("{name}.pem")),
        key_file: file(format!("{name}-key.pem")),
        ..LinkSettings::default()
    }
}

/// Who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ends_at: Time,
    /// "made" or "kept".
    made: &'static str,
}

impl Authority {
    /// The authority of a folder: the one that is there, else a new one.
    fn in_folder(dir: &Path, now: Time) -> anyhow::Result<Self> {
        let (certificate, key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
        let found = (read(&certificate)?, read(&key)?);
        match found {
            (None, None) => Self::make(&certificate, &key, now),
            (Some(pem), Some(secret)) => Self::read(&pem, &secret, now).with_context(|| {
                format!(
                    "{} and {} are no authority to go on with; move them away to begin a new one",
                    certificate.display(),
                    key.display()
                )
            }),
            (Some(_), None) => bail!(
                "{} is there, but {} is not: put it back, or choose another folder",
                certificate.display(),
                key.display()
            ),
            (None, Some(_)) => bail!(
                "{} is there, but {} is not: put it back, or choose another folder",
                key.display(),
                certificate.display()
            ),
        }
    }

    fn read(pem: &str, secret: &str, now: Time) -> anyhow::Result<Self> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes())?;
        let parsed = block.parse_x509()?;
        let key = KeyPair::from_pem(secret)?;
        ensure!(parsed.is_ca(), "the certificate may not sign others");
        let is_pair = parsed.public_key().subject_public_key.data == key.public_key_raw();
        ensure!(is_pair, "the key does not belong to the certificate");
        let ends_at = parsed.validity().not_after.timestamp();
        let ends_at = Time::from_micros(ends_at.saturating_mul(1_000_000));
        ensure!(ends_at > now, "the authority has ended at {ends_at}");
        Ok(Self {
            issuer: Issuer::from_ca_cert_pem(pem, key)?,
            ends_at,
            made: "kept",
        })
    }

    fn make(certificate: &Path, key: &Path, now: Time) -> anyhow::Result<Self> {
        let ends_at = now.plus(AUTHORITY);
        let mut params = params("Guildhall links", now, ends_at);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pair = KeyPair::generate()?;
        let secret = pair.serialize_pem();
        let made = CertifiedIssuer::self_signed(params, pair)?;
        keep_secret(key, &secret)?;
        keep(certificate, &made.pem())?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_pem(&made.pem(), KeyPair::from_pem(&secret)?)?,
            ends_at,
            made: "made",
        })
    }
}

/// Makes a certificate for some services and keeps it under a name.
fn issue<S: AsRef<str>>(
    authority: &Authority,
    dir: &Path,
    name: &str,
    services: &[S],
    now: Time,
    ends_at: Time,
) -> anyhow::Result<()> {
    let mut params = params(&format!("guildhall {name}"), now, ends_at);
    for service in services {
        let uri = format!("{NAMES_BEGIN}{}", service.as_ref());
        params.subject_alt_names.push(SanType::URI(uri.try_into()?));
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    let pair = KeyPair::generate()?;
    let made = params.signed_by(&pair, &authority.issuer)?;
    keep_secret(&dir.join(format!("{name}-key.pem")), &pair.serialize_pem())?;
    keep(&dir.join(format!("{name}.pem")), &made.pem())
}

fn params(name: &str, now: Time, ends_at: Time) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    let day_one = date_time_ymd(1970, 1, 1);
    let since = |time: Time| Duration::from_secs(u64::try_from(time.seconds()).unwrap_or(0));
    params.not_before = day_one + since(now.minus(CLOCKS));
    params.not_after = day_one + since(ends_at);
    params
}

fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}
