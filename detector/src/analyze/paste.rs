//! Logs that went through other hands: what a mail, grep(1), journalctl(1) and the
//! like put before each line, and the colours of a terminal.
//!
//! What stands before the lines is learned from the first of them, and taken off
//! where it is told apart. Where each line has its number, or its program, that is
//! looked at: lines that are missing may refute what the others seem to show, and
//! two programs' lines are not one log.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use crate::capture::strace::reads;

/// Lines that are looked at.
const LOOKS: usize = 60;

/// What may stand before one another.
const LAYERS: usize = 3;

/// Widest that is taken off without being known.
const WIDEST: usize = 100;

/// journald drops what a service writes beyond so many lines in a while, and tells it
/// elsewhere (`RateLimitBurst=` in journald.conf(5); the least that was ever its own).
const BURST: u64 = 1000;

/// Something that stands before each line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Layer {
    /// `> ` or `>> `, of mails.
    Quote,
    /// `17:` or `17-`, of grep -n; `17` and blanks, of cat -n.
    Number,
    /// `Nov 21 03:15:02 host prog[123]: `, of journalctl and syslog.
    Journal,
    /// The same time without more: ts(1), docker logs -t.
    Date,
    /// `web-1  | `, of docker compose.
    Compose,
    /// `[pod/web/app] `, of kubectl logs --prefix.
    Pod,
    /// The same on each line.
    Same(Vec<u8>),
}

/// What one layer comes to.
#[derive(Clone, Copy, Debug)]
struct Stripped<'a> {
    /// Whose line it is.
    source: &'a [u8],
    number: Option<u64>,
    rest: &'a [u8],
}

/// A line, as it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pasted<'a> {
    /// This.
    Line(Cow<'a, [u8]>),
    /// Another program's.
    Foreign,
    /// Others are missing before it.
    Gap(Cow<'a, [u8]>),
    /// None that has what the others have.
    Unreadable,
}

/// How a log was pasted.
#[derive(Clone, Debug, Default)]
pub(super) struct Paste {
    layers: Vec<Layer>,
    /// Whose lines are read.
    source: Vec<u8>,
    number: Option<u64>,
    begun: bool,
    lines: u64,
    /// Another program has such lines too.
    pub(super) mixed: Option<String>,
    /// Lines that could not be read have quotes that strace does not write.
    pub(super) typographic: bool,
}

impl Paste {
    /// Learns it from the first bytes of a log.
    pub(super) fn learn(sample: &[u8]) -> Self {
        let plain: Vec<Cow<'_, [u8]>> = sample
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .filter(|line| !line.trim_ascii().is_empty())
            .take(LOOKS)
            .map(plain)
            .collect();
        let lines: Vec<&[u8]> = plain.iter().map(AsRef::as_ref).collect();
        let (_, layers) = search(&lines, LAYERS);
        let mut paste = Self {
            layers,
            ..Self::default()
        };
        for line in &lines {
            if let Some((source, _, rest)) = paste.strip(line)
                && reads(rest).is_some()
            {
                paste.source = source;
                break;
            }
        }
        paste
    }

    /// The next line.
    pub(super) fn line<'a>(&mut self, text: &'a [u8]) -> Pasted<'a> {
        let text = plain(text);
        if self.layers.is_empty() || text.trim_ascii().is_empty() {
            return Pasted::Line(text);
        }
        let Some((source, number, rest)) = self.strip(&text) else {
            let ruled = text.starts_with(b"-- ") && text.ends_with(b" --");
            return match text.as_ref() {
                b"--" => Pasted::Gap(Cow::Borrowed(b"")),
                _ if ruled => Pasted::Line(text),
                // What was written above it.
                other if !self.begun && reads(other).is_none() => Pasted::Foreign,
                _ => Pasted::Unreadable,
            };
        };
        let rest = Cow::Owned(rest.to_vec());
        self.begun = true;
        if source != self.source {
            if reads(&rest).is_some() {
                let names = [&source, &self.source]
                    .map(|name| String::from_utf8_lossy(name).trim().to_owned());
                self.mixed = Some(names.join(" and "));
                return Pasted::Unreadable;
            }
            return if memmem::find(&rest, b"uppressed ").is_some() {
                Pasted::Gap(Cow::Borrowed(b""))
            } else {
                Pasted::Foreign
            };
        }
        self.lines += 1;
        let last = std::mem::replace(&mut self.number, number);
        let gap = matches!((last, number), (Some(last), Some(number)) if last + 1 != number);
        if gap || (self.lines > BURST && self.layers.contains(&Layer::Journal)) {
            return Pasted::Gap(rest);
        }
        Pasted::Line(rest)
    }

    /// A line could not be read: this may be why.
    pub(super) fn unreadable(&mut self, text: &[u8]) {
        self.typographic |= is_typographic(text);
    }

    /// Takes all layers off: whose line it is, its number, and what is left.
    fn strip<'a>(&self, line: &'a [u8]) -> Option<(Vec<u8>, Option<u64>, &'a [u8])> {
        let (mut source, mut number, mut rest) = (Vec::new(), None, line);
        for layer in &self.layers {
            let stripped = strip(layer, rest)?;
            source.extend_from_slice(stripped.source);
            number = number.or(stripped.number);
            rest = stripped.rest;
        }
        Some((source, number, rest))
    }
}

