//! How the command speaks: answers on stdout, complaints on stderr.

use std::io::Write as _;

/// Prints a line. A reader that went away (`guildhall config | head -1`) is no error.
pub fn say(line: impl std::fmt::Display) {
    // Nobody is left to tell.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line beside the answer, on stderr.
pub fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints why a word could not be done, with its causes.
pub fn complain(error: &anyhow::Error) {
    tell(format_args!("guildhall: {error:#}"));
}
