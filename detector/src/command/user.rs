//! Who a command runs as: the user behind sudo, not root.

use std::{ffi::CString, path::PathBuf};

use nix::unistd::getgrouplist;
use rustix::{
    process::{Gid, Uid, geteuid},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
};

/// Why the user behind sudo is not known.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// sudo sets both to numbers (sudo(8), "Environment").
    #[error(
        "{name} is {value:?}, which is no user or group number: unset SUDO_UID and SUDO_GID to run the command as root"
    )]
    Number {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// The user database could not be read.
    #[error("cannot look up the user {uid} who called sudo: {source}")]
    Database {
        /// The user's number.
        uid: u32,
        /// Why not.
        source: nix::Error,
    },
}

/// A user, with the groups that a login would give.
#[derive(Clone, Debug)]
pub struct User {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// Name and home, if the user database has them.
    entry: Option<(String, PathBuf)>,
}

impl User {
    /// The user who called sudo; `None` if that was root, or nobody did, or we
    /// are not root and a command runs as who we are anyway.
    ///
    /// # Errors
    ///
    /// If sudo's variables are there and say nothing: then it must not be run
    /// as root instead.
    pub fn behind_sudo() -> Result<Option<Self>, UserError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let (Some(uid), Some(gid)) = (number("SUDO_UID")?, number("SUDO_GID")?) else {
            return Ok(None);
        };
        if uid == 0 {
            return Ok(None);
        }
        Self::look_up(uid, gid).map(Some)
    }

    fn look_up(uid: u32, gid: u32) -> Result<Self, UserError> {
        let failed = |source| UserError::Database { uid, source };
        let found = nix::unistd::User::from_uid(uid.into()).map_err(failed)?;
        let mut groups = vec![Gid::from_raw(gid)];
        let mut entry = None;
        if let Some(found) = found {
            // A name from the database holds no zero byte.
            if let Ok(name) = CString::new(found.name.as_str()) {
                let all = getgrouplist(&name, gid.into()).map_err(failed)?;
                groups = all
                    .iter()
                    .map(|group| Gid::from_raw(group.as_raw()))
                    .collect();
            }
            entry = Some((found.name, found.dir));
        }
        Ok(Self {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            groups,
            entry,
        })
    }

    /// What a login sets and sudo set to root's.
    pub(super) fn environment(&self, command: &mut std::process::Command) {
        if let Some((name, home)) = &self.entry {
            command
                .env("HOME", home)
                .env("USER", name)
                .env("LOGNAME", name);
        }
    }

    /// Becomes the user, for good. For the only thread of a child process: the
    /// calls allocate nothing and act on the thread that makes them.
    pub(super) fn become_it(&self) -> std::io::Result<()> {
        // The user last: it takes the right to do the others.
        set_thread_groups(&self.groups)?;
        set_thread_gid(self.gid)?;
        set_thread_uid(self.uid)?;
        Ok(())
    }
}

fn number(name: &'static str) -> Result<Option<u32>, UserError> {
    let Some(value) = std::env::var_os(name) else {
        return Ok(None);
    };
    let value = value.to_string_lossy().into_owned();
    // The highest number means "no change" to the kernel.
    match value.parse() {
        Ok(number) if number != u32::MAX => Ok(Some(number)),
        _ => Err(UserError::Number { name, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_an_entry_is_a_user_all_the_same() -> Result<(), UserError> {
        let user = User::look_up(3_999_999_999, 3_999_999_998)?;
        assert_eq!(user.groups, [Gid::from_raw(3_999_999_998)]);
        assert_eq!(user.entry, None);
        Ok(())
    }

    #[test]
    fn an_entry_gives_name_home_and_groups() -> Result<(), UserError> {
        let user = User::look_up(0, 0)?;
        assert!(user.groups.contains(&Gid::ROOT));
        assert!(matches!(user.entry, Some((name, _)) if name == "root"));
        Ok(())
    }
}
