//! Finds where the running kernel keeps the fields of its structures.
//!
//! A reader for the one question that is asked of BTF here: at which byte of
//! structure S is field F. The Rust BPF target has no CO-RE relocations, aya
//! keeps its reader to itself, and the crate that offers one is LGPL, which a
//! statically linked program under MIT or Apache-2.0 cannot take in.
//!
//! Source: Documentation/bpf/btf.rst of the kernel.

use std::{collections::HashMap, fs, path::Path};

/// Where the kernel publishes its BTF (Linux 5.4 and later with
/// `CONFIG_DEBUG_INFO_BTF`).
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why a field could not be found.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file could not be read.
    #[error(
        "cannot read {path}: {source}; truncwatch needs a kernel built with CONFIG_DEBUG_INFO_BTF=y, run as root"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not BTF, or not of a form that is known.
    #[error("{VMLINUX} is not BTF that can be read: {0}")]
    Malformed(&'static str),
    /// The kernel has no such structure or field.
    #[error(
        "this kernel's BTF has no field {0}; truncwatch cannot watch on it, please report its version (uname -r)"
    )]
    NoField(String),
}

const MAGIC: u16 = 0xeb9f;
const KIND_POINTER: u32 = 2;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNCTION: u32 = 12;
const KIND_PROTOTYPE: u32 = 13;
/// Types that only name or qualify another: const, volatile, typedef, tag.
const KINDS_TRANSPARENT: [u32; 5] = [8, 9, 10, 11, 18];

/// A kernel's types.
pub struct Btf {
    data: Vec<u8>,
    strings: usize,
    /// Start of each type in `data`, by type id less one.
    types: Vec<u32>,
    structs: HashMap<Box<[u8]>, u32>,
    /// Fields and tracepoints that are said to be missing, fields as `structure.path`.
    hidden: Vec<String>,
}

impl Btf {
    /// Says from now on that these fields are missing, as `structure.path`: for
    /// tests of what is then not seen.
    pub fn hide(&mut self, names: &[String]) {
        self.hidden.extend_from_slice(names);
    }

