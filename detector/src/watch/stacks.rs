//! Findings that wait for their stack, in order.

use std::{collections::VecDeque, time::Duration};

use detector_common::{STACK_BURST, STACK_EVERY_NS, StackCopy, StackPiece};
use jiff::Timestamp;

use crate::{
    judge::{EndingKind, Finding},
    origin::Origin,
    report::{Reported, When},
    stack::{Answer, Copies, Resolver, Room, Stack},
};

/// How long a finding waits for the pieces of its stack, which are written just
/// after its ending, nanoseconds.
const LATE_NS: u64 = 100_000_000;

/// How long the resolver may have nothing to do, nanoseconds.
const REST_NS: u64 = 30_000_000_000;

/// Why there is none where they are let go.
const SHED: &str = "truncwatch was short of memory or time, and let it go";

/// Why there is none of one of many endings.
const ENOUGH: &str = "it was not captured: of each process the first 8 are, then one per second \
     (--all-stacks: each)";

/// `ENOUGH` says so.
const _: () = assert!(STACK_BURST == 8 && STACK_EVERY_NS == 1_000_000_000);

/// How long the end of a watch waits for a stack.
const PATIENCE: Duration = Duration::from_secs(20);

/// A finding that is to be reported.
pub(crate) struct PendingFinding {
    pub(crate) finding: Finding,
    pub(crate) time: Timestamp,
    pub(crate) exe: Option<String>,
    pub(crate) origin: Origin,
}

impl PendingFinding {
    /// As it is told.
    pub(crate) fn reported<'a>(&'a self, stack: &'a Stack, show_query: bool) -> Reported<'a> {
        let container = self.origin.container.as_ref();
        Reported {
            finding: &self.finding,
            time: When::At(self.time),
            exe: self.exe.as_deref(),
            unit: self.origin.unit.as_deref(),
            container: container.map(|container| container.id.as_str()),
            stack,
            show_query,
            of_log: false,
            assumes: &[],
        }
    }
}

/// What is known of its stack.
enum State {
    /// All of it.
    Done(Stack),
    /// Its pieces are not here yet; it waits until then, at most.
    Late(u64),
    /// It is being resolved, under this number.
    Resolving(u64),
}

/// The findings that wait, and the stacks that were copied.
pub(super) struct Stacks {
    /// Stacks are copied at all.
    on: bool,
    room: Room,
    /// They are let go, to save memory and time.
    shed: bool,
    copies: Copies,
    /// Begun when it is first needed.
    resolver: Option<Resolver>,
    queue: VecDeque<(PendingFinding, State)>,
    next: u64,
    /// When a stack was last given to the resolver.
    asked_ns: u64,
}

impl Stacks {
    pub(super) fn new(on: bool, room: Room) -> Self {
        Self {
            on,
            room,
            shed: false,
            copies: Copies::new(room),
            resolver: None,
            queue: VecDeque::new(),
            next: 0,
            asked_ns: 0,
        }
    }

    /// A process was seen for the first time, or runs another program now.
    pub(super) fn on_process(&mut self, pid: u32) {
        if self.on {
            self.copies.know(pid);
        }
    }

    /// Lets stacks go, and what is remembered to make them, or keeps them again.
    pub(super) fn shed(&mut self, shed: bool) {
        if shed && !self.shed {
            self.copies = Copies::new(self.room);
            // Those that are being resolved are told as not found.
            self.answered(Answer::Failed);
        }
        self.shed = shed;
    }

    /// Takes so much room from now on.
    pub(super) fn resize(&mut self, room: Room) {
        self.room = room;
        self.copies.resize(room);
    }

    /// Lets the resolver go, with all that it has read of programs, where it had
    /// nothing to do for long.
    pub(super) fn rest(&mut self, now_ns: u64) {
        let idle = self.queue.is_empty() && now_ns.saturating_sub(self.asked_ns) > REST_NS;
        if idle {
            self.resolver = None;
        }
    }

    /// Takes a piece of a stack.
    pub(super) fn take(&mut self, piece: &StackPiece, now_ns: u64) {
        if self.shed {
            return;
        }
        self.copies.take(piece, now_ns);
    }

