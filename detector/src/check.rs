//! What was tried, and how well it works: for `truncwatch doctor`.

/// How well something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should.
    Works,
    /// Watching works, and something is not seen or cannot be asked for.
    Degraded,
    /// Watching cannot work.
    Missing,
}

impl State {
    /// Its name, as scripts see it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub feature: String,
    /// How well it works.
    pub state: State,
    /// What was seen, or what it is for.
    pub reason: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Check {
    /// Something that works.
    pub fn works(feature: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            feature: feature.into(),
            state: State::Works,
            reason: reason.into(),
            remedy: None,
        }
    }

    /// Something that does not. The message of an error says after a colon what
    /// to do next; a colon in parentheses is a part of what it says.
    pub fn fails(feature: impl Into<String>, state: State, message: &str) -> Self {
        let split = last_colon(message).and_then(|at| message.split_at_checked(at));
        let (reason, remedy) = match split {
            Some((reason, rest)) => (
                reason.to_owned(),
                Some(rest.trim_start_matches(": ").to_owned()),
            ),
            None => (message.to_owned(), None),
        };
        Self {
            feature: feature.into(),
            state,
            reason,
            remedy,
        }
    }

    /// Something that works if this does.
    pub(crate) fn of<T, E: std::error::Error>(
        feature: &str,
        reason: &str,
        otherwise: State,
        result: Result<T, E>,
    ) -> Self {
        match result {
            Ok(_) => Self::works(feature, reason),
            Err(error) => Self::fails(feature, otherwise, &error.to_string()),
        }
    }
}

/// Where the last colon is that has a space behind it, outside of all parentheses.
fn last_colon(message: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut last = None;
    for (at, letter) in message.char_indices() {
        match letter {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && message.get(at..).is_some_and(|it| it.starts_with(": ")) => {
                last = Some(at);
            }
            _ => {}
        }
    }
    last
}
