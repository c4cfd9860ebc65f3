//! The committed file with the sums, and the table in the documentation that quotes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use host::root;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use xshell::cmd;

/// The sums.
const FILE: &str = "docs/proved.json";

/// The page that quotes them, and what is around the table there.
const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- cargo xtask prove writes this table -->\n";
const END: &str = "<!-- end of the table -->\n";

/// The version of the kernel that runs.
const KERNEL: &str = "/proc/sys/kernel/osrelease";

/// The sums that the page quotes: those of the latest sources.
const QUOTED: usize = 3;

/// What a batch proved.
pub(super) type Counts = BTreeMap<&'static str, u64>;

/// All sums, the newest first.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    sums: Vec<Sum>,
}

/// The sum of one state of the sources.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    /// Their hash.
    sources: String,
    /// The commit that was checked out when it began; not the sources', if these were edited.
    commit: String,
    /// The days of the first and of the last batch.
    began: String,
    last: String,
    kernels: BTreeSet<String>,
    groups: BTreeMap<String, Group>,
}

/// What the batches of a group proved.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Group {
    batches: u64,
    counts: BTreeMap<String, u64>,
}

/// How many batches of a group the sum of these sources has.
pub(super) fn batches(sources: &str, group: &str) -> Result<u64> {
    let sums = Sums::load()?;
    let sum = sums.sums.iter().find(|sum| sum.sources == sources);
    let group = sum.and_then(|sum| sum.groups.get(group));
    Ok(group.map_or(0, |group| group.batches))
}

/// Adds a batch, and saves file and table; what the group has now, in words.
pub(super) fn add(sources: &str, group: &str, counts: &Counts) -> Result<String> {
    let mut sums = Sums::load()?;
    let run = Run {
        commit: commit()?,
        day: Timestamp::now().strftime("%F").to_string(),
        kernel: number_of(&fs::read_to_string(KERNEL)?).to_owned(),
    };
    let all = sums.add(sources, group, counts, run).in_words();
    sums.save()?;
    Ok(all)
}

/// When and where a batch was run.
struct Run {
    commit: String,
    day: String,
    kernel: String,
}

/// The number of a kernel's version, without what its builder adds.
fn number_of(kernel: &str) -> &str {
    let is_other = |letter: char| !letter.is_ascii_digit() && letter != '.';
    kernel.split(is_other).next().unwrap_or(kernel)
}

/// The commit that is checked out; nothing in a tree without git.
fn commit() -> Result<String> {
    let shell = root::shell()?;
    let read = cmd!(shell, "git rev-parse --short=7 HEAD")
        .quiet()
        .ignore_stderr()
        .read();
    Ok(read.unwrap_or_default())
}

impl Sums {
    fn load() -> Result<Self> {
        match fs::read(root::folder().join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| FILE.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| FILE.to_owned()),
        }
    }

    fn add(&mut self, sources: &str, group: &str, counts: &Counts, run: Run) -> &Group {
        // The newest first, also where older sources are back.
        let known = self.sums.iter().position(|sum| sum.sources == sources);
        let mut sum = match known {
            Some(at) => self.sums.remove(at),
            None => Sum {
                sources: sources.to_owned(),
                commit: run.commit,
                began: run.day.clone(),
                ..Sum::default()
            },
        };
        sum.last = run.day;
        sum.kernels.insert(run.kernel);
        let to = sum.groups.entry(group.to_owned()).or_default();
        to.batches += 1;
        for (name, count) in counts {
            *to.counts.entry((*name).to_owned()).or_default() += count;
        }
        self.sums.insert(0, sum);
        self.sums[0].groups.entry(group.to_owned()).or_default()
    }

    fn save(&self) -> Result<()> {
        let page =
            fs::read_to_string(root::folder().join(PAGE)).with_context(|| PAGE.to_owned())?;
        let page = self.quoted_by(&page)?;
        replace(FILE, &format!("{}\n", serde_json::to_string_pretty(self)?))?;
        replace(PAGE, &page)
    }

    /// The page with the table of these sums.
    fn quoted_by(&self, page: &str) -> Result<String> {
        let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(END)?;
            Some((before, after))
        });
        let (before, after) =
            parts.with_context(|| format!("{PAGE} has no place for the table: {BEGIN}{END}"))?;
        Ok(format!("{before}{BEGIN}{}{END}{after}", self.table()?))
    }

    /// A row for each count, a column for each state of the sources.
    fn table(&self) -> Result<String> {
        let sums = &self.sums[..QUOTED.min(self.sums.len())];
        if sums.is_empty() {
            return Ok(String::new());
        }
        let mut table = String::new();
        let mut row =
            |name: &str, cells: Vec<String>| writeln!(table, "| {name} | {} |", cells.join(" | "));
        row(
            "sources",
            sums.iter()
                .map(|sum| format!("`{}`", sum.sources))
                .collect(),
        )?;
        row("---", sums.iter().map(|_| "---".to_owned()).collect())?;
        row(
            "begun at commit",
            sums.iter().map(|sum| sum.commit.clone()).collect(),
        )?;
        row(
            "from, to",
            sums.iter()
                .map(|sum| format!("{}, {}", sum.began, sum.last))
                .collect(),
        )?;
        let kernels = |sum: &Sum| Vec::from_iter(sum.kernels.iter().map(String::as_str)).join(", ");
        row("Linux", sums.iter().map(kernels).collect())?;
        let names: BTreeSet<(&str, &str)> = sums
            .iter()
            .flat_map(|sum| &sum.groups)
            .flat_map(|(group, of)| of.counts.keys().map(|name| (group.as_str(), name.as_str())))
            .collect();
        for (group, name) in names {
            let count = |sum: &Sum| {
                let count = sum.groups.get(group).and_then(|of| of.counts.get(name));
                count.map_or_else(|| "-".to_owned(), |count| grouped(*count))
            };
            row(
                &format!("{group}: {name}"),
                sums.iter().map(count).collect(),
            )?;
        }
        Ok(table)
    }
}

