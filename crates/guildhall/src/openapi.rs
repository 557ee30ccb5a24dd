//! `guildhall openapi`: the description of the REST API, as a running hall serves it at `/openapi.json`.

use std::process::ExitCode;

use crate::screen;

/// Prints the document.
pub fn print() -> anyhow::Result<ExitCode> {
    let document = guildhall_gateway::openapi()?;
    screen::say(serde_json::to_string_pretty(&document)?);
    Ok(ExitCode::SUCCESS)
}
