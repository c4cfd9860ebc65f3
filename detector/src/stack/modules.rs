//! Opens the programs and libraries that a process has mapped, and finds their
//! unwind tables.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    rc::Rc,
};

use object::{Object as _, ObjectSection as _, ObjectSegment as _, ReadCache, ReadRef};
use rustix::fs::{Mode, OFlags, major, minor};

use super::{budget::Budget, maps::Mapping};

/// Most files that are kept open.
const OPEN: usize = 128;

/// Most mappings of processes that are remembered.
const MAPPED: usize = 1024;

/// Most bytes of a table; browsers' have 30 million.
const TABLE: u64 = 256 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ModuleError {
    /// The process is gone, and its file with it.
    #[error("{0} is gone")]
    Gone(String),
    /// Its path now leads to another file.
    #[error("{0} is another file by now")]
    Replaced(String),
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, io::Error),
    /// It is no program.
    #[error("{0} is not ELF that can be read: {1}")]
    Malformed(String, object::Error),
    /// Its tables are larger than the memory that is left.
    #[error("{0} has larger tables than truncwatch has memory left for")]
    Large(String),
}

/// A section's bytes, and the address they are meant for.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
}

/// A program or library.
#[derive(Debug)]
pub(super) struct Module {
    /// By the path that the process has it by.
    pub(super) path: String,
    pub(super) file: File,
    pub(super) identity: Identity,
    /// Bytes of its symbol tables.
    pub(super) symbol_bytes: u64,
    /// Bytes of its debug information.
    pub(super) debug_bytes: u64,
    segments: Vec<Segment>,
    pub(super) text: u64,
    /// `.eh_frame`: what exceptions are unwound by.
    pub(super) eh_frame: Option<Section>,
    /// `.eh_frame_hdr`: its index.
    pub(super) eh_frame_hdr: Option<Section>,
    /// `.debug_frame`: the same for debuggers, where the other is missing.
    pub(super) debug_frame: Option<Section>,
}

/// A part of the file that is mapped.
#[derive(Debug)]
struct Segment {
    offset: u64,
    size: u64,
    address: u64,
}

impl Module {
    fn read(
        path: String,
        file: File,
        identity: Identity,
        budget: &Budget,
    ) -> Result<Self, ModuleError> {
        let error = |error| ModuleError::Malformed(path.clone(), error);
        let cache = ReadCache::new(&file);
        let object = object::File::parse(&cache).map_err(error)?;
        let segments = object
            .segments()
            .map(|segment| {
                let (offset, size) = segment.file_range();
                let address = segment.address();
                Segment {
                    offset,
                    size,
                    address,
                }
            })
            .collect();
        let tables = [".eh_frame", ".eh_frame_hdr", ".debug_frame"];
        if !budget.allows(bytes_of(&object, |name| tables.contains(&name))) {
            return Err(ModuleError::Large(path));
        }
        let section = |name| {
            let section = object.section_by_name(name)?;
            if section.size() > TABLE {
                return None;
            }
            let bytes = section.uncompressed_data().ok()?.into_owned();
            let address = section.address();
            (!bytes.is_empty()).then_some(Section { address, bytes })
        };
        let (eh_frame, eh_frame_hdr) = (section(".eh_frame"), section(".eh_frame_hdr"));
        let debug_frame = section(".debug_frame");
        let text = object
            .section_by_name(".text")
            .map_or(0, |text| text.address());
        let symbols = [".symtab", ".strtab", ".dynsym", ".dynstr"];
        let symbol_bytes = bytes_of(&object, |name| symbols.contains(&name));
        let debug_bytes = bytes_of(&object, |name| name.starts_with(".debug_"));
        drop(object);
        drop(cache);
        Ok(Self {
            path,
            file,
            identity,
            symbol_bytes,
            debug_bytes,
            segments,
            text,
            eh_frame,
            eh_frame_hdr,
            debug_frame,
        })
    }

    /// Bytes of its tables, as they are kept.
    fn table_bytes(&self) -> usize {
        let tables = [&self.eh_frame, &self.eh_frame_hdr, &self.debug_frame];
        let tables = tables.into_iter().flatten();
        tables.map(|section| section.bytes.len()).sum()
    }

    /// The address in the file, as its tables and `addr2line` have it, of a byte
    /// of the file.
    fn address(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let within = offset.checked_sub(segment.offset)?;
            (within < segment.size).then(|| segment.address.wrapping_add(within))
        })
    }

    /// The same, of what a process has at `address` of its memory.
    pub(super) fn address_of(&self, mapping: &Mapping, address: u64) -> Option<u64> {
        self.address(offset(mapping, address)?)
    }

    /// The code before what a process has at `address`, at most so many bytes.
    pub(super) fn code_before(&self, mapping: &Mapping, address: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = offset(mapping, address)
            .and_then(|end| end.checked_sub(count as u64))
            .is_some_and(|at| self.file.read_exact_at(&mut bytes, at).is_ok());
        if read { bytes } else { Vec::new() }
    }
}

/// Bytes of these sections, as they are when they are read.
fn bytes_of<'data, R: ReadRef<'data>>(
    object: &object::File<'data, R>,
    these: impl Fn(&str) -> bool,
) -> u64 {
    let these = object
        .sections()
        .filter(|section| section.name().is_ok_and(&these));
    these
        .map(|section| {
            let range = section.compressed_file_range();
            range.map_or_else(|_| section.size(), |range| range.uncompressed_size)
        })
        .fold(0, u64::saturating_add)
}

/// Where in the file it is.
fn offset(mapping: &Mapping, address: u64) -> Option<u64> {
    mapping
        .offset
        .checked_add(address.checked_sub(mapping.start)?)
}