/// The layers that make the most lines readable, and how many those are.
fn search(lines: &[&[u8]], deep: usize) -> (usize, Vec<Layer>) {
    let numbered = counts_up(lines);
    let readable = if numbered {
        0
    } else {
        lines.iter().filter(|line| reads(line).is_some()).count()
    };
    let mut best = (readable, Vec::new());
    // Most lines are strace's: nothing is before them.
    if deep == 0 || readable * 2 > lines.len() || lines.is_empty() {
        return best;
    }
    let same = same(lines).map(Layer::Same);
    let known = [
        Layer::Quote,
        Layer::Journal,
        Layer::Date,
        Layer::Number,
        Layer::Compose,
        Layer::Pod,
    ];
    for layer in known.into_iter().chain(same) {
        let left: Vec<&[u8]> = lines
            .iter()
            .filter_map(|line| strip(&layer, line))
            .map(|stripped| stripped.rest)
            .collect();
        // A few lines may be about the others.
        if left.len() * 2 <= lines.len() {
            continue;
        }
        let (score, mut more) = search(&left, deep - 1);
        let shorter = score == best.0 && more.len() + 1 < best.1.len();
        if score > best.0 || shorter {
            more.insert(0, layer);
            best = (score, more);
        }
    }
    best
}

/// Whether lines have numbers before them that seem to be threads', and count lines.
fn counts_up(lines: &[&[u8]]) -> bool {
    let pids: Vec<_> = lines.iter().map_while(|line| reads(line)?).collect();
    pids.len() >= 3
        && pids.len() == lines.len()
        && pids.is_sorted_by(|a, b| a.checked_add(1) == Some(*b))
}

