//! Several builds at a time, as many as there are cores.

use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread::{self, available_parallelism};

/// As much as a main thread has.
const STACK_BYTES: usize = 8 << 20;

/// What `work` gives for each job, in the order of the jobs. All are worked on, whatever
/// becomes of the others; a single one in this thread.
///
/// The threads are not rayon's: a job may wait for a lock that another one holds.
///
/// # Errors
/// That a thread cannot be started.
pub(crate) fn each<J: Sync, T: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> T + Sync,
) -> io::Result<Vec<T>> {
    if let [job] = jobs {
        return Ok(vec![work(job)]);
    }
    let cores = available_parallelism().map_or(1, NonZero::get);
    let next = Mutex::new(jobs.iter().enumerate());
    let take = || next.lock().ok()?.next();
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, job)) = take() {
            done.push((index, work(job)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let start = |_| {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, worker)
        };
        let workers = (0..cores.min(jobs.len())).map(start);
        let mut done = Vec::new();
        for worker in workers.collect::<io::Result<Vec<_>>>()? {
            done.extend(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        io::Result::Ok(done)
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..20).collect();
        let slow_first = |job: &u64| {
            thread::sleep(std::time::Duration::from_millis(20 - job));
            job * 2
        };
        let doubled: Vec<u64> = jobs.iter().map(|job| job * 2).collect();
        assert_eq!(each(&jobs, slow_first).unwrap(), doubled);
        assert_eq!(each(&[] as &[u64], |job| *job).unwrap(), [0_u64; 0]);
    }
}
