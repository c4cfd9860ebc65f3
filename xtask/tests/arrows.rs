//! Which room of `detector/src` may use which: the table keeps it free of circles, and
//! keeps clap in `cli`, kernels out of `report`, and HTTP out of `capture::live`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// Each room with those that it may use, from the ground up: a room uses only rooms
/// above its own row, so that no circle can be allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("process", &[]),
    ("process::heap", &[]),
    ("process::affinity", &[]),
    ("process::signals", &[]),
    ("origin", &[]),
    ("check", &[]),
    ("http", &[]),
    ("capture", &[]),
    ("capture::live", &["capture", "check"]),
    ("capture::strace", &["capture", "http"]),
    ("stack", &["process::heap"]),
    ("command", &["process::signals"]),
    ("judge", &["capture", "http"]),
    ("recording", &["capture", "http", "judge", "stack"]),
    ("report", &["check", "judge", "recording", "stack"]),
    ("process::priority", &["report"]),
    (
        "doctor",
        &["capture::live", "check", "judge", "report", "stack"],
    ),
    (
        "watch",
        &[
            "capture",
            "capture::live",
            "command",
            "process::affinity",
            "judge",
            "process::priority",
            "origin",
            "recording",
            "report",
            "process::signals",
            "stack",
        ],
    ),
    (
        "analyze",
        &[
            "capture",
            "capture::strace",
            "http",
            "judge",
            "recording",
            "report",
            "stack",
        ],
    ),
    (
        "daemon",
        &[
            "capture::live",
            "judge",
            "process::heap",
            "process::priority",
            "origin",
            "recording",
            "report",
            "process::signals",
            "watch",
        ],
    ),
    (
        "cli",
        &[
            "analyze",
            "capture::live",
            "daemon",
            "doctor",
            "report",
            "watch",
        ],
    ),
    ("generate", &["cli"]),
    (
        "main",
        &[
            "analyze", "cli", "daemon", "doctor", "generate", "report", "watch",
        ],
    ),
];

/// Folders whose modules are rooms of their own.
const ROOMS_WITHIN: &[(&str, &str)] = &[
    ("capture", "live"),
    ("capture", "strace"),
    ("process", "affinity"),
    ("process", "heap"),
    ("process", "priority"),
    ("process", "signals"),
];

/// Libraries that only these rooms may name.
const LIBRARIES: &[(&str, &[&str])] = &[("clap", &["cli", "generate"])];

/// One use of a room by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    /// The file and the line.
    place: String,
}

/// A file of the crate: its path below `detector/src`, and its text.
type Source = (PathBuf, String);

/// Returns the module that a file is, from the root of the crate.
fn module(path: &Path) -> Vec<String> {
    let mut module: Vec<_> = path
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    module.pop_if(|last| last == "mod");
    module
}

/// Returns the room that a path of modules is in.
fn room(module: &[String]) -> Option<String> {
    let first = module.first()?;
    match module.get(1) {
        Some(second) if ROOMS_WITHIN.contains(&(first.as_str(), second.as_str())) => {
            Some(format!("{first}::{second}"))
        }
        _ => Some(first.clone()),
    }
}

/// Blanks comments, strings and quotation marks, and keeps the lines.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\'") {
            3
        } else if rest.starts_with('"') {
            string(rest)
        } else if raw_string(rest).is_some_and(|_| !is_in_word(&code)) {
            raw_string(rest).unwrap_or(1)
        } else {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        };
        let (blank, behind) = rest.split_at(length);
        let kept = |letter| if letter == '\n' { '\n' } else { ' ' };
        code.extend(blank.chars().map(kept));
        rest = behind;
    }
    code
}

fn is_in_word(code: &str) -> bool {
    code.ends_with(|last: char| last.is_alphanumeric() || last == '_')
}

/// Returns the length of the string that a text begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The same of a raw one, if it is one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?;
    let inner = hashes.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(hashes.len() - inner.len()));
    let inner = inner.strip_prefix('"')?;
    let begins = text.len() - inner.len();
    let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(begins + length)
}

