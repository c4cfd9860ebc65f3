//! Who called it: the stack of the thread that ended a connection.
//!
//! The kernel side copies registers and stack memory at the ending; here they
//! are unwound by the tables that compilers leave in programs for exceptions,
//! for most programs keep no frame pointers. Nothing is guessed: where a table
//! is missing, the stack ends there and says why.
//!
//! | file | what it does |
//! | --- | --- |
//! | `copies.rs`    | puts the copied pieces together, keeps them until asked |
//! | `maps.rs`      | what a process has mapped where |
//! | `modules.rs`   | opens programs and libraries, finds their tables |
//! | `registers.rs` | registers by DWARF's numbers |
//! | `stack_memory.rs`    | the copied memory |
//! | `unwind.rs`    | from a frame to its caller's |
//! | `calls.rs`     | whether an instruction before an address is a call |
//! | `symbols.rs`   | names, files and lines |
//! | `budget.rs`    | how much of programs may be read |
//! | `resolver.rs`  | all of it, in a thread of its own |

mod budget;
mod calls;
mod copies;
mod maps;
mod modules;
mod registers;
mod resolver;
mod stack_memory;
mod symbols;
mod unwind;

pub use self::{
    copies::{Copied, Copies, Room},
    resolver::{Answer, Resolver},
};

/// A stack, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The innermost first.
    pub frames: Vec<Frame>,
    /// Why it does not reach the thread's first function, or why there is none.
    pub incomplete: Option<String>,
}

impl Stack {
    /// No stack, for this reason.
    #[must_use]
    pub fn none(why: &str) -> Self {
        Self {
            frames: Vec::new(),
            incomplete: Some(why.to_owned()),
        }
    }
}

/// One function of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The function, demangled; `None` where the program does not tell.
    pub symbol: Option<String>,
    /// Its source file, where there is debug information.
    pub file: Option<String>,
    /// The line in it that was running, or calling.
    pub line: Option<u32>,
    /// The program or library, by the path that the process has it by.
    pub module: Option<String>,
    /// The address in that file, as `addr2line -e MODULE` takes it.
    pub offset: Option<u64>,
    /// The compiler put it into the function that follows.
    pub inlined: bool,
}