    /// Takes a finding in.
    pub(super) fn push(&mut self, waiting: PendingFinding, now_ns: u64) {
        let ending = &waiting.finding.ending;
        let state = match (self.on, ending.stack) {
            (false, _) => State::Done(Stack::none("--no-stack was given")),
            (_, StackCopy::Taken) if self.shed => State::Done(Stack::none(SHED)),
            (_, StackCopy::Taken) => State::Late(now_ns + LATE_NS),
            (_, StackCopy::Unsuspected) => State::Done(Stack::none(
                "it was not copied: nothing hinted at an ending that comes too early",
            )),
            (_, StackCopy::Crowded) => State::Done(Stack::none(
                "it was not copied: too many new connections ended at once",
            )),
            (_, StackCopy::Enough) => State::Done(Stack::none(ENOUGH)),
            (_, StackCopy::None) => State::Done(Stack::none(without(ending.kind, ending.by_uring))),
        };
        self.queue.push_back((waiting, state));
    }

    /// Goes on with what has come meanwhile.
    fn advance(&mut self, now_ns: u64) {
        let is_resolving = |state: &State| matches!(state, State::Resolving(_));
        let mut resolving = self
            .queue
            .iter()
            .filter(|(_, state)| is_resolving(state))
            .count();
        for (waiting, state) in &mut self.queue {
            let State::Late(until) = *state else { continue };
            let finding = &waiting.finding;
            let Some(copied) = self
                .copies
                .remove(finding.tid, finding.ending.time_ns, now_ns)
            else {
                if now_ns >= until {
                    *state = State::Done(Stack::none(
                        "the buffer for stacks was full, or the stack could not be read",
                    ));
                }
                continue;
            };
            if resolving >= self.room.resolving {
                *state = State::Done(Stack::none("too many findings came at once"));
                continue;
            }
            if self.resolver.is_none() {
                match Resolver::start() {
                    Ok(resolver) => self.resolver = Some(resolver),
                    Err(error) => {
                        *state = State::Done(Stack::none(&format!("no thread for it: {error}")));
                        continue;
                    }
                }
            }
            if let Some(resolver) = &self.resolver {
                resolver.give(self.next, copied, self.room);
                self.asked_ns = now_ns;
                *state = State::Resolving(self.next);
                self.next += 1;
                resolving += 1;
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        for (_, state) in &mut self.queue {
            match (&answer, &*state) {
                (Answer::Stack(number, stack), State::Resolving(asked)) if number == asked => {
                    *state = State::Done(stack.clone());
                }
                (Answer::Failed, State::Resolving(_)) => {
                    *state = State::Done(Stack::none("it could not be unwound: truncwatch failed"));
                }
                _ => {}
            }
        }
        if matches!(answer, Answer::Failed) {
            self.resolver = None;
        }
    }

    /// The next finding, if its stack is as good as it gets.
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<(PendingFinding, Stack)> {
        self.advance(now_ns);
        while let Some(answer) = self.resolver.as_ref().and_then(Resolver::take) {
            self.answered(answer);
        }
        match self.queue.pop_front()? {
            (waiting, State::Done(stack)) => Some((waiting, stack)),
            not_yet => {
                self.queue.push_front(not_yet);
                None
            }
        }
    }

    /// The same at the end of the watch: waits for it. Every piece was taken.
    pub(super) fn pop_last(&mut self) -> Option<(PendingFinding, Stack)> {
        loop {
            if let Some(ready) = self.pop(u64::MAX) {
                return Some(ready);
            }
            if self.queue.is_empty() {
                return None;
            }
            let answer = match &self.resolver {
                Some(resolver) => resolver.wait(PATIENCE),
                None => Answer::Failed,
            };
            self.answered(answer);
        }
    }
}

/// Why an ending of this kind has no stack.
fn without(kind: EndingKind, by_uring: bool) -> &'static str {
    match kind {
        _ if by_uring => "io_uring made the ending, no call of the thread's",
        EndingKind::Exit { .. } => "the end of the process made the ending, no call in it",
        EndingKind::Next { .. } | EndingKind::Open => "nothing ended the connection",
        EndingKind::CloseRange | EndingKind::Exec => {
            "none is copied where many descriptors are closed at once"
        }
        EndingKind::Shutdown { .. } | EndingKind::Close | EndingKind::Replace => {
            "none was copied at this ending"
        }
    }
}