/// Removes what only tests have; returns the names of the modules that are files.
fn without_tests(code: &mut String) -> Vec<String> {
    const TEST: &str = "#[cfg(test)]";
    let mut modules = Vec::new();
    while let Some(start) = code.find(TEST) {
        let item = &code[start..];
        let end = item.find([';', '{']).unwrap_or(item.len() - 1);
        let declared = item[TEST.len()..end].split_whitespace();
        let declared: Vec<_> = declared.skip_while(|word| *word != "mod").collect();
        let length = if item[end..].starts_with('{') {
            block(&item[end..]) + end
        } else {
            if let [_, name, ..] = declared.as_slice() {
                modules.push((*name).to_owned());
            }
            end + 1
        };
        let kept = |letter| if letter == '\n' { '\n' } else { ' ' };
        let blank: String = item[..length].chars().map(kept).collect();
        code.replace_range(start..start + length, &blank);
    }
    modules
}

/// Returns the length of the block in braces that a text begins with.
fn block(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// Takes the paths that begin here, which may be a tree of them (`a::{b, c::d}`), onto
/// `base`.
fn paths(text: &str, base: &[String], found: &mut Vec<Vec<String>>) {
    let text = text.trim_start();
    if text.starts_with('{') {
        let inner = &text[1..block(text).saturating_sub(1).max(1)];
        let mut depth = 0_usize;
        for part in inner.split(|letter| {
            match letter {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            letter == ',' && depth == 0
        }) {
            paths(part, base, found);
        }
        return;
    }
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let end = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut path = base.to_vec();
    match name {
        "" => {}
        "self" => {}
        "super" => {
            path.pop();
        }
        name => path.push(name.to_owned()),
    }
    match rest.trim_start().strip_prefix("::") {
        Some(rest) if !name.is_empty() => paths(rest, &path, found),
        _ => found.push(path),
    }
}

/// A file's code, without comments, strings and what only tests have.
struct Code<'a> {
    path: &'a Path,
    module: Vec<String>,
    text: String,
}

/// Returns the code of the files that not only tests have.
fn codes(sources: &[Source]) -> Vec<Code<'_>> {
    let mut codes = Vec::new();
    let mut tests: BTreeSet<Vec<String>> = BTreeSet::new();
    for (path, text) in sources {
        let module = module(path);
        let mut text = code(text);
        let is_root = path == Path::new("lib.rs");
        let parent: &[String] = if is_root { &[] } else { &module };
        for name in without_tests(&mut text) {
            tests.insert([parent, &[name]].concat());
        }
        if !is_root {
            codes.push(Code { path, module, text });
        }
    }
    codes.retain(|code| !tests.iter().any(|test| code.module.starts_with(test)));
    codes
}

/// Returns whether code names this library.
fn names(code: &str, library: &str) -> bool {
    code.match_indices(library).any(|(at, _)| {
        let rest = &code[at + library.len()..];
        !is_in_word(&code[..at]) && rest.starts_with("::")
    })
}

