//! Maps that are in this process's memory as well as the kernel side's: to read
//! or write an entry costs no system call.

use std::{
    marker::PhantomData, ops::Deref, os::fd::AsFd as _, ptr::NonNull, sync::atomic::AtomicU64,
};

use aya::maps::Map;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::CaptureError;

/// An array map of `BPF_F_MMAPABLE` (Linux 5.5), whose values are `T`s.
pub(super) struct Shared<T> {
    memory: Mapping<T>,
    /// The programs are given its descriptor when they are loaded.
    _map: Map,
}

impl<T> Shared<T> {
    /// Maps it.
    ///
    /// # Errors
    ///
    /// As [`Mapping::of`].
    pub(super) fn new(map: Map, name: &'static str) -> Result<Self, CaptureError> {
        Ok(Self {
            memory: Mapping::of(&map, name)?,
            _map: map,
        })
    }
}

impl<T> Deref for Shared<T> {
    type Target = Mapping<T>;

    fn deref(&self) -> &Mapping<T> {
        &self.memory
    }
}

/// Such a map's memory, until this is dropped.
pub(super) struct Mapping<T> {
    memory: NonNull<T>,
    entries: usize,
    _values: PhantomData<T>,
}

// SAFETY: the memory is this value's as long as it lives. What is done with
// pointers into it is for those to say that do it.
unsafe impl<T> Send for Mapping<T> {}

impl<T> Mapping<T> {
    /// Maps it.
    ///
    /// # Errors
    ///
    /// If it is another kind of map, or of other values, or if the kernel refuses.
    pub(super) fn of(map: &Map, name: &'static str) -> Result<Self, CaptureError> {
        let Map::Array(map) = map else {
            return Err(CaptureError::Object(name));
        };
        let info = map.info()?;
        let entries = usize::try_from(info.max_entries()).unwrap_or(0);
        if usize::try_from(info.value_size()) != Ok(size_of::<T>()) {
            return Err(CaptureError::Object(name));
        }
        // SAFETY: a new mapping, at an address that the kernel picks.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                entries * size_of::<T>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map.fd().as_fd(),
                0,
            )
        }
        .map_err(|error| CaptureError::Shared(error.into()))?;
        let memory = NonNull::new(memory.cast()).ok_or(CaptureError::Object(name))?;
        Ok(Self {
            memory,
            entries,
            _values: PhantomData,
        })
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// A pointer to a value, aligned as a page or as `T`s behind one are; valid as
    /// long as this lives. The kernel side may change the value at any time.
    pub(super) fn get(&self, index: usize) -> Option<NonNull<T>> {
        // SAFETY: within the mapping.
        (index < self.entries).then(|| unsafe { self.memory.add(index) })
    }
}

impl Mapping<u64> {
    /// The first value, which both sides access atomically.
    pub(super) fn as_atomic(&self) -> Option<&AtomicU64> {
        let value = self.get(0)?;
        // SAFETY: a live value, for as long as this is borrowed.
        Some(unsafe { AtomicU64::from_ptr(value.as_ptr()) })
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        let bytes = self.entries * size_of::<T>();
        // SAFETY: mapped by of, and nobody has a reference into it.
        let unmapped = unsafe { munmap(self.memory.as_ptr().cast(), bytes) };
        // It stays until the process ends.
        if unmapped.is_err() {}
    }
}