/// What all lines begin with, before what reads as a line of strace's.
fn same(lines: &[&[u8]]) -> Option<Vec<u8>> {
    if lines.len() < 2 {
        return None;
    }
    let (first, end) = lines.iter().find_map(|line| Some((line, begins(line)?)))?;
    let alike = lines.iter().fold(end, |end, line| {
        let same = first.iter().zip(*line).take_while(|(a, b)| a == b).count();
        end.min(same)
    });
    // Up to the end of a word.
    let word = |at: &usize| first.get(at - 1).is_some_and(u8::is_ascii_alphanumeric);
    let end = (1..=alike).rev().find(|at| !word(at))?;
    let prefix = first.get(..end)?;
    // A string within another text is not as strace wrote it.
    let plain = !prefix.iter().any(|byte| br#""'{("#.contains(byte));
    plain.then(|| prefix.to_vec())
}

/// Where on a line something begins that reads as one of strace's, if that is not at
/// its start.
fn begins(line: &[u8]) -> Option<usize> {
    let word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (1..line.len().min(WIDEST)).find(|at| {
        let apart = !word(line.get(at - 1)) && line.get(*at) != Some(&b' ');
        apart && line.get(*at..).is_some_and(|rest| reads(rest).is_some())
    })
}

fn strip<'a>(layer: &Layer, line: &'a [u8]) -> Option<Stripped<'a>> {
    let bare = line.trim_ascii_start();
    let only = |rest| {
        Some(Stripped {
            source: b"",
            number: None,
            rest,
        })
    };
    match layer {
        Layer::Quote => {
            let mut rest = bare.strip_prefix(b">")?;
            loop {
                let next = rest.trim_ascii_start();
                match next.strip_prefix(b">") {
                    Some(behind) => rest = behind,
                    None => return only(next),
                }
            }
        }
        Layer::Number => {
            let digits = bare.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (number, rest) = bare.split_at_checked(digits)?;
            let number = std::str::from_utf8(number).ok()?.parse().ok()?;
            let rest = match rest {
                [b':' | b'-' | b'\t', rest @ ..] | [b' ', b' ', rest @ ..] => rest,
                _ => return None,
            };
            Some(Stripped {
                source: b"",
                number: Some(number),
                rest,
            })
        }
        Layer::Date => only(date(bare)?),
        Layer::Journal => {
            let behind = date(bare)?;
            let host = memchr(b' ', behind)?;
            let tag = behind.get(host + 1..)?;
            let end = memmem::find(tag, b": ")
                .or_else(|| tag.ends_with(b":").then(|| tag.len().saturating_sub(1)))?;
            let name = tag.get(..end)?;
            if host == 0 || name.is_empty() || name.iter().any(|byte| br#" ("<"#.contains(byte)) {
                return None;
            }
            Some(Stripped {
                source: behind.get(..host + 1 + end)?,
                number: None,
                rest: tag.get(end + 1..)?.trim_ascii_start(),
            })
        }
        Layer::Compose => {
            let bar = memchr(b'|', bare)?;
            let (name, rest) = bare.split_at_checked(bar)?;
            let source = name.trim_ascii_end();
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.@/".contains(byte);
            if source.is_empty() || source == name || !source.iter().all(plain) {
                return None;
            }
            Some(Stripped {
                source,
                number: None,
                rest: rest.get(1..)?,
            })
        }
        Layer::Pod => {
            let inside = bare.strip_prefix(b"[")?;
            let end = memchr(b']', inside)?;
            let source = inside.get(..end)?;
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(byte);
            if !source.contains(&b'/') || !source.iter().all(plain) {
                return None;
            }
            Some(Stripped {
                source,
                number: None,
                rest: inside.get(end + 1..)?,
            })
        }
        Layer::Same(prefix) => only(line.strip_prefix(prefix.as_slice())?),
    }
}

/// What is behind a time: `Nov 21 03:15:02 `, `2026-11-21T03:15:02.123Z `.
fn date(text: &[u8]) -> Option<&[u8]> {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let like = |text: &[u8], form: &[u8]| {
        text.len() >= form.len()
            && text.iter().zip(form).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b' '),
                form => byte == form,
            })
    };
    let rest = if MONTHS.iter().any(|month| text.starts_with(month)) {
        let rest = text.get(3..)?.strip_prefix(b" ")?.trim_ascii_start();
        let day = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest.get(day..)?.strip_prefix(b" ")?
    } else if like(text, b"0000-00-00T00:00:00") {
        text.get(11..)?
    } else {
        return None;
    };
    if !like(rest, b"00:00:00") {
        return None;
    }
    let behind = rest.get(8..)?;
    let end = memchr(b' ', behind)?;
    let zone = behind.get(..end)?;
    zone.iter()
        .all(|byte| byte.is_ascii_digit() || b".,Z+-:".contains(byte))
        .then(|| behind.get(end + 1..))?
}

