//! What stands behind the options in `--help`, as sections of a manual page: examples,
//! exit status, notes.

use std::io::{self, Write};

/// The heading of what stands under none.
const NOTES: &str = "NOTES";

/// The sections, in order.
#[derive(Debug, Default)]
pub(super) struct Notes {
    sections: Vec<(String, String)>,
}

impl Notes {
    /// Those of a mode, or of all of it.
    pub(super) fn of(command: &clap::Command) -> Self {
        let help = command.get_after_long_help();
        let help = help.or_else(|| command.get_after_help());
        Self::parse(&help.map(ToString::to_string).unwrap_or_default())
    }

    /// From the text: a heading ends in a colon; what is indented by two begins an item,
    /// what is by more belongs to it. A paragraph that stands by itself is a note.
    fn parse(text: &str) -> Self {
        let mut notes = Self::default();
        for block in text.split("\n\n") {
            let mut lines = block.lines().peekable();
            let heading = lines.next_if(|line| is_heading(line));
            let heading = heading.map(|line| line.trim_end_matches(':').to_uppercase());
            let mut items = Items::default();
            for line in lines {
                items.line(line);
            }
            let text = items.end();
            notes.add(heading.as_deref().unwrap_or(NOTES), &text);
        }
        // Notes come last, whatever was before them.
        notes.sections.sort_by_key(|(heading, _)| heading == NOTES);
        notes
    }

    fn add(&mut self, heading: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.sections.iter_mut().find(|it| it.0 == heading) {
            Some((_, already)) => {
                already.push_str(".PP\n");
                already.push_str(text);
            }
            None => self.sections.push((heading.to_owned(), text.to_owned())),
        }
    }

    /// Writes them for troff.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for (heading, text) in &self.sections {
            write!(out, ".SH {heading}\n{text}")?;
        }
        Ok(())
    }
}

fn is_heading(line: &str) -> bool {
    line.ends_with(':') && !line.starts_with(' ')
}

/// Lines of a section, as they become items.
#[derive(Debug, Default)]
struct Items {
    out: String,
    state: State,
}

/// What the line before was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// A command, which stands as it is.
    Command,
    /// What a command does.
    Does,
    /// A word and what it means.
    Meaning,
}

impl Items {
    fn line(&mut self, line: &str) {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim_start();
        let goes_on = self.state == State::Command && self.out.ends_with("\\e\n");
        match (indent, text.split_once("  ")) {
            (0, _) => {
                if self.state != State::Text {
                    self.enter(State::Text);
                    self.out.push_str(".PP\n");
                }
                self.push(text);
            }
            // A command in several lines.
            (_, _) if goes_on => self.push(&format!("    {text}")),
            (2, Some((word, meaning))) => {
                self.enter(State::Meaning);
                self.out.push_str(".TP 4\n.B ");
                self.push(word);
                self.push(meaning.trim_start());
            }
            (2, None) => {
                if self.state != State::Command {
                    self.enter(State::Command);
                    self.out.push_str(".PP\n.nf\n");
                }
                self.push(text);
            }
            _ => {
                if self.state == State::Command {
                    self.enter(State::Does);
                    self.out.push_str(".RS 4\n");
                }
                self.push(text);
            }
        }
    }

    /// Ends what was before.
    fn enter(&mut self, state: State) {
        self.out.push_str(match self.state {
            State::Command => ".fi\n",
            State::Does => ".RE\n",
            State::Text | State::Meaning => "",
        });
        self.state = state;
    }

    fn push(&mut self, text: &str) {
        // What begins with these would be an order to troff.
        if text.starts_with(['.', '\'']) {
            self.out.push_str("\\&");
        }
        self.out
            .push_str(&text.replace('\\', "\\e").replace('-', "\\-"));
        self.out.push('\n');
    }

    fn end(mut self) -> String {
        self.enter(State::Text);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_stay_lists_and_commands_stand_as_they_are() {
        let notes = Notes::parse(
            "A note\nof two lines.\n\nExamples:\n  run -a \\\n    and so on\n  then this\n      Does it,\n      in words.\n  .hidden\n\nExit status:\n  0  all is well,\n     so far\n  1  not\nA word on that.\n\nMore.",
        );
        let mut page = Vec::new();
        notes.write(&mut page).expect("written");
        insta::assert_snapshot!(String::from_utf8_lossy(&page), @r"
        .SH EXAMPLES
        .PP
        .nf
        run \-a \e
            and so on
        then this
        .fi
        .RS 4
        Does it,
        in words.
        .RE
        .PP
        .nf
        \&.hidden
        .fi
        .SH EXIT STATUS
        .TP 4
        .B 0
        all is well,
        so far
        .TP 4
        .B 1
        not
        .PP
        A word on that.
        .SH NOTES
        A note
        of two lines.
        .PP
        More.
        ");
    }
}