/// The files that were opened.
#[derive(Debug, Default)]
pub(super) struct Modules {
    open: HashMap<Identity, Rc<Module>>,
    /// By what processes had mapped, all of it: to open the file anew for every
    /// frame would take most of the time.
    mapped: HashMap<(u32, Mapping), Rc<Module>>,
    /// Bytes of tables that are kept.
    table_bytes: usize,
}

/// Device, inode, size and time of the last change.
pub(super) type Identity = (u64, u64, u64, i64, i64);

fn identity(file: &File) -> io::Result<Identity> {
    let metadata = file.metadata()?;
    Ok((
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

impl Modules {
    /// The file of this mapping of this process.
    pub(super) fn get(
        &mut self,
        pid: u32,
        mapping: &Mapping,
        budget: &Budget,
    ) -> Result<Rc<Module>, ModuleError> {
        let path = mapping.name();
        let unreadable = |error| ModuleError::Unreadable(path.to_owned(), error);
        let key = (pid, mapping.clone());
        if let Some(module) = self.mapped.get(&key)
            // Nobody wrote to it since.
            && identity(&module.file).is_ok_and(|now| now == module.identity)
        {
            return Ok(module.clone());
        }
        let file = open(pid, mapping)?;
        let identity = identity(&file).map_err(unreadable)?;
        if self.open.len() >= OPEN
            || self.mapped.len() >= MAPPED
            || self.table_bytes > budget.tables()
        {
            *self = Self::default();
        }
        let module = match self.open.get(&identity) {
            Some(module) => module.clone(),
            None => {
                let read = Module::read(path.to_owned(), file, identity, budget)?;
                self.table_bytes += read.table_bytes();
                Rc::new(read)
            }
        };
        self.open.insert(identity, module.clone());
        self.mapped.insert(key, module.clone());
        Ok(module)
    }
}

/// Without waiting, whatever is there: another may have put a pipe at the path.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// The file itself while the process has it mapped, whatever its path means here
/// and now (a container, an upgrade); after that what is at its path, if that is
/// the same file.
fn open(pid: u32, mapping: &Mapping) -> Result<File, ModuleError> {
    let name = mapping.name();
    let link = format!(
        "/proc/{pid}/map_files/{:x}-{:x}",
        mapping.start, mapping.end
    );
    // The process may have begun another program meanwhile.
    let same = fs::read_link(&link).is_ok_and(|path| path.to_str() == Some(&mapping.path));
    if same && let Ok(file) = open_file(Path::new(&link)) {
        return Ok(file);
    }
    let mut other = false;
    for path in [format!("/proc/{pid}/root{name}"), name.to_owned()] {
        let Ok(file) = open_file(Path::new(&path)) else {
            continue;
        };
        let metadata = file
            .metadata()
            .map_err(|error| ModuleError::Unreadable(name.to_owned(), error))?;
        let device = (major(metadata.dev()), minor(metadata.dev()));
        if metadata.is_file() && (device, metadata.ino()) == (mapping.device, mapping.inode) {
            return Ok(file);
        }
        other = true;
    }
    Err(if other {
        ModuleError::Replaced(name.to_owned())
    } else {
        ModuleError::Gone(name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::maps::Maps;

    /// This test's own code.
    fn own() -> Option<Mapping> {
        let here = own as fn() -> Option<Mapping> as usize as u64;
        Maps::of(std::process::id())?.at(here).cloned()
    }

    #[test]
    fn the_running_program_has_tables_and_addresses() -> Result<(), ModuleError> {
        let mapping = own().expect("this code is mapped");
        let mut modules = Modules::default();
        let module = modules.get(std::process::id(), &mapping, &Budget::AMPLE)?;
        assert!(module.eh_frame.is_some() && module.eh_frame_hdr.is_some());
        assert!(module.address_of(&mapping, mapping.start).is_some());
        assert_eq!(module.address_of(&mapping, mapping.start - 1), None);
        assert_eq!(module.code_before(&mapping, mapping.start + 64, 7).len(), 7);
        let again = modules.get(std::process::id(), &mapping, &Budget::AMPLE)?;
        assert!(Rc::ptr_eq(&module, &again));
        Ok(())
    }

    #[test]
    fn another_file_at_the_path_is_not_taken() {
        let mut mapping = own().expect("this code is mapped");
        // Of a process that is gone.
        let get = |mapping: &Mapping| {
            let mut modules = Modules::default();
            modules.get(4_194_305, mapping, &Budget::AMPLE).map(drop)
        };
        assert!(get(&mapping).is_ok(), "by its path");
        mapping.inode += 1;
        assert!(matches!(get(&mapping), Err(ModuleError::Replaced(_))));
        mapping.path = "/nonexistent/program".to_owned();
        assert!(matches!(get(&mapping), Err(ModuleError::Gone(_))));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let file = File::open(file!()).or_else(|_| File::open(format!("../{}", file!())));
        let file = file.expect("this source is there");
        let identity = identity(&file).expect("it has one");
        assert!(matches!(
            Module::read("modules.rs".to_owned(), file, identity, &Budget::AMPLE),
            Err(ModuleError::Malformed(..))
        ));
    }

    #[test]
    fn tables_for_which_there_is_no_memory_are_not_read() -> Result<(), ModuleError> {
        let mapping = own().expect("this code is mapped");
        let get = |budget: &Budget| Modules::default().get(std::process::id(), &mapping, budget);
        let module = get(&Budget::AMPLE)?;
        assert!(module.table_bytes() > 1000 && module.symbol_bytes > 1000);
        assert!(module.debug_bytes > module.symbol_bytes, "it has lines");
        assert!(matches!(get(&Budget::up_to(1)), Err(ModuleError::Large(_))));
        Ok(())
    }
}
