//! A child process that cannot outlive this one.
//!
//! Ctrl-C and `stop` end children in order; a SIGKILL of this process leaves no code of ours to do
//! so. The kernel then does it: every child starts as `setpriv` (util-linux), which asks for a death
//! signal (`PR_SET_PDEATHSIG`) and becomes the program. To ask for it between fork and exec would cost
//! a copy of this process's page tables each time, which with its tables in memory is more than
//! everything else that a start costs. The signal is tied to the *thread* that spawned, so one
//! thread, which ends only with the process, spawns all children. Children get a process group of
//! their own, so that a Ctrl-C in the terminal reaches this process alone, which then ends them.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, mpsc};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Job {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// The thread that spawns; it ends with the process because its sender is never dropped.
static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// A command for `program`, a path or a name to be found on the `PATH`, that dies with this process, however this
/// process ends, and when its handle is dropped. To be spawned by [`spawn`].
///
/// # Errors
///
/// `NotFound` when there is no such program, or no `setpriv`.
pub fn command(program: impl AsRef<OsStr>) -> io::Result<Command> {
    let program = found(program.as_ref())?;
    // By its path: a name is looked up in the child's environment, which again takes a fork.
    let mut command = Command::new(found(OsStr::new("setpriv"))?);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).kill_on_drop(true).process_group(0);
    Ok(command)
}

/// Starts a [`command`]. Must be called within a Tokio runtime.
///
/// # Errors
///
/// What `posix_spawn` says. A file that cannot be executed shows as exit status 126.
pub async fn spawn(command: Command) -> io::Result<Child> {
    let (answer, spawned) = oneshot::channel();
    let job = Job { command, runtime: Handle::current(), answer };
    let spawner = SPAWNER.get_or_init(start_spawner);
    spawner.send(job).map_err(|_| io::Error::other("the thread that spawns processes has ended"))?;
    spawned.await.map_err(|_| io::Error::other("the thread that spawns processes has ended"))?
}

fn found(program: &OsStr) -> io::Result<PathBuf> {
    let path = Path::new(program);
    let candidates: Vec<PathBuf> = match path.parent() {
        Some(parent) if parent != Path::new("") => vec![path.to_owned()],
        _ => env::split_paths(&env::var_os("PATH").unwrap_or_default()).map(|directory| directory.join(path)).collect(),
    };
    let found = candidates.into_iter().find(|candidate| candidate.is_file());
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{} was not found", path.display()));
    found.ok_or_else(missing)
}

fn start_spawner() -> mpsc::Sender<Job> {
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
