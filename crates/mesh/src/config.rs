//! Where settings come from: defaults, then the file, then `GUILDHALL_…` variables, then flags. Unknown keys are refused.
//!
//! A service declares its settings with [`settings!`](crate::settings): each with a type, a default and a sentence, which are also
//! what `guildhall config` prints.

use std::path::Path;

use figment::{
    Figment, Metadata, Profile, Provider,
    error::Kind,
    providers::{Env, Format as _, Serialized, Toml},
    value::{Dict, Map, Value},
};
use serde::{Serialize, de::DeserializeOwned};

/// What is wrong with the settings; names the key and where it was set.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct BadSettings {
    text: String,
}

impl BadSettings {
    /// A rule broken by setting `key` (`auth.registration`): what is wrong and what to do.
    pub fn new(key: &str, wrong: impl std::fmt::Display) -> Self {
        Self {
            text: format!("setting {key}: {wrong}"),
        }
    }
}

/// Begins every variable that is a setting.
const PREFIX: &str = "GUILDHALL_";
/// Stands in a variable's name where a dot stands in the key.
const DOT: &str = "__";
/// Variables of this prefix that are no settings: the file of `--config`, and what `./dev` tells tests and proofs.
const OTHERS: [&str; 8] = [
    "config",
    "bin",
    "seed",
    "prove",
    "prove_long",
    "dev_cache",
    "infra",
    "infra_required",
];
/// What defaults and flags are called where an origin is told.
const DEFAULT: &str = "default";
const FLAG: &str = "command line";
/// Where every setting can be looked up.
const LISTED: &str = "`guildhall config --example` lists all of them";
/// How alike two names are, from 0 to 1, of which one may be a slip of the other.
const ALIKE: f64 = 0.6;

/// Reads the settings `S`. `file` must exist where it is given; `flags` are what the command line said, absent keys left out.
///
/// # Errors
/// [`BadSettings`] for an unreadable file, an unknown key or a value of the wrong type.
pub fn load<S>(file: Option<&Path>, flags: impl Serialize) -> Result<S, BadSettings>
where
    S: DeserializeOwned + Serialize + Default,
{
    load_with_origins(file, flags).map(|(settings, _)| settings)
}

/// The same, and where each setting comes from.
///
/// # Errors
/// Those of [`load`].
pub fn load_with_origins<S>(
    file: Option<&Path>,
    flags: impl Serialize,
) -> Result<(S, Origins), BadSettings>
where
    S: DeserializeOwned + Serialize + Default,
{
    let mut figment = Figment::from(Called(DEFAULT, Serialized::defaults(S::default())));
    if let Some(file) = file {
        if !file.is_file() {
            return Err(BadSettings {
                text: format!("no settings file at {}", file.display()),
            });
        }
        figment = figment.merge(Toml::file_exact(file));
    }
    figment = figment
        .merge(Env::prefixed(PREFIX).ignore(&OTHERS).split(DOT))
        .merge(Called(FLAG, Serialized::defaults(flags)));
    let settings = figment.extract().map_err(|error| BadSettings {
        text: explain(error, &known(&S::default())),
    })?;
    Ok((settings, Origins { figment }))
}

/// Where settings come from.
#[derive(Debug, Clone)]
pub struct Origins {
    figment: Figment,
}

impl Origins {
    /// Where the setting at `key` (`auth.registration`) comes from: "default", the path of a file, the name of a variable, or
    /// "command line".
    pub fn of(&self, key: &str) -> String {
        let Some(metadata) = self.figment.find_metadata(key) else {
            return DEFAULT.to_owned();
        };
        origin(metadata, &key.split('.').collect::<Vec<_>>())
    }
}

fn origin(metadata: &Metadata, key: &[&str]) -> String {
    match &metadata.source {
        Some(source) => source
            .file_path()
            .map_or_else(|| source.to_string(), |file| file.display().to_string()),
        None if [DEFAULT, FLAG].contains(&metadata.name.as_ref()) => metadata.name.to_string(),
        None => variable(&key.join(".")),
    }
}

/// The variable that sets a key, as it is written; or one that sets a part of it, or the whole that it is a part of.
fn variable(key: &str) -> String {
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let sets_it = |name: &String| {
        let set = name.to_ascii_uppercase();
        let set = set.strip_prefix(PREFIX).unwrap_or_default();
        let set = set.replace(DOT, ".").to_ascii_lowercase();
        !set.is_empty() && (within(&set, key) || within(key, &set))
    };
    let mut names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .find(sets_it)
        .unwrap_or_else(|| format!("{PREFIX}{}", key.replace('.', DOT).to_ascii_uppercase()))
}

/// A provider under a name that people understand.
struct Called<T>(&'static str, Serialized<T>);

impl<T: Serialize> Provider for Called<T> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.1.data()
    }
}

/// The keys of all settings and of their sections.
fn known(defaults: &impl Serialize) -> Vec<String> {
    let mut keys = Vec::new();
    if let Ok(Value::Dict(_, all)) = Value::serialize(defaults) {
        add_keys("", &all, &mut keys);
    }
    keys
}

fn add_keys(section: &str, settings: &Dict, keys: &mut Vec<String>) {
    for (name, value) in settings {
        let key = format!("{section}{name}");
        if let Value::Dict(_, inner) = value {
            add_keys(&format!("{key}."), inner, keys);
        }
        keys.push(key);
    }
}

