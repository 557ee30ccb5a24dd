//! `guildhall config`: the settings in force, or an example file.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use anyhow::{Context as _, ensure};
use guildhall_mesh::config::Described;
use toml::{Table, Value};

use crate::{
    screen,
    settings::{self, Flags, SECTIONS, Settings},
};

/// How wide a line of an explanation may be.
const WIDTH: usize = 110;

/// Prints every setting with where it comes from, as a file that could be used.
pub fn in_force(file: Option<&Path>, flags: &Flags) -> anyhow::Result<ExitCode> {
    let (settings, origins) = settings::read(file, flags)?;
    let text = write_out(&settings, |key, _, value, name, text| {
        // A password that stands in the URL is not for the screen.
        let value = match (key, value) {
            ("postgres.url", Value::String(url)) => Value::String(settings::shown(url)),
            _ => value.clone(),
        };
        let line = format!("{name} = {value}");
        let _ = writeln!(text, "{line:<48} # {}", origins.of(key));
    })?;
    screen::say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Prints every setting with its explanation and default, all of them commented out.
pub fn example() -> anyhow::Result<ExitCode> {
    let text = example_text()?;
    screen::say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

fn example_text() -> anyhow::Result<String> {
    let body = write_out(&Settings::default(), |_, described, value, name, text| {
        for line in wrapped(&described.doc.join(" ")) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{name} = {value}\n");
    })?;
    Ok(format!(
        "# Settings of a hall; each line shows the default. To be read by: guildhall --config FILE serve\n\
         # Each can also be given as a variable: GUILDHALL_DATA, or with its section GUILDHALL_AUTH__REGISTRATION.\n\n{body}"
    ))
}

/// Walks over every setting that the sections describe; `put` gets key, description, value as TOML and name.
fn write_out(
    settings: &Settings,
    put: impl Fn(&str, &Described, &Value, &str, &mut String),
) -> anyhow::Result<String> {
    let all = Table::try_from(settings).context("settings cannot be written as TOML")?;
    let mut text = String::new();
    let is_section = |name: &str| SECTIONS.iter().any(|(section, _)| *section == name);
    for described in Settings::DESCRIBED {
        let name = described.key;
        if !is_section(name) {
            let value = all
                .get(name)
                .with_context(|| format!("setting {name} has no value"))?;
            put(name, described, value, name, &mut text);
        }
    }
    for (section, settings) in SECTIONS {
        let told = Settings::DESCRIBED.iter().find(|one| one.key == section);
        let told = told.map(|one| one.doc.join(" ")).unwrap_or_default();
        let values = all.get(section).and_then(Value::as_table);
        let values = values.with_context(|| format!("section {section} is missing"))?;
        ensure!(
            values.len() == settings.len(),
            "section {section} does not describe all of its settings"
        );
        let _ = writeln!(text, "\n#{told}\n[{section}]");
        for described in settings {
            let name = described.key;
            let value = values
                .get(name)
                .with_context(|| format!("setting {section}.{name} has no value"))?;
            put(
                &format!("{section}.{name}"),
                described,
                value,
                name,
                &mut text,
            );
        }
    }
    Ok(text)
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a last line");
        if !line.is_empty() && line.chars().count() + word.chars().count() >= WIDTH {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_with_its_comments_taken_off_is_the_defaults() {
        let example = example_text().expect("prints");
        let is_setting = |line: &&str| {
            line.starts_with('[') || (line.starts_with('#') && !line.starts_with("# "))
        };
        let uncommented: Vec<_> = example
            .lines()
            .filter(is_setting)
            .filter(|line| line.starts_with('[') || line.contains(" = "))
            .map(|line| line.trim_start_matches('#'))
            .collect();

        let read: Settings = toml::from_str(&uncommented.join("\n")).expect("valid TOML");

        assert_eq!(read, Settings::default());
        assert!(uncommented.len() > 10, "{example}");
    }

    #[test]
    fn every_setting_has_its_sentence() {
        let sections = SECTIONS.iter().flat_map(|(_, settings)| settings.iter());
        for described in Settings::DESCRIBED.iter().chain(sections) {
            let told = described.doc.concat();
            assert!(
                told.len() > 5 && told.ends_with('.'),
                "{}: {told}",
                described.key
            );
        }
    }
}
