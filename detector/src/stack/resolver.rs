//! Unwinds and names stacks in a thread of its own: a large program's debug
//! information takes a second to read, and meanwhile records go on.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
    time::Duration,
};

use super::{
    Copied, Room, Stack, budget::Budget, modules::Modules, symbols::Symbols, unwind::unwind,
};

/// What the thread has to say.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The stack that was given under this number.
    Stack(u64, Stack),
    /// Nothing more will come.
    Failed,
}

/// The thread.
#[derive(Debug)]
pub struct Resolver {
    jobs: Sender<(u64, Copied, Room)>,
    done: Receiver<Answer>,
}

impl Resolver {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If the thread cannot be made.
    pub fn start() -> io::Result<Self> {
        let (jobs, work) = channel::<(u64, Copied, Room)>();
        let (finished, done) = channel();
        thread::Builder::new()
            .name("stacks".to_owned())
            .spawn(move || {
                let mut modules = Modules::default();
                let mut symbols = Symbols::new();
                for (number, copied, room) in work {
                    let budget = Budget::of(&room);
                    let (places, why) = unwind(&mut modules, &copied, &budget);
                    // Up to 64 KiB.
                    drop(copied);
                    let frames = symbols.frames(&places, room.places, &budget);
                    let incomplete = why.map(|why| why.to_string());
                    let stack = Stack { frames, incomplete };
                    if finished.send(Answer::Stack(number, stack)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { jobs, done })
    }

    /// Gives it a stack, under a number, and so much room.
    pub fn give(&self, number: u64, copied: Copied, room: Room) {
        // If it is not there any more, the one who asks is told.
        if self.jobs.send((number, copied, room)).is_err() {}
    }

    /// What it has to say by now.
    #[must_use]
    pub fn take(&self) -> Option<Answer> {
        match self.done.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Answer::Failed),
        }
    }

    /// Waits for it, for so long.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> Answer {
        self.done.recv_timeout(patience).unwrap_or(Answer::Failed)
    }
}