fn explain(error: figment::Error, known: &[String]) -> String {
    let each = error.into_iter().map(|one| {
        // The path of an unknown key ends with that key.
        let path: Vec<_> = one.path.iter().map(String::as_str).collect();
        let key = path.join(".");
        let place = one.metadata.as_ref();
        let place = place.map(|metadata| format!(" (from {})", origin(metadata, &path)));
        let wrong = wrong(&one.kind, &key, known);
        format!("setting {key}{}: {wrong}", place.unwrap_or_default())
    });
    each.collect::<Vec<_>>().join("\n")
}

/// What is wrong, and what to do.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library says the others well enough"
)]
fn wrong(kind: &Kind, key: &str, known: &[String]) -> String {
    match kind {
        Kind::UnknownField(..) => match nearest(key, known) {
            Some(near) => format!("there is no such setting; is {near} meant? {LISTED}"),
            None => format!("there is no such setting; {LISTED}"),
        },
        Kind::UnknownVariant(found, allowed) => {
            format!("must be {}, not {found}", allowed.join(" or "))
        }
        kind => kind.to_string(),
    }
}

/// The known key that this one may be a slip of: by its name, those of its own section first.
fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let parts = |key: &'a str| key.rsplit_once('.').unwrap_or(("", key));
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let alike = known.iter().map(|known| {
        let (of, known_name) = parts(known);
        let likeness = strsim::normalized_damerau_levenshtein(name, known_name);
        (likeness, of == section, known)
    });
    let alike = alike.filter(|(likeness, _, _)| *likeness >= ALIKE);
    let best = alike.max_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    best.map(|(_, _, known)| known.as_str())
}

/// One setting, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// Its key inside its section.
    pub key: &'static str,
    /// What it does, with its unit.
    pub doc: &'static [&'static str],
}

/// Declares a section of settings: a struct with a default and a sentence per field.
///
/// ```
/// guildhall_mesh::settings! {
///     /// How the bell rings.
///     pub struct BellSettings {
///         /// How often, in seconds.
///         pub every_seconds: u32 = 30,
///     }
/// }
/// assert_eq!(BellSettings::default().every_seconds, 30);
/// assert_eq!(BellSettings::DESCRIBED[0].key, "every_seconds");
/// ```
#[macro_export]
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[doc = $doc:literal])+ pub $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// Each setting with its sentences, in order.
            pub const DESCRIBED: &'static [$crate::config::Described] = &[
                $($crate::config::Described { key: stringify!($field), doc: &[$($doc),+] },)*
            ];
        }
    };
}

#[cfg(test)]
#[expect(
    unreachable_pub,
    dead_code,
    reason = "the macro makes what a service shows; here nobody else looks"
)]
mod tests {
    use std::io::Write as _;

    use super::*;

    crate::settings! {
        /// A section.
        pub struct Section {
            /// A number.
            pub size: u32 = 7,
            /// A word.
            pub word: String = "plain".into(),
        }
    }

    #[derive(Debug, Default, Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct All {
        section: Section,
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("writes");
        file
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let file = file("[section]\nsize = 8\nword = 'file'\n");
        let flags = serde_json::json!({"section": {"word": "flag"}});

        let all: All = load(Some(file.path()), flags).expect("loads");

        assert_eq!(
            all.section,
            Section {
                size: 8,
                word: "flag".into()
            }
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_with_its_file_and_what_may_be_meant() {
        for (text, key, advice) in [
            (
                "[section]\nsise = 8\n",
                "section.sise",
                "is section.size meant?",
            ),
            ("size = 8\n", "size", "is section.size meant?"),
            ("[sections]\nsize = 8\n", "sections", "is section meant?"),
            (
                "[section]\nsection = 8\n",
                "section.section",
                "is section meant?",
            ),
            ("[section]\nbell = 8\n", "section.bell", LISTED),
        ] {
            let file = file(text);

            let error = load::<All>(Some(file.path()), serde_json::json!({}))
                .expect_err("refused")
                .to_string();

            let told = format!("setting {key} (from {}): ", file.path().display());
            assert!(error.starts_with(&told), "{error}");
            assert!(error.contains(advice) && error.contains(LISTED), "{error}");
            assert_eq!(error.matches('`').count(), 2, "{error}");
        }
    }

    #[test]
    fn every_setting_tells_where_it_comes_from() {
        let file = file("[section]\nsize = 8\n");
        let flags = serde_json::json!({"section": {"word": "flag"}});

        let (_, origins): (All, _) = load_with_origins(Some(file.path()), flags).expect("loads");
        let (_, defaults): (All, _) =
            load_with_origins(None, serde_json::json!({})).expect("loads");

        assert_eq!(
            origins.of("section.size"),
            file.path().display().to_string()
        );
        assert_eq!(origins.of("section.word"), "command line");
        assert_eq!(defaults.of("section.size"), "default");
        let variable = Metadata::named("environment");
        assert_eq!(
            origin(&variable, &["section", "size"]),
            "GUILDHALL_SECTION__SIZE"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_by_name() {
        let file = file("[section]\nsize = 'big'\n");

        let error = load::<All>(Some(file.path()), serde_json::json!({}))
            .expect_err("refused")
            .to_string();

        assert!(error.contains("section.size"), "{error}");
    }
}
