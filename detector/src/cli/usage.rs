//! What is said of a command line that is not understood.

use std::ffi::OsString;

use clap::{
    Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::analyze;

/// clap's message without its usage, and what may have been meant. `words` are
/// the command line's, `cli` its definitions.
pub(super) fn in_one_line(cli: &Command, error: &clap::Error, words: &[OsString]) -> String {
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n");
    let said = paragraphs.next().unwrap_or_default();
    let said = said.trim_start_matches("error: ");
    let said: Vec<_> = said.split_whitespace().collect();
    let said = said.join(" ");
    let mode = words.get(1).and_then(|word| cli.find_subcommand(word));
    let mode = mode.map(Command::get_name);
    let word = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) => Some(word.as_str()),
        _ => None,
    };
    let hint = word
        .and_then(|word| meant(cli, word, mode, words))
        .or_else(|| {
            paragraphs.find_map(|tip| {
                let tip = tip.trim().strip_prefix("tip: a similar")?;
                Some(format!("a similar{}", tip.lines().next()?))
            })
        });
    let followed = error.kind() == ErrorKind::MissingRequiredArgument
        && words.iter().any(|word| word == "-f" || word == "--follow");
    let said = if followed {
        "--follow is of a process: give its number (--pid PID), or a command behind --".to_owned()
    } else {
        said
    };
    let invalid = [ErrorKind::InvalidValue, ErrorKind::ValueValidation];
    let nobody = invalid.contains(&error.kind())
        && matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if value.is_empty())
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(name)) if name.starts_with("--pid"));
    let said = if nobody {
        // As of $(pidof nginx) where none runs.
        "--pid has no number behind it: is there such a process? ps -e shows all that run"
            .to_owned()
    } else {
        said
    };
    let hint = hint.map_or_else(String::new, |hint| format!(": {hint}"));
    let mode = mode.map_or_else(String::new, |mode| format!(" {mode}"));
    format!("{said}{hint} (see truncwatch{mode} --help)")
}

/// What may have been meant with a word that has no place in this mode.
fn meant(cli: &Command, word: &str, mode: Option<&str>, words: &[OsString]) -> Option<String> {
    if word.starts_with('-') {
        return None;
    }
    match mode {
        Some("analyze") => Some(one_at_a_time(words)),
        None if cli.find_subcommand(word).is_some() => Some(format!(
            "options of {word} come behind it: truncwatch {word} ..."
        )),
        None | Some("record") if word.parse::<u32>().is_ok() => {
            Some(format!("a process is watched with --pid {word}"))
        }
        None | Some("record") => Some(match similar_mode(cli, word).filter(|_| mode.is_none()) {
            Some(name) => format!("a similar subcommand exists: '{name}'"),
            None => format!("a command is run with -- {word}"),
        }),
        Some(_) => None,
    }
}

/// The subcommand that a word looks like. clap does not say where there may be
/// options instead of one: asked without them, it does.
fn similar_mode(cli: &Command, word: &str) -> Option<String> {
    let modes = Command::new("truncwatch")
        .subcommands(cli.get_subcommands().cloned())
        .subcommand_required(true);
    let error = modes.try_get_matches_from(["truncwatch", word]).err()?;
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) => names.first().cloned(),
        _ => None,
    }
}

/// What to do with several logs, as strace -ff writes them.
fn one_at_a_time(words: &[OsString]) -> String {
    let logs = words.iter().skip(2).filter_map(|word| word.to_str());
    let stems: Vec<_> = logs
        .filter(|word| !word.starts_with('-'))
        .filter_map(|word| word.rsplit_once('.'))
        .collect();
    let numbered = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    match stems.first() {
        Some((stem, _))
            if stems
                .iter()
                .all(|(other, number)| other == stem && numbered(number)) =>
        {
            format!(
                "the files of strace -ff are judged as one: strace-log-merge {} | truncwatch analyze -",
                analyze::quoted(stem)
            )
        }
        _ => "one file is judged at a time".to_owned(),
    }
}
