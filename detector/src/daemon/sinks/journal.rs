//! Entries of the journal: every field of the JSON object by its own name in
//! capitals, those within others joined by an underscore (`PROCESS_PID`,
//! `MISSING_BYTES`); lists as JSON. A field that is null is left out.

use std::io;

use libsystemd::logging::journal_send;
use serde_json::Value;

use super::entry::Entry;

/// Sends one.
///
/// # Errors
///
/// If there is no journal to take it.
pub(super) fn send(json: &str, entry: &Entry) -> io::Result<()> {
    let fields = fields(json, entry)?;
    journal_send(entry.priority, &entry.text, fields.into_iter()).map_err(io::Error::other)
}

fn fields(json: &str, entry: &Entry) -> io::Result<Vec<(String, String)>> {
    let mut fields = vec![
        ("MESSAGE_ID".to_owned(), entry.id.to_owned()),
        ("SYSLOG_IDENTIFIER".to_owned(), "truncwatch".to_owned()),
    ];
    flatten("", &serde_json::from_str(json)?, &mut fields);
    Ok(fields)
}

fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Null => return,
        Value::Object(object) => {
            for (key, value) in object {
                let key = key.to_ascii_uppercase();
                let name = if name.is_empty() {
                    key
                } else {
                    format!("{name}_{key}")
                };
                flatten(&name, value, fields);
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    };
    fields.push((name.to_owned(), text));
}

#[cfg(test)]
mod tests {
    use libsystemd::logging::Priority;

    use super::*;

    #[test]
    fn fields_are_named_as_in_the_json() -> io::Result<()> {
        let json = r#"{"type":"finding","cause":"desync","process":{"pid":7,"comm":"a\nb","exe":null},
            "socket":{"linger_reset":false},"timeline":[{"t_ms":0.5}]}"#;
        let entry = Entry {
            id: super::super::entry::FINDING,
            priority: Priority::Warning,
            text: String::new(),
        };
        let fields = fields(json, &entry)?;
        let named = |name: &str| {
            let mut found = fields.iter().filter(|(field, _)| field == name);
            (found.next().map(|(_, value)| value.as_str()), found.count())
        };
        assert_eq!(named("CAUSE"), (Some("desync"), 0));
        assert_eq!(named("PROCESS_PID"), (Some("7"), 0));
        assert_eq!(named("PROCESS_COMM"), (Some("a\nb"), 0));
        assert_eq!(named("PROCESS_EXE"), (None, 0));
        assert_eq!(named("SOCKET_LINGER_RESET"), (Some("false"), 0));
        assert_eq!(named("TIMELINE"), (Some(r#"[{"t_ms":0.5}]"#), 0));
        assert_eq!(named("MESSAGE_ID").0.map(str::len), Some(32));
        Ok(())
    }
}
