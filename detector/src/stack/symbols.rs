//! Names, files and lines of the places of a stack.

use std::{collections::HashMap, os::fd::AsRawFd as _, path::PathBuf, rc::Rc};

use blazesym::symbolize::{
    CodeInfo, Input, Symbolized, Symbolizer,
    source::{Elf, Source},
};

use super::{Frame, modules::Module, unwind::Place};

/// Most places whose names are remembered.
const PLACES: usize = 4096;

/// Looks up names.
pub(super) struct Symbols {
    symbolizer: Symbolizer,
    /// What was found at places: endings of the same kind come from the same ones.
    known: HashMap<(*const Module, u64), Known>,
}

/// What was found at a place, with its module: while that is held, no other has
/// its address.
type Known = (Rc<Module>, Vec<Frame>);

impl Symbols {
    pub(super) fn new() -> Self {
        Self {
            symbolizer: Symbolizer::new(),
            known: HashMap::new(),
        }
    }

    /// The functions at a place: those that were inlined there first.
    pub(super) fn frames(&mut self, place: &Place) -> Vec<Frame> {
        let key = (Rc::as_ptr(&place.module), place.address);
        if let Some((_, frames)) = self.known.get(&key) {
            return frames.clone();
        }
        if self.known.len() >= PLACES {
            self.known.clear();
        }
        let frames = self.look_up(place);
        let known = (place.module.clone(), frames.clone());
        self.known.insert(key, known);
        frames
    }

    fn look_up(&self, place: &Place) -> Vec<Frame> {
        // By the open file: its path may be another's by now.
        let file = place.module.file.as_raw_fd();
        let path = PathBuf::from(format!("/proc/self/fd/{file}"));
        let mut plain = Elf::new(path.clone());
        plain.debug_syms = false;
        let source = Source::Elf(Elf::new(path));
        let bare = Frame {
            module: Some(place.module.path.clone()),
            offset: Some(place.address),
            ..Frame::default()
        };
        let found = self
            .symbolizer
            .symbolize_single(&source, Input::VirtOffset(place.address));
        let Ok(Symbolized::Sym(symbol)) = found else {
            return vec![bare];
        };
        // Debug information has bare names (`poll`), the symbol table whole ones
        // (`hyper::…::Conn::poll`). That of another function is worse than none.
        let whole = match self
            .symbolizer
            .symbolize_single(&Source::Elf(plain), Input::VirtOffset(place.address))
        {
            Ok(Symbolized::Sym(whole)) if whole.addr == symbol.addr => Some(whole.name),
            _ => None,
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
}
