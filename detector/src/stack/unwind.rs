//! From a frame to its caller's, by the tables of the programs (DWARF 5 section
//! 6.4; Linux Standard Base, exception frames).
//!
//! Every step is proved: a table tells it, the memory it needs was copied, the
//! stack shrinks, and the return address is behind a call. Else the stack ends
//! there, with the reason.

use std::rc::Rc;

use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, EhFrameHdr, EndianSlice, EvaluationResult,
    Expression, FrameDescriptionEntry, LittleEndian, Location, RegisterRule, UnwindContext,
    UnwindExpression, UnwindSection, UnwindTableRow, Value,
};

use super::{
    budget::Budget,
    calls::{self, ends_with_call, ends_with_system_call},
    copies::Copied,
    maps::Maps,
    modules::{Module, ModuleError, Modules, Section},
    registers::{ADDRESS_BITS, Registers, STACK_POINTER},
    stack_memory::StackMemory,
};

/// Most frames that are followed.
const FRAMES: usize = 256;

/// What lies further from the stack pointer is not on the same stack.
const STACK_LIMIT: u64 = 1 << 30;

/// Most steps of an expression; those of compilers have a dozen.
const EXPRESSION_STEPS: u32 = 1000;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Why a stack ends before the thread's first function.
#[derive(Debug, thiserror::Error)]
pub(super) enum Incomplete {
    /// Nobody could read what it had mapped.
    #[error("the process was gone before its programs could be looked up")]
    ProcessGone,
    /// The address is nowhere.
    #[error("{0:#x} is no code that the process had mapped")]
    Unmapped(u64),
    /// There is no file to look into.
    #[error("{0:#x} is in memory without a file: code made at run time, or the kernel's")]
    NoFile(u64),
    /// The file cannot be used.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The file tells nothing of this address.
    #[error("{path} has no unwind table for {address:#x}")]
    NoTable {
        /// The file.
        path: String,
        /// The address in it.
        address: u64,
    },
    /// What it tells cannot be used.
    #[error("the unwind table of {path} cannot be used at {address:#x}: {source}")]
    BadTable {
        /// The file.
        path: String,
        /// The address in it.
        address: u64,
        /// Why.
        source: gimli::Error,
    },
    /// What it tells needs a register whose value is not known, or something
    /// that no unwind table needs.
    #[error("the unwind table of {path} asks at {address:#x} for what was not copied")]
    Unknown {
        /// The file.
        path: String,
        /// The address in it.
        address: u64,
    },
    /// It goes on.
    #[error("it goes on beyond the {} KiB that were copied", .0 / 1024)]
    Memory(u64),
    /// A page of it was swapped out.
    #[error("{0:#x} of it was not in memory")]
    Hole(u64),
    /// It is not what ran, or not what is there.
    #[error("{address:#x} of {path} is not behind a call")]
    NotCalled {
        /// The file.
        path: String,
        /// The address in it.
        address: u64,
    },
    /// A stack only shrinks towards its beginning.
    #[error("the unwind table of {path} leads nowhere at {address:#x}")]
    Loop {
        /// The file.
        path: String,
        /// The address in it.
        address: u64,
    },
    /// It is deeper than anyone reads.
    #[error("it has more than {FRAMES} frames")]
    Deep,
}

/// A frame: where its function was.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) module: Rc<Module>,
    /// The address in the module of the instruction that was running: of a
    /// caller, within its call.
    pub(super) address: u64,
}

/// Walks a copied stack. The places, the innermost first, and why they are not
/// all.
pub(super) fn unwind(
    modules: &mut Modules,
    copied: &Copied,
    budget: &Budget,
) -> (Vec<Place>, Option<Incomplete>) {
    let mut places = Vec::new();
    let Some(maps) = copied.maps.as_deref() else {
        return (places, Some(Incomplete::ProcessGone));
    };
    let (registers, counter) = Registers::at_entry(&copied.registers);
    let mut walk = Walk {
        modules,
        copied,
        budget,
        maps,
        registers,
        counter,
        by: FrameExit::SystemCall,
    };
    let why = loop {
        if places.len() >= FRAMES {
            break Some(Incomplete::Deep);
        }
        match walk.step(&mut places) {
            Ok(true) => {}
            Ok(false) => break None,
            Err(why) => break Some(why),
        }
    };
    (places, why)
}

/// How a frame's function was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameExit {
    /// By the system call: the counter is behind it.
    SystemCall,
    /// By a call: the counter is behind it.
    Call,
    /// By a signal, at any instruction.
    Signal,
}

struct Walk<'a> {
    modules: &'a mut Modules,
    copied: &'a Copied,
    budget: &'a Budget,
    maps: &'a Maps,
    registers: Registers,
    counter: u64,
    by: FrameExit,
}

/// What a table tells of a frame.
struct Unwound {
    /// The caller's registers and where it goes on; `None` for a thread's first
    /// function.
    caller: Option<(Registers, u64)>,
    /// It is the kernel's way into a signal handler.
    signal: bool,
}