/// A line without what is for terminals and editors only: colours, blanks that break
/// no line, the mark that a file begins with. strace writes none of those.
fn plain(line: &[u8]) -> Cow<'_, [u8]> {
    const BLANK: &[u8] = "\u{a0}".as_bytes();
    const MARKS: [&[u8]; 2] = ["\u{feff}".as_bytes(), "\u{200b}".as_bytes()];
    if line.is_ascii() && memchr(0x1b, line).is_none() {
        return Cow::Borrowed(line);
    }
    let mut plain = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.first() {
        let length = match first {
            0x1b => escape(rest),
            0xc2 if rest.starts_with(BLANK) => {
                plain.push(b' ');
                BLANK.len()
            }
            0xe2 | 0xef => MARKS
                .iter()
                .find(|mark| rest.starts_with(mark))
                .map_or(0, |mark| mark.len()),
            _ => 0,
        };
        if length == 0 {
            plain.push(*first);
        }
        rest = rest.get(length.max(1)..).unwrap_or_default();
    }
    Cow::Owned(plain)
}

/// How long the order to the terminal is that begins here (ECMA-48): 0 if it is none.
fn escape(text: &[u8]) -> usize {
    let ends = |set: fn(&u8) -> bool| {
        let inside = text.get(2..).unwrap_or_default();
        inside.iter().position(set).map_or(0, |end| end + 3)
    };
    match text.get(1) {
        Some(b'[') => ends(|byte| (0x40..=0x7e).contains(byte)),
        // A title: up to a bell.
        Some(b']') => ends(|byte| *byte == 7),
        Some(b'(' | b')') => 3,
        _ => 0,
    }
}

/// Whether editors or mail programs changed the quotes.
fn is_typographic(text: &[u8]) -> bool {
    let quotes = [
        "\u{201c}", "\u{201d}", "\u{201e}", "\u{201f}", "\u{ab}", "\u{bb}", "\u{2033}", "\u{ff02}",
        "&quot;", "&#34;",
    ];
    let windows = std::str::from_utf8(text).is_err()
        && text
            .iter()
            .any(|byte| matches!(byte, 0x84 | 0x93 | 0x94 | 0xab | 0xbb));
    windows
        || quotes
            .iter()
            .any(|quote| memmem::find(text, quote.as_bytes()).is_some())
}

