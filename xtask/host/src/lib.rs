//! What chores know of the machine that they run on.
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`root`] | the workspace's folders, programs on the PATH, who runs this |
//! | [`apt`] | Debian packages, without installing them |
//! | [`setup`] | what building, testing and measuring need, and how to install it |

pub mod apt;
pub mod root;
pub mod setup;
