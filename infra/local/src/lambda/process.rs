//! A child process that cannot outlive this one.
//!
//! Ctrl-C and `stop` end children in order; a SIGKILL of this process leaves no code of ours to do
//! so. The kernel then does it: every child asks for a death signal (`PR_SET_PDEATHSIG`). The signal
//! is tied to the *thread* that forked, so one thread, which ends only with the process, forks all
//! children. A parent that died between the fork and the request would be missed: the child compares
//! its parent's id after asking. Children get a process group of their own, so that a Ctrl-C in the
//! terminal reaches this process alone, which then ends them.

// `Command::pre_exec` is unsafe because most of Rust is not async-signal-safe after a fork. No crate
// offers a parent death signal without it.
#![allow(unsafe_code)]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{OnceLock, mpsc};
use std::thread;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Job {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// The thread that forks; it ends with the process because its sender is never dropped.
static FORKER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// Spawns `command` so that it dies with this process, however this process ends. The child is also
/// killed when the returned handle is dropped. Must be called within a Tokio runtime.
///
/// # Errors
///
/// What `execve` says, for example `NotFound` when there is no such file.
pub async fn spawn(mut command: Command) -> io::Result<Child> {
    let parent = getpid();
    command.kill_on_drop(true).process_group(0);
    // SAFETY: the closure only makes system calls through rustix, which neither allocate nor lock,
    // and builds an error from a number.
    unsafe {
        command.pre_exec(move || die_with(parent));
    }
    let (answer, spawned) = oneshot::channel();
    let job = Job { command, runtime: Handle::current(), answer };
    let forker = FORKER.get_or_init(start_forker);
    forker.send(job).map_err(|_| io::Error::other("the thread that spawns processes has ended"))?;
    spawned.await.map_err(|_| io::Error::other("the thread that spawns processes has ended"))?
}

fn die_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
    }
    Ok(())
}

fn start_forker() -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::spawn(move || {
        for mut job in jobs {
            // Spawning within a runtime that is shutting down may panic; this thread must live on.
            let child = catch_unwind(AssertUnwindSafe(|| {
                let _entered = job.runtime.enter();
                job.command.spawn()
            }))
            .unwrap_or_else(|_| Err(io::Error::other("the runtime is shutting down")));
            // Nobody waits any more: dropping the child kills it.
            drop(job.answer.send(child));
        }
    });
    sender
}
