//! Sentences in lines of whole words.

/// A sentence in lines, the later ones indented by two more than the first; in
/// one where it is not known how long they may be.
pub(super) fn wrapped(text: &str, columns: Option<u16>) -> Vec<String> {
    let Some(room) = columns.map(usize::from) else {
        return vec![text.to_owned()];
    };
    let indent = text.len() - text.trim_start().len();
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            None => lines.push(format!("{:indent$}{word}", "")),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{:indent$}  {word}", "")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole() {
        assert_eq!(wrapped("  a bc  d", None), ["  a bc  d"]);
        assert_eq!(wrapped("  a bc d", Some(40)), ["  a bc d"]);
        assert_eq!(wrapped("  a bc d", Some(6)), ["  a bc", "    d"]);
        assert_eq!(wrapped("a longest b", Some(4)), ["a", "  longest", "  b"]);
    }
}
