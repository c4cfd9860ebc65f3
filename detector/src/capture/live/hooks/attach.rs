//! Loads and attaches the program of one hook, and says why that cannot be.

use aya::{
    Ebpf,
    programs::{BtfTracePoint, FEntry, FExit, KProbe, Program, ProgramError, TracePoint},
    sys::SyscallError,
};
use rustix::io::Errno;

use super::row::{Hook, Kernel, Row};
use crate::capture::live::{CaptureError, error::refusal, probes};

impl Row {
    /// Loads and attaches it.
    pub(super) fn attempt(
        &self,
        programs: &mut Ebpf,
        kernel: Kernel<'_>,
    ) -> Result<(), CaptureError> {
        match programs.program_mut(self.program) {
            Some(program) => self
                .hook
                .attach(program, kernel)
                .map_err(|error| self.refused(error)),
            None => Err(CaptureError::Object(self.program)),
        }
    }

    /// Why, of what the kernel said.
    pub(super) fn refused(&self, error: ProgramError) -> CaptureError {
        match (&self.hook, error) {
            // For want of perf's events, not of a tracepoint.
            (Hook::Start(function) | Hook::End(function), source) if function.call.is_some() => {
                let reason = refusal(&source);
                CaptureError::Paranoid { reason }
            }
            // The kernel has no such tracepoint or function.
            (_, ProgramError::Btf(_) | ProgramError::TracePointError(_)) => self.missing(),
            (_, ProgramError::SyscallError(error)) if is_paranoid(&error) => {
                let reason = "it has none for this call".to_owned();
                CaptureError::Paranoid { reason }
            }
            (Hook::Start(function) | Hook::End(function), source) => CaptureError::Untraceable {
                tracepoint: function.instead_of,
                function: function.name,
                purpose: self.purpose,
                since: self.since,
                reason: refusal(&source),
            },
            (_, source) => CaptureError::Program {
                program: self.program,
                source,
            },
        }
    }
}

/// Whether perf_event_open(2) asks for more capabilities (EACCES), as Debian's kernels do
/// from a level of 3 on. The level itself a service may not be shown (ProcSubset=pid).
fn is_paranoid(error: &SyscallError) -> bool {
    error.call.starts_with("perf_event_open")
        && error.io_error.raw_os_error() == Some(Errno::ACCESS.raw_os_error())
}

impl Hook {
    /// Has the kernel verify the program, if it has not yet.
    pub(super) fn load(
        &self,
        program: &mut Program,
        kernel: Kernel<'_>,
    ) -> Result<(), ProgramError> {
        if program.fd().is_ok() {
            return Ok(());
        }
        match self {
            Self::Typed(tracepoint) => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.load(&kernel.name_of(tracepoint), kernel.btf)
            }
            Self::Start(function) => {
                let program: &mut FEntry = program.try_into()?;
                program.load(&kernel.name_of(function.name), kernel.btf)
            }
            Self::End(function) => {
                let program: &mut FExit = program.try_into()?;
                program.load(&kernel.name_of(function.name), kernel.btf)
            }
            Self::Event(..) | Self::Syscall(_) => {
                let program: &mut TracePoint = program.try_into()?;
                program.load()
            }
            Self::Probe(..) => {
                let program: &mut KProbe = program.try_into()?;
                program.load()
            }
        }
    }

    /// Attaches it.
    pub(super) fn attach(
        &self,
        program: &mut Program,
        kernel: Kernel<'_>,
    ) -> Result<(), ProgramError> {
        self.load(program, kernel)?;
        match self {
            Self::Typed(_) => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.attach()?;
            }
            Self::Start(function) => {
                let program: &mut FEntry = program.try_into()?;
                program.attach()?;
                if let Err(error) = function.check(kernel) {
                    program.unload()?;
                    return Err(error.into());
                }
            }
            Self::End(function) => {
                let program: &mut FExit = program.try_into()?;
                program.attach()?;
                if let Err(error) = function.check(kernel) {
                    program.unload()?;
                    return Err(error.into());
                }
            }
            Self::Event(folder, tracepoint, _) => {
                let program: &mut TracePoint = program.try_into()?;
                program.attach(folder, &kernel.name_of(tracepoint))?;
            }
            Self::Syscall(tracepoint) => {
                let program: &mut TracePoint = program.try_into()?;
                program.attach("syscalls", &kernel.name_of(tracepoint))?;
            }
            Self::Probe(function, probe) => {
                let program: &mut KProbe = program.try_into()?;
                let attached = program
                    .attach(function, 0)
                    .and_then(|_| Ok(probes::check(*probe, kernel.hits)?));
                if attached.is_err() {
                    // It is as if it had not been tried.
                    program.unload()?;
                }
                attached?;
            }
        }
        Ok(())
    }
}
