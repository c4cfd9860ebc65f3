//! A stack for people, as debuggers print one, but short: what follows a type's
//! name in angle brackets, where packages lie on the machine that built them, and
//! the glue that drops values are left out. JSON has all of it.

use std::borrow::Cow;

use super::{
    several,
    text::{cut_in_the_middle, wrapped},
};
use crate::stack::{Frame, Stack};

/// Lines of a stack at least, where more than those have no room.
const LEAST: usize = 6;

/// Lines at most.
const MOST: usize = 16;

/// Programs that run scripts, without the version at the end of the name.
const INTERPRETERS: [&str; 6] = ["python", "pypy", "node", "ruby", "perl", "php"];

/// What paths of sources hold before the part that tells something: crates.io's
/// packages, Rust's own library.
const SOURCES: [&str; 2] = ["/registry/src/", "/library/"];

/// A line per frame, two where one has not room in `columns`, and those that say
/// why there are no more. `exe` is the program of the process. There is room for so many
/// lines: of more frames, the innermost are shown.
pub(super) fn lines(
    stack: &Stack,
    exe: Option<&str>,
    columns: Option<u16>,
    lines: usize,
) -> Vec<String> {
    let notes = notes(stack, exe, columns);
    let room = lines.clamp(LEAST, MOST).saturating_sub(notes.len());
    let mut lines = frames(stack, columns, room);
    lines.extend(notes);
    lines
}

/// The frames, in so many lines.
fn frames(stack: &Stack, columns: Option<u16>, room: usize) -> Vec<String> {
    let columns = columns.map(usize::from);
    let all: Vec<_> = stack
        .frames
        .iter()
        .enumerate()
        .filter(|(_, frame)| !is_glue(frame))
        .map(|(number, frame)| fitted(&format!("  #{number:<2} "), frame, columns))
        .collect();
    let length: usize = all.iter().map(Vec::len).sum();
    if length <= room {
        return all.concat();
    }
    let mut lines = Vec::new();
    let mut shown = 0;
    for frame in &all {
        // The last line says how many more there are.
        if shown > 0 && lines.len() + frame.len() >= room {
            break;
        }
        lines.extend_from_slice(frame);
        shown += 1;
    }
    let more = several(all.len().saturating_sub(shown) as u64, "more frame");
    lines.push(format!("  … {more} (--json has all)"));
    lines
}

/// Why there are no more frames, and whose they are.
fn notes(stack: &Stack, exe: Option<&str>, columns: Option<u16>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = &stack.incomplete {
        let what = if stack.frames.is_empty() {
            "no stack"
        } else {
            "stack incomplete"
        };
        lines.extend(wrapped(&format!("  {what}: {why}"), columns));
    }
    if let Some(interpreter) = exe.and_then(|exe| interpreter(exe, stack)) {
        let note =
            format!("  these are functions of {interpreter} itself, not those of the script");
        lines.extend(wrapped(&note, columns));
    }
    lines
}

/// The name of the interpreter that runs a script in this process, if it is its
/// program and there are frames of it, or of the library that it is.
fn interpreter<'a>(exe: &'a str, stack: &Stack) -> Option<&'a str> {
    let file = |path: &'a str| path.rsplit('/').next().unwrap_or(path);
    let name = file(exe);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_one = INTERPRETERS.contains(&plain);
    let modules = stack
        .frames
        .iter()
        .filter_map(|frame| frame.module.as_deref());
    let library = format!("/lib{plain}");
    let its_own = |module: &str| module == exe || module.contains(&library);
    (is_one && modules.into_iter().any(its_own)).then_some(name)
}

/// What the compiler writes to drop a value's parts.
fn is_glue(frame: &Frame) -> bool {
    frame.symbol.as_ref().is_some_and(|symbol| {
        symbol.starts_with("drop_in_place<") || symbol.starts_with("core::ptr::drop_in_place<")
    })
}

