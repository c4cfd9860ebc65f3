//! What users read has none of the words that the style forbids: messages, help texts,
//! comments of configuration, README and docs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Words, and rows of words, that are never used.
const FORBIDDEN: &[&[&str]] = &[
    &["told"],
    &["tell", "of"],
    &["tells", "of"],
    &["tell", "so"],
    &["tells", "so"],
    &["anew"],
    &["heeded"],
    &["midst"],
    &["borne", "out"],
    &["besides"],
    &["in", "place", "of"],
    &["as", "far", "as"],
    &["somebody"],
    &["nobody"],
    &["whoever"],
    &["so", "many"],
];

/// Phrases that hold such a row, and mean something else.
const ALLOWED: &[&str] = &["told apart"];

/// Returns the forbidden rows of words in a text.
fn forbidden(text: &str) -> Vec<String> {
    let mut text = text.to_lowercase();
    for phrase in ALLOWED {
        text = text.replace(phrase, "");
    }
    // What is between braces is a name in a format.
    let mut depth = 0_usize;
    let plain: String = text
        .chars()
        .map(|letter| {
            depth += usize::from(letter == '{');
            let inside = depth > 0;
            depth -= usize::from(letter == '}' && inside);
            if inside { '.' } else { letter }
        })
        .collect();
    let words: Vec<_> = plain
        .split(|letter: char| letter.is_whitespace())
        .map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .collect();
    let has = |row: &&&[&str]| words.windows(row.len()).any(|part| part == **row);
    let rows = FORBIDDEN.iter().filter(has);
    rows.map(|row| row.join(" ")).collect()
}

/// Returns the strings of a source file, without those of its tests, each with its line.
fn strings(source: &str) -> Vec<(usize, String)> {
    let end = source.find("#[cfg(test)]\nmod ").unwrap_or(source.len());
    let source = &source[..end];
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(letter) = source[at..].chars().next() {
        let rest = &source[at..];
        let raw = rest.starts_with("r\"") || rest.starts_with("r#");
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\"'") {
            3
        } else if raw && rest.trim_start_matches(['r', '#']).starts_with('"') {
            let hashes = rest[1..].chars().take_while(|letter| *letter == '#');
            let hashes = "#".repeat(hashes.count());
            let start = hashes.len() + 2;
            let inner = rest[start..].find(&format!("\"{hashes}"));
            let inner = inner.unwrap_or(rest.len() - start);
            found.push((line, rest[start..start + inner].to_owned()));
            (start + inner + 1 + hashes.len()).min(rest.len())
        } else if letter == '"' {
            let mut escaped = false;
            let inner = rest[1..].find(|letter| {
                let ends = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                ends
            });
            let inner = inner.unwrap_or(rest.len() - 1);
            found.push((
                line,
                rest[1..=inner].replace("\\\n", " ").replace("\\n", " "),
            ));
            (inner + 2).min(rest.len())
        } else {
            letter.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

/// Returns the doc comments of a source file, in which clap finds help texts.
fn doc_comments(source: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut last = 0;
    for (number, line) in source.lines().enumerate() {
        let Some(text) = line.trim_start().strip_prefix("/// ") else {
            continue;
        };
        match found.last_mut() {
            Some((_, comment)) if last + 1 == number => {
                comment.push(' ');
                comment.push_str(text);
            }
            _ => found.push((number + 1, text.to_owned())),
        }
        last = number;
    }
    found
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn is_source(path: &Path) -> bool {
    let tests = ["tests", "histories", "snapshots"];
    let test = |part: &std::ffi::OsStr| tests.iter().any(|name| part == *name);
    path.extension().is_some_and(|it| it == "rs") && !path.iter().any(test)
}

#[test]
fn users_read_none_of_the_forbidden_words() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    let mut look = |path: &Path, line: usize, text: &str| {
        for words in forbidden(text) {
            let path = path.strip_prefix(&root).unwrap_or(path).display();
            found.push(format!("{path}:{line}: {words:?}"));
        }
    };
    for folder in ["detector/src", "machines/src"] {
        let mut all = Vec::new();
        files(&root.join(folder), &mut all)?;
        for path in all.iter().filter(|path| is_source(path)) {
            let source = fs::read_to_string(path)?;
            for (line, text) in strings(&source) {
                look(path, line, &text);
            }
            if path.starts_with(root.join("detector/src/cli")) {
                for (line, text) in doc_comments(&source) {
                    look(path, line, &text);
                }
            }
        }
    }
    let mut texts = vec![root.join("README.md"), root.join("SECURITY.md")];
    files(&root.join("docs"), &mut texts)?;
    files(&root.join("packaging"), &mut texts)?;
    let read = ["md", "toml", "yml", "yaml", "service"];
    for path in texts {
        if path
            .extension()
            .is_some_and(|it| read.iter().any(|read| it == *read))
        {
            for (line, text) in fs::read_to_string(&path)?.lines().enumerate() {
                look(&path, line + 1, text);
            }
        }
    }
    assert!(
        found.is_empty(),
        "the style forbids these words (xtask/tests/words.rs):\n{}",
        found.join("\n")
    );
    Ok(())
}

#[test]
fn a_forbidden_word_is_found() {
    assert_eq!(forbidden("It is Told, of so\nmany."), ["told", "so many"]);
    assert_eq!(
        forbidden("tells apart; told apart; {told} {so many} retold"),
        [""; 0]
    );
    let source = "// \"a\"\nlet b = '\"'; \"c \\\" d\\\n  e\"; r#\"f \" g\"#;\n#[cfg(test)]\nmod tests { \"h\" }";
    let expected = [(2, "c \\\" d   e".to_owned()), (3, "f \" g".to_owned())];
    assert_eq!(strings(source), expected);
    assert_eq!(
        doc_comments("/// a\n/// b\nfn c() {}\n/// d\n"),
        [(1, "a b".to_owned()), (4, "d".to_owned())]
    );
}
