//! Where settings come from: defaults, then the file, then `GUILDHALL_…` variables, then flags. Unknown keys are refused.
//!
//! A service declares its settings with [`settings!`](crate::settings): each with a type, a default and a sentence, which are also
//! what `guildhall config` prints.

use std::path::Path;

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
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

/// Reads the settings `S`. `file` must exist where it is given; `flags` are what the command line said, absent keys left out.
///
/// # Errors
/// [`BadSettings`] for an unreadable file, an unknown key or a value of the wrong type.
pub fn load<S>(file: Option<&Path>, flags: impl Serialize) -> Result<S, BadSettings>
where
    S: DeserializeOwned + Serialize + Default,
{
    let mut figment = Figment::from(Serialized::defaults(S::default()));
    if let Some(file) = file {
        if !file.is_file() {
            return Err(BadSettings {
                text: format!("no settings file at {}", file.display()),
            });
        }
        figment = figment.merge(Toml::file_exact(file));
    }
    figment = figment
        .merge(Env::prefixed("GUILDHALL_").split("__"))
        .merge(Serialized::defaults(flags));
    figment.extract().map_err(|error| BadSettings {
        text: explain(error),
    })
}

fn explain(error: figment::Error) -> String {
    let each = error.into_iter().map(|one| {
        let source = one
            .metadata
            .as_ref()
            .map(|metadata| match &metadata.source {
                Some(source) => source.to_string(),
                None => metadata.name.to_string(),
            });
        let key = one.path.join(".");
        let place = source
            .map(|source| format!(" (from {source})"))
            .unwrap_or_default();
        format!("setting {key}: {}{place}", one.kind)
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
    fn a_value_of_the_wrong_type_is_refused_by_name() {
        let file = file("[section]\nsize = 'big'\n");

        let error = load::<All>(Some(file.path()), serde_json::json!({}))
            .expect_err("refused")
            .to_string();

        assert!(error.contains("section.size"), "{error}");
    }
}
