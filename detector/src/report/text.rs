//! Text that fits: sentences in lines of whole words, paths without their middle,
//! and nothing that a terminal obeys.

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

/// A path's beginning and its end, which say most.
pub(super) fn cut_in_the_middle(path: &str, kept: usize) -> String {
    let letters: Vec<_> = path.chars().collect();
    if letters.len() <= kept {
        return path.to_owned();
    }
    // The end is the name of a file: it gets the larger half.
    let before = kept.saturating_sub(1) / 2;
    let behind = letters.len() - (kept.saturating_sub(1) - before);
    let start = letters.iter().take(before);
    let end = letters.iter().skip(behind);
    start.chain(&['\u{2026}']).chain(end).collect()
}

/// The text without control characters.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
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

    #[test]
    fn paths_are_cut_in_the_middle_and_keep_their_ends() {
        assert_eq!(cut_in_the_middle("/usr/bin/images", 15), "/usr/bin/images");
        assert_eq!(
            cut_in_the_middle("/usr/bin/images", 10),
            "/usr\u{2026}mages"
        );
    }
}