/// A frame behind what its line begins with.
fn fitted(start: &str, frame: &Frame, room: Option<usize>) -> Vec<String> {
    let (name, place) = line(frame);
    let whole: Vec<_> = [name, Some(place.clone())].into_iter().flatten().collect();
    let one = format!("{start}{}", whole.join("  "));
    let Some(room) = room else { return vec![one] };
    if one.chars().count() <= room {
        return vec![one];
    }
    let left = room.saturating_sub(start.chars().count());
    let indent = " ".repeat(start.chars().count());
    whole
        .iter()
        .zip([start, &indent])
        .map(|(text, start)| format!("{start}{}", cut_in_the_middle(text, left)))
        .collect()
}

/// A frame's function, and where it is.
fn line(frame: &Frame) -> (Option<String>, String) {
    let module = frame.module.as_deref().unwrap_or("?");
    let offset = frame
        .offset
        .map_or_else(String::new, |offset| format!("+{offset:#x}"));
    match (&frame.symbol, &frame.file) {
        (Some(symbol), Some(file)) => {
            let line = frame
                .line
                .map_or_else(String::new, |line| format!(":{line}"));
            (
                Some(name(symbol).into_owned()),
                format!("{}{line}", source(file)),
            )
        }
        (Some(symbol), None) => (
            Some(name(symbol).into_owned()),
            format!("({module}{offset})"),
        ),
        (None, _) => (None, format!("{module}{offset}")),
    }
}

/// A function's name without the arguments of types.
fn name(symbol: &str) -> Cow<'_, str> {
    // C++ has functions of which the brackets are the name.
    if symbol.contains("operator") {
        return symbol.into();
    }
    let mut text = String::with_capacity(symbol.len());
    let mut depth = 0_usize;
    let mut before = ' ';
    for letter in symbol.chars() {
        match letter {
            '<' if depth > 0 => depth += 1,
            // Behind a name; elsewhere a path begins with it: `<A as B>::f`.
            '<' if before.is_alphanumeric() || "_}".contains(before) => {
                depth = 1;
                text.push_str("<…>");
            }
            // Of an arrow.
            '>' if depth > 0 && before != '-' => depth -= 1,
            _ if depth == 0 => text.push(letter),
            _ => {}
        }
        before = letter;
    }
    text.into()
}

