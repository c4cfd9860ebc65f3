//! Links of the README, of the book (`docs/`) and of every other page of the
//! repository: each names a file that exists, and a heading that this file has.
//! So does what source files and `packaging/` name as `docs/….md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Component, Path, PathBuf},
};

/// Where pages of the book link to for files that are not in the book.
const TREE: &str = "https://github.com/truncwatch/truncwatch/blob/main/";

/// The folder of the book's pages.
const BOOK: &str = "docs/";

/// Ends of the names of files whose text is searched for names of pages.
const TEXTS: [&str; 6] = [".rs", ".toml", ".service", ".yml", ".yaml", ".in"];

/// A link and the line that has it.
struct Link {
    line: usize,
    target: String,
}

/// Removes inline code from a line. `in_code` says whether the line begins in
/// code that an earlier line of the paragraph began, and is updated.
fn without_code(line: &str, in_code: &mut bool) -> String {
    *in_code &= !line.trim().is_empty();
    let mut text = String::new();
    for (number, part) in line.split('`').enumerate() {
        *in_code ^= number > 0;
        if !*in_code {
            text.push_str(part);
        }
    }
    text
}

/// Returns the lines of a page that are not in a fenced block, with their numbers.
fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    page.lines().enumerate().filter_map(move |(number, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((number + 1, line))
    })
}

/// Returns the inline links of a page; a link's text may go over the end of a line.
fn links(page: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (line, text) in prose(page) {
        let text = without_code(text, &mut in_code);
        for (at, _) in text.match_indices("](") {
            let rest = &text[at + 2..];
            if let Some(end) = rest.find(')') {
                let target = rest[..end].to_owned();
                found.push(Link { line, target });
            }
        }
    }
    found
}

/// Returns the anchor that GitHub and mdBook make of a heading.
fn anchor(heading: &str) -> String {
    let mut anchor = String::new();
    for character in heading.trim().chars() {
        match character {
            ' ' => anchor.push('-'),
            '-' | '_' => anchor.push(character),
            _ if character.is_alphanumeric() => anchor.extend(character.to_lowercase()),
            _ => {}
        }
    }
    anchor
}

/// Returns the anchors of a page; a heading that repeats has a number.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut counts = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (_, line) in prose(page) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let anchor = anchor(heading);
        let count = counts.entry(anchor.clone()).or_insert(0_usize);
        found.insert(match *count {
            0 => anchor,
            count => format!("{anchor}-{count}"),
        });
        *count += 1;
    }
    found
}

/// Resolves a relative path against the folder of the page that has it; `None`
/// outside the repository.
fn resolve(page: &str, target: &str) -> Option<String> {
    let folder = Path::new(page).parent()?;
    let mut path = PathBuf::new();
    for component in folder.join(target).components() {
        match component {
            Component::ParentDir if !path.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            other => path.push(other),
        }
    }
    Some(path.to_str()?.to_owned())
}

/// Returns what is wrong with a link, if anything is. `files` are all files of
/// the repository and their folders, the text beside those that are pages.
fn fault(page: &str, target: &str, files: &BTreeMap<String, Option<String>>) -> Option<String> {
    let (target, is_url) = match target.strip_prefix(TREE) {
        Some(path) => (path, true),
        None if target.contains("://") => return None,
        None => (target, false),
    };
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = match (path, is_url) {
        ("", _) => page.to_owned(),
        (path, true) => path.trim_end_matches('/').to_owned(),
        (path, false) => match resolve(page, path) {
            Some(file) => file,
            None => return Some("leaves the repository".to_owned()),
        },
    };
    let Some(text) = files.get(&file) else {
        return Some(format!("there is no {file}"));
    };
    if !is_url && page.starts_with(BOOK) && !file.starts_with(BOOK) {
        return Some(format!("leaves the book: write {TREE}{file}"));
    }
    if page.starts_with(BOOK)
        && !page.ends_with("SUMMARY.md")
        && path.ends_with("README.md")
        && !is_url
    {
        return Some("mdBook gives a README.md another name".to_owned());
    }
    let is_there = text
        .as_deref()
        .is_none_or(|text| anchors(text).contains(heading));
    (!heading.is_empty() && !is_there).then(|| format!("{file} has no heading #{heading}"))
}