/// What a text is that has no line of strace's, as far as its first bytes tell.
pub(super) fn looks_like(sample: &[u8]) -> Option<String> {
    let has = |what: &str| memmem::find(sample, what.as_bytes()).is_some();
    let first = sample.trim_ascii_start();
    if sample.starts_with(b"\xff\xfe\0\0") || sample.starts_with(b"\0\0\xfe\xff") {
        return Some("it is UTF-32: iconv -f UTF-32 -t UTF-8 makes it readable".into());
    }
    if first.starts_with(b"{\"") {
        return Some(
            "its lines are JSON: take the text out of them (jq -r .log, of journalctl's jq -r .MESSAGE)".into(),
        );
    }
    if first.starts_with(b"% time ") || has("\n% time ") {
        return Some("it is the summary of strace -c, which has no calls".into());
    }
    if has("&quot;") || has("<html") || has("<pre") {
        return Some("it is HTML: save it as plain text".into());
    }
    if has("^[[") || has("[0m") {
        return Some(
            "it has the colours of a terminal, without the escape characters: make it with --color=never".into(),
        );
    }
    let mut lines = sample.split(|byte| matches!(byte, b'\n' | b'\r'));
    let (line, end) = lines.find_map(|line| Some((line, begins(line)?)))?;
    let before = String::from_utf8_lossy(line.get(..end)?);
    let before: String = before.chars().filter(|c| !c.is_control()).collect();
    Some(format!(
        "before what strace wrote there is something else (such as `{before}`): take it off each line"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 4] = [
        "7599  00:00:01.5 accept(3, NULL, NULL) = 4",
        "7599  00:00:01.6 recvfrom(4, \"a | b: c\", 4096, 0, NULL, NULL) = 8",
        "7600  00:00:01.7 close(4 <unfinished ...>",
        "7599  00:00:02.5 +++ exited with 0 +++",
    ];

    /// What is made of a line and its number.
    type Form = fn(usize, &str) -> String;

    fn read(text: &str) -> Vec<Pasted<'static>> {
        let mut paste = Paste::learn(text.as_bytes());
        text.lines()
            .map(|line| match paste.line(line.as_bytes()) {
                Pasted::Line(line) => Pasted::Line(Cow::Owned(line.trim_ascii().to_vec())),
                Pasted::Gap(line) => Pasted::Gap(Cow::Owned(line.trim_ascii().to_vec())),
                Pasted::Foreign => Pasted::Foreign,
                Pasted::Unreadable => Pasted::Unreadable,
            })
            .collect()
    }

    fn whole() -> Vec<Pasted<'static>> {
        LINES
            .iter()
            .map(|line| Pasted::Line(Cow::Borrowed(line.as_bytes())))
            .collect()
    }

    #[test]
    fn what_is_told_apart_is_taken_off() {
        let forms: [Form; 18] = [
            |_, line| line.to_owned(),
            |_, line| format!("    {line}"),
            |at, line| format!("{}:{line}", at + 9),
            |at, line| format!("{:6}\t{line}", at + 9),
            |at, line| format!("{:6}  {line}", at + 9),
            |at, line| format!("trace.log:{}:{line}", at + 1),
            |_, line| format!("trace.log:{line}"),
            |_, line| format!("> {line}"),
            |_, line| format!(">> {line}"),
            |at, line| format!("> > {}:{line}", at + 1),
            |_, line| format!("Nov 21 03:15:02 host strace[123]: {line}"),
            |_, line| format!("Nov  1 03:15:02.123456 host a.sh[1]: {line}"),
            |_, line| format!("2026-11-21T03:15:02+0000 host strace[123]: {line}"),
            |_, line| format!("2026-11-21T03:15:02.123456789Z {line}"),
            |_, line| format!("web-1  | {line}"),
            |_, line| format!("[pod/web-7d9f/app] {line}"),
            |_, line| format!("2026-11-21T03:15:02.1Z stderr F {line}"),
            |_, line| format!("\u{1b}[36mweb-1  |\u{1b}[0m \u{a0}{line}\u{1b}[K"),
        ];
        for form in forms {
            let lines: Vec<_> = LINES
                .iter()
                .enumerate()
                .map(|(at, line)| form(at, line))
                .collect();
            assert_eq!(read(&lines.join("\n")), whole(), "{}", lines[0]);
        }
    }

    #[test]
    fn lines_that_are_missing_are_noticed() {
        let lines: Vec<_> = LINES
            .iter()
            .zip([1, 2, 4, 5])
            .map(|(line, number)| format!("{number}:{line}"))
            .collect();
        let read = read(&lines.join("\n"));
        assert!(matches!(read[2], Pasted::Gap(_)), "{read:?}");
        assert!(matches!(read[3], Pasted::Line(_)), "{read:?}");
    }

    #[test]
    fn two_programs_are_not_one_log() {
        let of = |name: &str, line: &str| format!("{name}  | {line}");
        let other = [
            of("web-1", LINES[0]),
            of("db-1", "ready"),
            of("web-1", LINES[1]),
        ];
        assert_eq!(read(&other.join("\n"))[1], Pasted::Foreign);
        let mixed = [
            of("web-1", LINES[0]),
            of("db-1", LINES[1]),
            of("web-1", LINES[2]),
        ];
        assert_eq!(read(&mixed.join("\n"))[1], Pasted::Unreadable);
    }

    #[test]
    fn what_it_is_instead_is_said() {
        for (text, says) in [
            ("\u{ff}\u{fe}", None),
            ("{\"log\":\"close(4) = 0\"}\n", Some("JSON")),
            ("% time     seconds\n", Some("strace -c")),
            ("<pre>close(4, &quot;", Some("HTML")),
            ("[33mclose[0m(", Some("--color=never")),
            (
                "a b c: close(4) = 0\nb c d: close(5) = 0\n",
                Some("`a b c: `"),
            ),
            ("hello\n", None),
        ] {
            let said = looks_like(text.as_bytes());
            match says {
                Some(says) => assert!(said.is_some_and(|said| said.contains(says)), "{text}"),
                None => assert_eq!(said, None, "{text}"),
            }
        }
    }
}
