//! What the testbed's servers on web frameworks have in common: the command line and what each
//! path answers. Each binary hands [`Answer`]s to its framework, by the framework's own means.

mod answer;
mod body;
mod options;

pub use answer::{Answer, Asked, Content, answer};
pub use body::Pieces;
pub use options::{Options, announce};