/// Returns the names of pages (`docs/….md`) in a text that is not a page.
fn named_pages(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("docs/").filter_map(|(at, _)| {
        let rest = &text[at..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        let end = name.find(".md")? + ".md".len();
        Some(&name[..end])
    })
}

/// Puts all files below a folder into the map, but for what is built.
fn read(
    root: &Path,
    folder: &Path,
    files: &mut BTreeMap<String, Option<String>>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(".git") || name == "target" {
            continue;
        }
        let text = if path.is_dir() {
            read(root, &path, files)?;
            None
        } else if name.ends_with(".md") || TEXTS.iter().any(|end| name.ends_with(end)) {
            Some(fs::read_to_string(&path)?)
        } else {
            None
        };
        let relative = path.strip_prefix(root).unwrap_or(&path);
        files.insert(relative.to_string_lossy().into_owned(), text);
    }
    Ok(())
}

fn repository() -> io::Result<BTreeMap<String, Option<String>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = BTreeMap::new();
    read(&root, &root, &mut files)?;
    Ok(files)
}

#[test]
fn every_link_names_a_file_and_a_heading() -> io::Result<()> {
    let files = repository()?;
    let mut faults = Vec::new();
    let mut links_seen = 0;
    for (page, text) in &files {
        let Some(text) = text.as_deref().filter(|_| page.ends_with(".md")) else {
            continue;
        };
        for link in links(text) {
            links_seen += 1;
            if let Some(fault) = fault(page, &link.target, &files) {
                faults.push(format!("{page}:{}: {}: {fault}", link.line, link.target));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
    assert!(links_seen > 100, "only {links_seen} links were found");
    Ok(())
}

#[test]
fn every_page_that_other_files_name_exists() -> io::Result<()> {
    let files = repository()?;
    let mut faults = Vec::new();
    let mut names_seen = 0;
    for (file, text) in &files {
        let Some(text) = text.as_deref() else {
            continue;
        };
        if file.ends_with(".md") || file == "xtask/tests/links.rs" {
            continue;
        }
        for name in named_pages(text) {
            names_seen += 1;
            if !files.contains_key(name) {
                faults.push(format!("{file} names {name}"));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
    assert!(names_seen > 5, "only {names_seen} names were found");
    Ok(())
}

#[test]
fn every_page_is_in_the_summary() -> io::Result<()> {
    let files = repository()?;
    let summary = "docs/SUMMARY.md";
    let text = files.get(summary).cloned().flatten().unwrap_or_default();
    let named: BTreeSet<_> = links(&text)
        .iter()
        .filter_map(|link| resolve(summary, &link.target))
        .collect();
    let pages: BTreeSet<_> = files
        .keys()
        .filter(|file| file.starts_with(BOOK) && file.ends_with(".md") && *file != summary)
        .cloned()
        .collect();
    assert_eq!(named, pages);
    Ok(())
}

#[test]
fn a_broken_link_is_a_fault() {
    let page = |text: &str| Some(text.to_owned());
    let files = BTreeMap::from([
        ("README.md".to_owned(), page("# A\n")),
        (
            "docs/a.md".to_owned(),
            page("# One two: 3.x\n```\n# code\n```\n## One two: 3.x\n"),
        ),
        ("docs/README.md".to_owned(), page("# B\n")),
        ("xtask".to_owned(), None),
    ]);
    let ok = |from: &str, target: &str| fault(from, target, &files).is_none();
    assert!(ok("README.md", "docs/a.md#one-two-3x-1"));
    assert!(ok("README.md", "#a"));
    assert!(ok("docs/a.md", &format!("{TREE}README.md#a")));
    assert!(ok("docs/a.md", "https://example.com/none"));
    assert!(ok("README.md", "xtask"));
    assert!(!ok("README.md", "docs/b.md"));
    assert!(!ok("README.md", "docs/a.md#code"));
    assert!(!ok("README.md", "../other"));
    assert!(!ok("docs/a.md", "../README.md"));
    assert!(!ok("docs/a.md", "README.md"));
    assert!(!ok("docs/a.md", &format!("{TREE}none.md")));
}

#[test]
fn links_are_read_from_prose_only() {
    let page = "[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```\nsee [g\nh](i.md#j), `k\n[l](m.md)` [n](o.md)\n";
    let found: Vec<_> = links(page)
        .into_iter()
        .map(|link| (link.line, link.target))
        .collect();
    assert_eq!(
        found,
        [
            (1, "b.md".to_owned()),
            (6, "i.md#j".to_owned()),
            (7, "o.md".to_owned())
        ]
    );
    let named: Vec<_> = named_pages("see docs/json.md, (docs/a/b.md#c docs/ x").collect();
    assert_eq!(named, ["docs/json.md", "docs/a/b.md"]);
}