impl Walk<'_> {
    /// Adds the frame and goes to its caller; `false` if it has none.
    fn step(&mut self, places: &mut Vec<Place>) -> Result<bool, Incomplete> {
        let mapping = self
            .maps
            .at(self.counter)
            .ok_or(match self.copied.outdated {
                true => Incomplete::ProcessGone,
                false => Incomplete::Unmapped(self.counter),
            })?;
        if mapping.inode == 0 {
            return Err(Incomplete::NoFile(self.counter));
        }
        let module = self.modules.get(self.copied.pid, mapping, self.budget)?;
        let exact = module
            .address_of(mapping, self.counter)
            .ok_or(Incomplete::Unmapped(self.counter))?;
        // A call may be the last instruction of its function.
        let address = match self.by {
            FrameExit::Call => exact.wrapping_sub(1),
            FrameExit::SystemCall | FrameExit::Signal => exact,
        };
        let before = module.code_before(mapping, self.counter, calls::BEFORE);
        let left_so = match self.by {
            FrameExit::SystemCall => ends_with_system_call(&before),
            FrameExit::Call => ends_with_call(&before),
            FrameExit::Signal => true,
        };
        let frame = Frame {
            module: &module,
            address,
            registers: &self.registers,
            memory: &self.copied.memory,
        };
        let unwound = frame.unwind();
        // A handler returns to where nothing called it from.
        let trampoline = unwound.as_ref().is_ok_and(|told| told.signal);
        if !left_so && !trampoline {
            return Err(Incomplete::NotCalled {
                path: module.path.clone(),
                address: exact,
            });
        }
        let result = match unwound {
            Ok(Unwound { caller: None, .. }) => Ok(false),
            Ok(Unwound {
                caller: Some((registers, counter)),
                signal,
            }) => {
                let (before, after) = (
                    self.registers.get(STACK_POINTER),
                    registers.get(STACK_POINTER),
                );
                // A handler may have a stack of its own (sigaltstack(2)); on
                // arm64 a function that called nothing may have taken none.
                let moves = signal
                    || after > before
                    || (after == before && self.by != FrameExit::Call && counter != self.counter);
                self.by = if signal {
                    FrameExit::Signal
                } else {
                    FrameExit::Call
                };
                (self.registers, self.counter) = (registers, counter);
                // The ABIs mark the first frame by a zero, where no table does.
                if moves {
                    Ok(counter != 0)
                } else {
                    Err(Incomplete::Loop {
                        path: module.path.clone(),
                        address: exact,
                    })
                }
            }
            Err(why) => Err(why),
        };
        places.push(Place { module, address });
        result
    }
}

/// A frame, to be looked up.
struct Frame<'a> {
    module: &'a Module,
    address: u64,
    registers: &'a Registers,
    memory: &'a StackMemory,
}

impl Frame<'_> {
    fn unwind(&self) -> Result<Unwound, Incomplete> {
        let bases = self.bases();
        if let Some(section) = &self.module.eh_frame {
            let table = EhFrame::new(&section.bytes, LittleEndian);
            match self.entry(&table, &bases) {
                Ok(entry) => return self.by_entry(&table, &bases, &entry),
                Err(gimli::Error::NoUnwindInfoForAddress) => {}
                Err(source) => return Err(self.bad(source)),
            }
        }
        if let Some(section) = &self.module.debug_frame {
            let mut table = DebugFrame::new(&section.bytes, LittleEndian);
            table.set_address_size(8);
            match table.fde_for_address(&bases, self.address, DebugFrame::cie_from_offset) {
                Ok(entry) => return self.by_entry(&table, &bases, &entry),
                Err(gimli::Error::NoUnwindInfoForAddress) => {}
                Err(source) => return Err(self.bad(source)),
            }
        }
        Err(Incomplete::NoTable {
            path: self.module.path.clone(),
            address: self.address,
        })
    }

    fn bases(&self) -> BaseAddresses {
        let address = |section: &Option<Section>| {
            section
                .as_ref()
                .map_or(0, |section: &Section| section.address)
        };
        BaseAddresses::default()
            .set_text(self.module.text)
            .set_eh_frame(address(&self.module.eh_frame))
            .set_eh_frame_hdr(address(&self.module.eh_frame_hdr))
    }

    /// By the index, where there is one.
    fn entry<'t>(
        &self,
        table: &EhFrame<Bytes<'t>>,
        bases: &BaseAddresses,
    ) -> gimli::Result<FrameDescriptionEntry<Bytes<'t>>> {
        if let Some(section) = &self.module.eh_frame_hdr
            && let Ok(header) = EhFrameHdr::new(&section.bytes, LittleEndian).parse(bases, 8)
            && let Some(index) = header.table()
        {
            let pointer = index.lookup(self.address, bases)?;
            let offset = index.pointer_to_offset(pointer)?;
            let entry = table.fde_from_offset(
                bases,
                gimli::EhFrameOffset(offset.0),
                EhFrame::cie_from_offset,
            )?;
            return if entry.contains(self.address) {
                Ok(entry)
            } else {
                Err(gimli::Error::NoUnwindInfoForAddress)
            };
        }
        table.fde_for_address(bases, self.address, EhFrame::cie_from_offset)
    }

    fn by_entry<'t, S: UnwindSection<Bytes<'t>>>(
        &self,
        table: &S,
        bases: &BaseAddresses,
        entry: &FrameDescriptionEntry<Bytes<'t>>,
    ) -> Result<Unwound, Incomplete> {
        let mut context = UnwindContext::new();
        let row = entry
            .unwind_info_for_address(table, bases, &mut context, self.address)
            .map_err(|source| self.bad(source))?;
        let signal = entry.is_signal_trampoline();
        let rules = Rules {
            frame: self,
            table,
            encoding: entry.cie().encoding(),
        };
        let caller = rules.caller(row, entry.cie().return_address_register().0)?;
        Ok(Unwound { caller, signal })
    }

    fn bad(&self, source: gimli::Error) -> Incomplete {
        Incomplete::BadTable {
            path: self.module.path.clone(),
            address: self.address,
            source,
        }
    }

    fn unknown(&self) -> Incomplete {
        Incomplete::Unknown {
            path: self.module.path.clone(),
            address: self.address,
        }
    }

    fn word(&self, address: u64) -> Result<u64, Incomplete> {
        self.memory.word(address).ok_or_else(|| {
            let pointer = self.registers.get(STACK_POINTER).unwrap_or(0);
            match address.checked_sub(pointer) {
                Some(above) if above < STACK_LIMIT && address < self.memory.end() => {
                    Incomplete::Hole(address)
                }
                Some(above) if above < STACK_LIMIT => Incomplete::Memory(self.memory.span()),
                // Below the stack pointer, or nowhere near: not a matter of size.
                _ => self.unknown(),
            }
        })
    }
}

