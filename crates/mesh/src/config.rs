//! Where settings come from: defaults, then the file, then `GUILDHALL_…` variables, then flags. Unknown keys are refused.
//!
//! A service declares its settings with [`settings!`](crate::settings): each with a type, a default and a sentence, which are also
//! what `guildhall config` prints.

use std::path::Path;

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Env, Format as _, Serialized, Toml},
    value::{Dict, Map},
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
        text: explain(error),
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
        None => format!("{PREFIX}{}", key.join(DOT).to_ascii_uppercase()),
    }
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

fn explain(error: figment::Error) -> String {
    let each = error.into_iter().map(|one| {
        let mut path: Vec<_> = one.path.iter().map(String::as_str).collect();
        // An unknown key stands in the error, not in its path.
        if let figment::error::Kind::UnknownField(key, _) = &one.kind {
            path.push(key);
        }
        let place = one.metadata.as_ref();
        let place = place.map(|metadata| format!(" (from {})", origin(metadata, &path)));
        format!(
            "setting {}: {}{}",
            path.join("."),
            one.kind,
            place.unwrap_or_default()
        )
    });
    each.collect::<Vec<_>>().join("\n")
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
    fn an_unknown_key_is_refused_by_name_with_its_file() {
        let file = file("[section]\nsise = 8\n");

        let error = load::<All>(Some(file.path()), serde_json::json!({}))
            .expect_err("refused")
            .to_string();

        assert!(
            error.contains("sise") && error.contains(&file.path().display().to_string()),
            "{error}"
        );
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
