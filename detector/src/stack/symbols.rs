//! Names, files and lines of the places of a stack.

use std::{
    collections::{HashMap, HashSet},
    os::fd::AsRawFd as _,
    path::PathBuf,
    rc::Rc,
};

use blazesym::symbolize::{
    CodeInfo, Input, Sym, Symbolized, Symbolizer,
    source::{Elf, Source},
};

use super::{
    Frame,
    budget::Budget,
    modules::{Identity, Module},
    unwind::Place,
};
use crate::process::heap;

/// Looks up names.
pub(super) struct Symbols {
    /// It keeps what it has read.
    symbolizer: Option<Symbolizer>,
    /// What was found at places: endings of the same kind come from the same ones.
    known: HashMap<Key, Vec<Frame>>,
}

/// A place: the file, and the address in it.
type Key = (Identity, u64);

fn key(place: &Place) -> Key {
    (place.module.identity, place.address)
}

/// How much of a program is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// Debug information too, in files of its own too.
    All,
    /// The same, as far as it is in the program itself.
    Own,
    /// Its symbol tables.
    Names,
    /// Nothing.
    Nothing,
}

impl Depth {
    fn of(module: &Module, budget: &Budget) -> Self {
        if !budget.is_bounded() {
            Self::All
        } else if module.debug_bytes > 0
            // The tables that are made of it are the smaller part.
            && budget.allows(module.symbol_bytes + module.debug_bytes + module.debug_bytes / 4)
        {
            Self::Own
        } else if budget.allows(module.symbol_bytes) {
            Self::Names
        } else {
            Self::Nothing
        }
    }
}

impl Symbols {
    pub(super) fn new() -> Self {
        Self {
            symbolizer: None,
            known: HashMap::new(),
        }
    }

    /// The functions at these places: those that were inlined at one first. `most`
    /// places are remembered.
    pub(super) fn frames(&mut self, places: &[Place], most: usize, budget: &Budget) -> Vec<Frame> {
        self.learn(places, most, budget);
        let known = places
            .iter()
            .filter_map(|place| self.known.get(&key(place)));
        known.flatten().cloned().collect()
    }

    /// Looks up what is not known yet, program by program: where memory is bounded,
    /// one is let go before the next is read.
    fn learn(&mut self, places: &[Place], most: usize, budget: &Budget) {
        if self.known.len() + places.len() > most {
            self.known.clear();
        }
        let mut met = HashSet::new();
        let mut new: Vec<_> = places
            .iter()
            .filter(|place| !self.known.contains_key(&key(place)) && met.insert(key(place)))
            .collect();
        new.sort_by_key(|place| place.module.identity);
        for same in new.chunk_by(|one, other| Rc::ptr_eq(&one.module, &other.module)) {
            let Some(first) = same.first() else { continue };
            let depth = Depth::of(&first.module, budget);
            let symbolizer = self.symbolizer.get_or_insert_with(|| symbolizer(depth));
            for place in same {
                let frames = look_up(symbolizer, place, depth);
                self.known.insert(key(place), frames);
            }
            if budget.is_bounded() {
                self.symbolizer = None;
                heap::trim();
            }
        }
    }
}

fn symbolizer(depth: Depth) -> Symbolizer {
    let builder = Symbolizer::builder();
    match depth {
        Depth::All => builder,
        // Nowhere: a library's, compressed, takes 15 MiB.
        Depth::Own | Depth::Names | Depth::Nothing => {
            builder.set_debug_dirs(Some(Vec::<PathBuf>::new()))
        }
    }
    .build()
}

fn look_up(symbolizer: &Symbolizer, place: &Place, depth: Depth) -> Vec<Frame> {
    let bare = Frame {
        module: Some(place.module.path.clone()),
        offset: Some(place.address),
        ..Frame::default()
    };
    // By the open file: its path may be another's by now.
    let file = place.module.file.as_raw_fd();
    let symbol = |debug_syms| {
        let mut elf = Elf::new(PathBuf::from(format!("/proc/self/fd/{file}")));
        elf.debug_syms = debug_syms;
        let found =
            symbolizer.symbolize_single(&Source::Elf(elf), Input::VirtOffset(place.address));
        found.ok().and_then(Symbolized::into_sym)
    };
    let (detailed, whole) = match depth {
        Depth::All | Depth::Own => (symbol(true), symbol(false)),
        Depth::Names => (None, symbol(false)),
        Depth::Nothing => (None, None),
    };
    // Debug information has bare names (`poll`), the symbol table whole ones
    // (`hyper::…::Conn::poll`). That of another function is worse than none.
    let (symbol, whole) = match (detailed, whole) {
        (Some(detailed), whole) => {
            let same = |whole: &Sym<'_>| whole.addr == detailed.addr;
            let whole = whole.filter(same).map(|whole| whole.name);
            (detailed, whole)
        }
        // That it cannot be read, and the table can.
        (None, Some(whole)) => (whole, None),
        (None, None) => return vec![bare],
    };
    let frame = |name: &str, code: Option<&CodeInfo<'_>>, inlined| Frame {
        symbol: (!name.is_empty()).then(|| name.to_owned()),
        file: code.map(|code| code.to_path().to_string_lossy().into_owned()),
        line: code.and_then(|code| code.line),
        inlined,
        ..bare.clone()
    };
    let inlined = symbol.inlined.iter().rev();
    inlined
        .map(|inner| frame(&inner.name, inner.code_info.as_ref(), true))
        .chain([frame(
            whole.as_deref().unwrap_or(&symbol.name),
            symbol.code_info.as_deref(),
            false,
        )])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{maps::Maps, modules::Modules};

    /// This test's own code, as a place.
    fn own() -> Place {
        let here = own as fn() -> Place as usize as u64;
        let maps = Maps::of(std::process::id()).expect("this process runs");
        let mapping = maps.at(here).expect("this code is mapped");
        let module = Modules::default().get(std::process::id(), mapping, &Budget::AMPLE);
        let module = module.expect("this program can be read");
        let address = module.address_of(mapping, here).expect("it is in the file");
        Place { module, address }
    }

    #[test]
    fn as_much_is_read_as_memory_allows() {
        let place = own();
        let (symbols, debug) = (place.module.symbol_bytes, place.module.debug_bytes);
        let found = |budget| {
            let frames = Symbols::new().frames(std::slice::from_ref(&place), 10, &budget);
            let frame = frames.last().cloned().unwrap_or_default();
            let named = frame.symbol.is_some_and(|name| name.ends_with("own"));
            (named, frame.line.is_some(), frame.offset.is_some())
        };
        assert_eq!(found(Budget::AMPLE), (true, true, true));
        assert_eq!(found(Budget::up_to(1 << 40)), (true, true, true));
        // Other tests of this process take memory and give it back meanwhile.
        assert!((0..20).any(|_| {
            let names = heap::resident() + symbols + debug / 2;
            found(Budget::up_to(names)) == (true, false, true)
        }));
        assert_eq!(found(Budget::up_to(1)), (false, false, true));
    }

    #[test]
    fn no_more_places_are_remembered_than_are_asked_for() {
        let place = own();
        let mut symbols = Symbols::new();
        let places: Vec<_> = (0..20)
            .map(|offset| Place {
                module: place.module.clone(),
                address: place.address + offset,
            })
            .collect();
        for places in places.chunks(3) {
            let frames = symbols.frames(places, 6, &Budget::AMPLE);
            assert!(frames.len() >= places.len());
            assert!(symbols.known.len() <= 6);
        }
    }
}