/// A row of a table, applied to a frame.
struct Rules<'a, 'm, S> {
    frame: &'a Frame<'m>,
    table: &'a S,
    encoding: gimli::Encoding,
}

impl<'t, S: UnwindSection<Bytes<'t>>> Rules<'_, '_, S> {
    fn caller(
        &self,
        row: &UnwindTableRow<usize>,
        return_address: u16,
    ) -> Result<Option<(Registers, u64)>, Incomplete> {
        let frame = self.frame;
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => frame
                .registers
                .get(register.0)
                .ok_or_else(|| frame.unknown())?
                .wrapping_add_signed(*offset),
            CfaRule::Expression(expression) => self.evaluate(expression, None)?,
        };
        let mut caller = frame.registers.preserved();
        caller.set(STACK_POINTER, Some(cfa));
        // Where the return address is in no register that is followed (x86-64),
        // a rule tells it.
        let mut counter = caller.get(return_address);
        for (register, rule) in row.registers() {
            let value = match rule {
                RegisterRule::Undefined => None,
                RegisterRule::SameValue => frame.registers.get(register.0),
                RegisterRule::Offset(offset) => Some(frame.word(cfa.wrapping_add_signed(*offset))?),
                RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(*offset)),
                RegisterRule::Register(other) => frame.registers.get(other.0),
                RegisterRule::Expression(expression) => {
                    Some(frame.word(self.evaluate(expression, Some(cfa))?)?)
                }
                RegisterRule::ValExpression(expression) => {
                    Some(self.evaluate(expression, Some(cfa))?)
                }
                // Of arm64: whether return addresses are signed. The signature
                // is taken off in any case.
                RegisterRule::Constant(_) => continue,
                RegisterRule::Architectural => return Err(frame.unknown()),
            };
            caller.set(register.0, value);
            if register.0 == return_address {
                counter = value;
            }
        }
        Ok(counter.map(|counter| (caller, counter & ADDRESS_BITS)))
    }

    /// The value of an expression, which begins with `initial`.
    fn evaluate(
        &self,
        expression: &UnwindExpression<usize>,
        initial: Option<u64>,
    ) -> Result<u64, Incomplete> {
        let frame = self.frame;
        let bad = |source| frame.bad(source);
        let expression: Expression<Bytes<'t>> = expression.get(self.table).map_err(bad)?;
        let mut evaluation = expression.evaluation(self.encoding);
        evaluation.set_max_iterations(EXPRESSION_STEPS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate().map_err(bad)?;
        loop {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = frame.registers.get(register.0);
                    let value = value.ok_or_else(|| frame.unknown())?;
                    evaluation.resume_with_register(Value::Generic(value))
                }
                EvaluationResult::RequiresMemory {
                    address, size: 8, ..
                } => evaluation.resume_with_memory(Value::Generic(frame.word(address)?)),
                _ => return Err(frame.unknown()),
            }
            .map_err(bad)?;
        }
        match evaluation.as_result() {
            [piece] => match piece.location {
                Location::Address { address } => Ok(address),
                _ => Err(frame.unknown()),
            },
            _ => Err(frame.unknown()),
        }
    }
}