    /// Reads the running kernel's.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not BTF.
    pub fn of_running_kernel() -> Result<Self, BtfError> {
        Self::read(Path::new(VMLINUX))
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not BTF.
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let data = fs::read(path).map_err(|source| BtfError::Unreadable {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(data)
    }

    fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let short = BtfError::Malformed("it ends too early");
        let magic = data
            .first_chunk::<2>()
            .map(|bytes| u16::from_le_bytes(*bytes));
        if magic != Some(MAGIC) {
            return Err(BtfError::Malformed("no BTF magic number"));
        }
        let field = |at: usize| word(&data, at).map(|value| value as usize);
        let (Some(header), Some(type_start), Some(type_length), Some(string_start)) =
            (field(4), field(8), field(12), field(16))
        else {
            return Err(short);
        };
        let mut at = header + type_start;
        let end = at + type_length;
        let strings = header + string_start;
        let mut types = Vec::with_capacity(type_length / 24);
        let mut structs = HashMap::new();
        while at < end {
            let (Some(name), Some(info)) = (word(&data, at), word(&data, at + 4)) else {
                return Err(short);
            };
            let (kind, members) = (kind_of(info), (info & 0xffff) as usize);
            types.push(u32::try_from(at).map_err(|_| BtfError::Malformed("it is too large"))?);
            if kind == KIND_STRUCT && name != 0 {
                let id = u32::try_from(types.len())
                    .map_err(|_| BtfError::Malformed("it is too large"))?;
                structs
                    .entry(string(&data, strings, name).into())
                    .or_insert(id);
            }
            at += 12
                + match kind {
                    1 | 14 | 17 => 4,
                    3 => 12,
                    4 | 5 | 15 | 19 => members * 12,
                    6 | 13 => members * 8,
                    2 | 7..=12 | 16 | 18 => 0,
                    _ => {
                        return Err(BtfError::Malformed(
                            "it has a kind of type that is not known",
                        ));
                    }
                };
        }
        Ok(Self {
            data,
            strings,
            types,
            structs,
            hidden: Vec::new(),
        })
    }

    /// Byte offset of a field, named as in C (`"f_ref.refcnt.counter"`), from
    /// the start of the structure. Members of unnamed members count as the
    /// structure's own.
    ///
    /// # Errors
    ///
    /// [`BtfError::NoField`] if there is none, or if it is a bit field.
    pub fn field(&self, structure: &str, path: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::NoField(format!("{structure}.{path}"));
        let is_hidden = |name: &String| {
            let rest = name.strip_prefix(structure);
            rest.and_then(|rest| rest.strip_prefix('.')) == Some(path)
        };
        if self.hidden.iter().any(is_hidden) {
            return Err(missing());
        }
        let mut id = *self.structs.get(structure.as_bytes()).ok_or_else(missing)?;
        let mut bits = 0;
        for name in path.split('.') {
            let (member, offset) = self.member(id, name.as_bytes(), 8).ok_or_else(missing)?;
            id = member;
            bits += offset;
        }
        (bits % 8 == 0).then_some(bits / 8).ok_or_else(missing)
    }

    /// The number of a structure among the types.
    pub(super) fn structure(&self, name: &str) -> Option<u32> {
        self.structs.get(name.as_bytes()).copied()
    }

    /// The number of a function among the types.
    pub fn function(&self, name: &str) -> Option<u32> {
        let index = self.types.iter().position(|at| {
            let at = *at as usize;
            word(&self.data, at + 4).is_some_and(|info| kind_of(info) == KIND_FUNCTION)
                && word(&self.data, at).is_some_and(|offset| {
                    string(&self.data, self.strings, offset) == name.as_bytes()
                })
        })?;
        u32::try_from(index + 1).ok()
    }

    /// The tracepoints whose first argument is a pointer to this structure: each is
    /// the type `btf_trace_NAME`, a pointer to a function whose own first argument
    /// is the program's (include/trace/bpf_probe.h).
    pub fn tracepoints_of(&self, structure: &str) -> Vec<String> {
        let Some(wanted) = self.structs.get(structure.as_bytes()) else {
            return Vec::new();
        };
        let named = self.types.iter().filter_map(|at| {
            let at = *at as usize;
            let info = word(&self.data, at + 4)?;
            let name = word(&self.data, at).filter(|_| kind_of(info) == KIND_TYPEDEF)?;
            let name = string(&self.data, self.strings, name).strip_prefix(b"btf_trace_")?;
            // It may be const.
            let found = self.resolve(self.second_parameter(at)?)?;
            (Some(found) == self.resolve(*wanted)).then_some(name)
        });
        named
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    /// Whether this is one of them, and not said to be missing.
    pub(super) fn has_tracepoint_of(&self, structure: &str, name: &str) -> bool {
        self.hidden.iter().all(|hidden| hidden != name)
            && self.tracepoints_of(structure).iter().any(|it| it == name)
    }

    /// What the second parameter points to, of the function that a type definition
    /// points to.
    fn second_parameter(&self, definition: usize) -> Option<u32> {
        let pointer = self.resolve(word(&self.data, definition + 8)?)?;
        let prototype = self.resolve(self.pointed_to(pointer)?)?;
        let info = word(&self.data, prototype + 4)?;
        if kind_of(info) != KIND_PROTOTYPE || info & 0xffff < 2 {
            return None;
        }
        // Two words each, the second its type.
        let parameter = word(&self.data, prototype + 12 + 8 + 4)?;
        self.pointed_to(self.resolve(parameter)?)
    }

    fn pointed_to(&self, pointer: usize) -> Option<u32> {
        let info = word(&self.data, pointer + 4)?;
        (kind_of(info) == KIND_POINTER).then(|| word(&self.data, pointer + 8))?
    }

    /// The type of a member and its offset in bits; looks into unnamed members
    /// down to `depth`.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let at = self.resolve(id)?;
        let info = word(&self.data, at + 4)?;
        if depth == 0 || ![KIND_STRUCT, KIND_UNION].contains(&kind_of(info)) {
            return None;
        }
        let has_bitfields = info >> 31 == 1;
        (0..(info & 0xffff) as usize).find_map(|index| {
            let member = at + 12 + index * 12;
            let member_name = string(&self.data, self.strings, word(&self.data, member)?);
            let kind = word(&self.data, member + 4)?;
            let raw = word(&self.data, member + 8)?;
            let (offset, width) = if has_bitfields {
                (raw & 0xff_ffff, raw >> 24)
            } else {
                (raw, 0)
            };
            if member_name == name {
                (width == 0).then_some((kind, offset))
            } else if member_name.is_empty() {
                self.member(kind, name, depth - 1)
                    .map(|(id, inner)| (id, offset + inner))
            } else {
                None
            }
        })
    }

    /// Where the type is described, past const, typedef and the like.
    fn resolve(&self, mut id: u32) -> Option<usize> {
        for _ in 0..16 {
            let at = *self.types.get((id as usize).checked_sub(1)?)? as usize;
            if !KINDS_TRANSPARENT.contains(&kind_of(word(&self.data, at + 4)?)) {
                return Some(at);
            }
            id = word(&self.data, at + 8)?;
        }
        None
    }
}

fn kind_of(info: u32) -> u32 {
    info >> 24 & 0x1f
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?
        .first_chunk::<4>()
        .map(|bytes| u32::from_le_bytes(*bytes))
}

fn string(data: &[u8], strings: usize, offset: u32) -> &[u8] {
    let rest = data.get(strings + offset as usize..).unwrap_or_default();
    rest.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_btf() {
        assert!(matches!(
            Btf::parse(b"ELF?".to_vec()),
            Err(BtfError::Malformed(_))
        ));
        assert!(matches!(Btf::parse(vec![]), Err(BtfError::Malformed(_))));
        // A header whose type section lies beyond the end.
        let mut cut = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0];
        cut.extend([255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(Btf::parse(cut), Err(BtfError::Malformed(_))));
    }

    #[test]
    fn a_missing_file_says_what_is_needed() {
        let Err(error) = Btf::read(Path::new("/nonexistent/vmlinux")) else {
            unreachable!("there is no such file");
        };
        assert!(error.to_string().contains("CONFIG_DEBUG_INFO_BTF"));
    }
}
