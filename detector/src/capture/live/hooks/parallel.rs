//! The same work on several things at once.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

/// Most threads that work at once: a service may have only a few (`TasksMax=`,
/// systemd.resource-control(5)).
const MOST_THREADS: usize = 8;

/// Does this to each, several at once; one after the other where no thread can be had.
/// The results are in no order.
pub(super) fn parallel<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = items.len().min(MOST_THREADS);
    let items = Mutex::new(items);
    let results = Mutex::new(Vec::new());
    let help = || {
        loop {
            let next = items.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(item) = next else { return };
            let result = work(item);
            results
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            if thread::Builder::new().spawn_scoped(scope, help).is_err() {
                break;
            }
        }
        help();
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_worked_on_once() {
        let mut results = parallel((0..100).collect(), |number: u32| number * 2);
        results.sort_unstable();
        assert_eq!(
            results,
            (0..100).map(|number| number * 2).collect::<Vec<_>>()
        );
        assert!(parallel(Vec::<u32>::new(), |number| number).is_empty());
    }
}