impl Group {
    fn in_words(&self) -> String {
        let counts = self.counts.iter();
        let counts = counts.map(|(name, count)| format!("{} {name}", grouped(*count)));
        Vec::from_iter(counts).join(", ")
    }
}

/// With a comma before each three digits.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Replaces a file of the workspace as a whole: a kill leaves the old one or the new one.
fn replace(file: &str, text: &str) -> Result<()> {
    let file = root::folder().join(file);
    let mut new = file.clone().into_os_string();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || {
        fs::write(&new, text)?;
        fs::rename(&new, &file)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(day: &str) -> Run {
        Run {
            commit: "abc".to_owned(),
            day: day.to_owned(),
            kernel: "6.18".to_owned(),
        }
    }

    #[test]
    fn batches_of_the_same_sources_are_added_up() {
        let mut sums = Sums::default();
        sums.add("one", "fuzz", &[("inputs", 3)].into(), run("2026-01-01"));
        sums.add("one", "fuzz", &[("inputs", 4)].into(), run("2026-01-02"));
        sums.add(
            "one",
            "kills",
            &[("daemons killed", 5)].into(),
            run("2026-01-03"),
        );
        let [sum] = &sums.sums[..] else {
            panic!("{} sums", sums.sums.len());
        };
        assert_eq!((&*sum.began, &*sum.last), ("2026-01-01", "2026-01-03"));
        assert_eq!(sum.groups["fuzz"].batches, 2);
        assert_eq!(sum.groups["fuzz"].counts["inputs"], 7);
        assert_eq!(sum.groups["kills"].batches, 1);
    }

    #[test]
    fn other_sources_begin_a_new_sum() -> Result<()> {
        let mut sums = Sums::default();
        sums.add(
            "one",
            "fuzz",
            &[("inputs", 1_234_567)].into(),
            run("2026-01-01"),
        );
        sums.add("two", "fuzz", &[("inputs", 4)].into(), run("2026-01-02"));
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        let quoted = sums.quoted_by(&page)?;
        assert_eq!(
            quoted,
            format!(
                "a\n{BEGIN}| sources | `two` | `one` |\n| --- | --- | --- |\n\
                 | begun at commit | abc | abc |\n\
                 | from, to | 2026-01-02, 2026-01-02 | 2026-01-01, 2026-01-01 |\n\
                 | Linux | 6.18 | 6.18 |\n| fuzz: inputs | 4 | 1,234,567 |\n{END}b\n"
            )
        );
        assert_eq!(sums.quoted_by(&quoted)?, quoted);
        assert!(sums.quoted_by("no table").is_err());
        Ok(())
    }

    #[test]
    fn kernels_are_named_by_their_numbers() {
        assert_eq!(number_of("6.12.118-1-amd64\n"), "6.12.118");
    }

    #[test]
    fn the_page_quotes_the_file() -> Result<()> {
        let page = fs::read_to_string(root::folder().join(PAGE))?;
        assert_eq!(Sums::load()?.quoted_by(&page)?, page);
        Ok(())
    }
}