/// Returns every arrow from one room to another.
fn arrows(codes: &[Code<'_>]) -> Vec<Arrow> {
    let mut all = Vec::new();
    for Code { path, module, text } in codes {
        let own: &[&str] = match *path == Path::new("main.rs") {
            true => &["truncwatch"],
            false => &["crate", "super"],
        };
        let Some(from) = room(module) else { continue };
        for start in own {
            for (at, _) in text.match_indices(start) {
                let (before, rest) = (&text[..at], &text[at + start.len()..]);
                let goes_on = rest.trim_start().strip_prefix("::");
                let Some(rest) = goes_on.filter(|_| !is_in_word(before)) else {
                    continue;
                };
                // Within a path that was followed from its beginning, or the place to
                // which something is visible.
                if before.trim_end().ends_with("::") || before.trim_end().ends_with("(in") {
                    continue;
                }
                let base = match *start {
                    "super" => &module[..module.len() - 1],
                    _ => &[],
                };
                let mut found = Vec::new();
                paths(rest, base, &mut found);
                let line = before.matches('\n').count() + 1;
                let place = format!("detector/src/{}:{line}", path.display());
                all.extend(found.iter().filter_map(|path| {
                    Some(Arrow {
                        from: from.clone(),
                        to: room(path).filter(|to| *to != from)?,
                        place: place.clone(),
                    })
                }));
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Says what is wrong between the table and the sources, a sentence each.
fn faults(allowed: &[(&str, &[&str])], sources: &[Source]) -> Vec<String> {
    let codes = codes(sources);
    let arrows = arrows(&codes);
    let table: BTreeMap<_, _> = allowed.iter().copied().collect();
    let mut said = Vec::new();
    for (row, (room, uses)) in allowed.iter().enumerate() {
        let below = &allowed[..row];
        for used in *uses {
            if !below.iter().any(|(room, _)| room == used) {
                said.push(format!(
                    "the table lets {room} use {used}, which has no row above it: that may close a circle"
                ));
            }
            if !arrows.iter().any(|it| it.from == *room && it.to == *used) {
                said.push(format!(
                    "{room} does not use {used}: take it out of the row of {room} in xtask/tests/arrows.rs"
                ));
            }
        }
    }
    let rooms: BTreeSet<_> = sources
        .iter()
        .filter(|(path, _)| path != Path::new("lib.rs"))
        .filter_map(|(path, _)| room(&module(path)))
        .collect();
    for room in rooms.iter().filter(|it| !table.contains_key(it.as_str())) {
        said.push(format!(
            "{room} has no row in xtask/tests/arrows.rs: give it one, and say in detector/src/lib.rs what it must not do"
        ));
    }
    for (room, _) in allowed.iter().filter(|(room, _)| !rooms.contains(*room)) {
        said.push(format!(
            "there is no {room}: take its row out of xtask/tests/arrows.rs"
        ));
    }
    for code in &codes {
        let Some(room) = room(&code.module) else {
            continue;
        };
        for (library, rooms) in LIBRARIES {
            if !rooms.contains(&room.as_str()) && names(&code.text, library) {
                said.push(format!(
                    "detector/src/{}: only {} may name {library}: take plain values here",
                    code.path.display(),
                    rooms.join(" and ")
                ));
            }
        }
    }
    for Arrow { from, to, place } in &arrows {
        let known = table.contains_key(from.as_str()) && table.contains_key(to.as_str());
        if known && !table[from.as_str()].contains(&to.as_str()) {
            said.push(format!(
                "{place}: {from} must not use {to}: hand it what it needs, or move that to a room below both (xtask/tests/arrows.rs has the arrows)"
            ));
        }
    }
    said
}

fn sources(folder: &Path, below: &Path, found: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            sources(folder, &path, found)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push((path.clone(), fs::read_to_string(folder.join(path))?));
        }
    }
    Ok(())
}

#[test]
fn rooms_use_only_those_that_they_may() -> io::Result<()> {
    let mut found = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../detector/src");
    sources(&folder, Path::new(""), &mut found)?;
    let faults = faults(ALLOWED, &found);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    Ok(())
}

/// A made-up crate in which `report` may use `judge`, and `judge` may use `http`.
fn faults_of(path: &str, text: &str) -> Vec<String> {
    let source = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let allowed: &[(&str, &[&str])] = &[
        ("http", &[]),
        ("capture", &[]),
        ("capture::live", &[]),
        ("judge", &["http"]),
        ("report", &["judge"]),
    ];
    let sources = [
        source(
            "lib.rs",
            "mod http;\nmod judge;\n#[cfg(test)]\nmod example;",
        ),
        source("http.rs", ""),
        source("capture/mod.rs", "pub mod live;\nmod record;"),
        source("capture/live/mod.rs", ""),
        source("judge/mod.rs", "use crate::http::Head;"),
        source("report/mod.rs", "use crate::{\n    judge::Finding,\n};"),
        source(path, text),
    ];
    faults(allowed, &sources)
}

#[test]
fn an_arrow_that_is_added_is_found() {
    assert_eq!(
        faults_of("report/a.rs", "use crate::judge::Judge;"),
        [""; 0]
    );
    for (path, text, line, from, to) in [
        (
            "judge/a.rs",
            "\nuse crate::report::Summary;",
            2,
            "judge",
            "report",
        ),
        (
            "report/a.rs",
            "use crate::{\n    judge::{self, Judge},\n    capture::{Record, live::{Live, Options}},\n};",
            1,
            "report",
            "capture::live",
        ),
        (
            "report/a.rs",
            "fn a() {\n    let live = crate::capture::live::Live;\n}",
            2,
            "report",
            "capture::live",
        ),
        ("http.rs", "use super::judge::Judge;", 1, "http", "judge"),
        (
            "report/a/b.rs",
            "use super::super::super::http;",
            1,
            "report",
            "http",
        ),
        (
            "capture/live/a.rs",
            "use crate::http;",
            1,
            "capture::live",
            "http",
        ),
        (
            "capture/record.rs",
            "use super::live::Live;",
            1,
            "capture",
            "capture::live",
        ),
        (
            "report/a.rs",
            "const A: &str = \"//\"; type B = crate::http::Head;",
            1,
            "report",
            "http",
        ),
        (
            "judge/a.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::report;\n}\nuse crate::report;",
            5,
            "judge",
            "report",
        ),
    ] {
        let faults = faults_of(path, text);
        let expected = format!("detector/src/{path}:{line}: {from} must not use {to}: ");
        assert!(
            faults.iter().any(|fault| fault.starts_with(&expected)),
            "{expected:?} of {text:?}: {faults:?}"
        );
    }
}

#[test]
fn a_library_that_is_named_elsewhere_is_found() {
    let said = |text| {
        let faults = faults_of("report/a.rs", text);
        faults.iter().any(|it| it.contains("may name clap"))
    };
    assert!(said("use clap::Args;"));
    assert!(said("#[derive(clap::Args)]"));
    assert!(!said(
        "// use clap::Args;\nuse clap_mangen::Man; use handclap::A;"
    ));
}

#[test]
fn what_is_no_arrow_is_not_taken_for_one() {
    for (path, text) in [
        ("judge/a.rs", "// As crate::report has it.\n"),
        ("judge/a.rs", "/* use crate::report; */"),
        ("judge/a.rs", "const A: &str = \"crate::report\";"),
        ("judge/a.rs", "const A: &str = r#\"a \" crate::report\"#;"),
        (
            "judge/a.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::report::Summary;\n}",
        ),
        ("judge/a.rs", "#[cfg(test)]\nuse crate::report::Summary;"),
        ("judge/a.rs", "pub(in crate::judge) fn a() {}"),
        ("judge/a/b.rs", "use super::report::Own;"),
        ("judge/a.rs", "use super::Judge;"),
        ("example.rs", "use crate::report::Summary;"),
    ] {
        let faults = faults_of(path, text);
        let arrows = faults.iter().filter(|fault| fault.contains("must not use"));
        assert_eq!(arrows.count(), 0, "{text:?}: {faults:?}");
    }
}

#[test]
fn a_table_that_is_not_true_is_found() {
    let source = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let sources = [
        source("a.rs", "use crate::b;"),
        source("b.rs", ""),
        source("c.rs", ""),
    ];
    let said = faults(&[("a", &["b"]), ("b", &["a"]), ("d", &[])], &sources);
    for what in [
        "the table lets a use b, which has no row above it",
        "b does not use a: take it out",
        "c has no row",
        "there is no d: take its row out",
    ] {
        assert!(
            said.iter().any(|it| it.starts_with(what)),
            "{what}: {said:?}"
        );
    }
}