/// A source file's path from its package on.
fn source(path: &str) -> &str {
    for (at, known) in SOURCES.into_iter().enumerate() {
        let Some((_, rest)) = path.split_once(known) else {
            continue;
        };
        if at == 0 {
            // A registry's own name comes first.
            if let Some((_, package)) = rest.split_once('/') {
                return package;
            }
        } else if path.starts_with("/rustc/") || path.contains("/rustlib/src/rust/") {
            return rest;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        for (whole, short) in [
            ("main", "main"),
            ("poll<A<B>, fn() -> C>", "poll<…>"),
            ("{closure#0}<A>", "{closure#0}<…>"),
            ("<a::B<C> as d::E<F>>::f<G>", "<a::B<…> as d::E<…>>::f<…>"),
            (
                "std::vector<int>::push_back(int)",
                "std::vector<…>::push_back(int)",
            ),
            ("operator<< (std::ostream&)", "operator<< (std::ostream&)"),
            ("f<", "f<…>"),
        ] {
            assert_eq!(name(whole), short);
        }
    }

    #[test]
    fn sources_begin_with_their_package() {
        for (whole, short) in [
            ("/src/server.c", "/src/server.c"),
            (
                "/home/a/.cargo/registry/src/index.crates.io-1/hyper-1.8.1/src/a.rs",
                "hyper-1.8.1/src/a.rs",
            ),
            (
                "/rustc/1234/library/std/src/net/tcp.rs",
                "std/src/net/tcp.rs",
            ),
            (
                "/opt/rust/lib/rustlib/src/rust/library/core/src/ptr/mod.rs",
                "core/src/ptr/mod.rs",
            ),
            ("/home/a/library/b.c", "/home/a/library/b.c"),
        ] {
            assert_eq!(source(whole), short);
        }
    }

    #[test]
    fn a_long_stack_is_cut_and_glue_left_out() {
        let frame = |symbol: &str| Frame {
            symbol: Some(symbol.to_owned()),
            module: Some("/bin/a".to_owned()),
            offset: Some(16),
            ..Frame::default()
        };
        let mut frames = vec![frame("close"), frame("drop_in_place<A>")];
        frames.extend((0..20).map(|_| frame("f")));
        let stack = Stack {
            frames,
            incomplete: Some("it ended".to_owned()),
        };
        let many = lines(&stack, Some("/bin/a"), None, 99);
        assert_eq!(many.len(), MOST);
        assert_eq!(lines(&stack, Some("/bin/a"), None, 0).len(), LEAST);
        let lines = lines(&stack, Some("/bin/a"), None, 8);
        assert_eq!(
            lines.first().map(String::as_str),
            Some("  #0  close  (/bin/a+0x10)")
        );
        assert_eq!(
            lines.get(1).map(String::as_str),
            Some("  #2  f  (/bin/a+0x10)")
        );
        assert_eq!(
            lines.get(6..),
            Some(
                &[
                    "  … 15 more frames (--json has all)".to_owned(),
                    "  stack incomplete: it ended".to_owned()
                ][..]
            )
        );
    }

    #[test]
    fn a_frame_of_two_lines_is_whole_or_not_there() {
        let frame = Frame {
            symbol: Some("a_function_with_a_long_name".to_owned()),
            file: Some("/src/a/long/path/to/a/file.c".to_owned()),
            line: Some(7),
            ..Frame::default()
        };
        let stack = Stack {
            frames: vec![frame; 4],
            incomplete: None,
        };
        for (room, frames, more) in [
            (6, 2, Some("  … 2 more frames (--json has all)")),
            (7, 3, Some("  … 1 more frame (--json has all)")),
            (8, 4, None),
        ] {
            let lines = lines(&stack, None, Some(40), room);
            let last = lines.last().map(String::as_str);
            assert_eq!(lines.len(), frames * 2 + usize::from(more.is_some()));
            assert_eq!(last.filter(|line| line.contains("--json")), more);
        }
    }

    #[test]
    fn an_interpreter_is_told_where_it_is_certain() {
        let stack = |module: &str| Stack {
            frames: vec![Frame {
                module: Some(module.to_owned()),
                ..Frame::default()
            }],
            incomplete: None,
        };
        for (exe, module, told) in [
            (
                "/usr/bin/python3.11",
                "/usr/bin/python3.11",
                Some("python3.11"),
            ),
            (
                "/usr/bin/python3.13",
                "/usr/lib64/libpython3.13.so.1.0",
                Some("python3.13"),
            ),
            ("/usr/bin/node", "/usr/bin/node", Some("node")),
            ("/usr/bin/node_exporter", "/usr/bin/node_exporter", None),
            ("/usr/bin/node", "/usr/lib/libc.so.6", None),
            ("/usr/bin/pythonista", "/usr/bin/pythonista", None),
            ("/usr/bin/images", "/usr/lib/libpython3.13.so.1.0", None),
        ] {
            assert_eq!(interpreter(exe, &stack(module)), told, "{exe} {module}");
        }
        assert_eq!(
            lines(&stack("/usr/bin/node"), Some("/usr/bin/node"), None, 9)
                .last()
                .map(String::as_str),
            Some("  these are functions of node itself, not those of the script")
        );
    }

    #[test]
    fn no_stack_says_why() {
        assert_eq!(
            lines(&Stack::none("it is off"), Some("/usr/bin/node"), None, 9),
            ["  no stack: it is off"]
        );
        assert_eq!(
            lines(&Stack::none("it is off and away"), None, Some(20), 9),
            ["  no stack: it is", "    off and away"]
        );
    }
}
