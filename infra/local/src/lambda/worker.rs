//! A worker: one process of one function, which is one execution environment of Lambda.
//!
//! A worker handles one invocation at a time. It is born `Starting`, becomes `Ready` whenever its
//! process asks the Runtime API for the next event, `Busy` when it gets one, and `Dead` once: a dead
//! worker is never revived, the pool starts another.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::process;
use crate::logs::{Level, Logs};

/// How long the lines that a process wrote before its end are waited for.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where a worker stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    Busy,
    /// Why the process ended, for example `signal: 9 (SIGKILL)`.
    Dead(String),
}

/// One event on its way to a worker.
#[derive(Debug)]
pub(super) struct Job {
    pub request_id: String,
    /// Milliseconds since the epoch.
    pub deadline_ms: u64,
    pub function_arn: String,
    pub trace_header: String,
    pub payload: Bytes,
    pub answer: oneshot::Sender<Answer>,
}

/// What a process posted for an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Response(Bytes),
    Error { kind: String, message: String },
}

/// The invocation that a worker is busy with.
#[derive(Debug)]
struct Current {
    request_id: String,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub id: String,
    pub pid: u32,
    function: String,
    phase: watch::Sender<Phase>,
    jobs: mpsc::Sender<Job>,
    queue: tokio::sync::Mutex<mpsc::Receiver<Job>>,
    current: Mutex<Option<Current>>,
    /// What the process posted to `/init/error`.
    init_error: Mutex<Option<Answer>>,
    kill: Notify,
    /// The end was asked for, so it is no fault of the function.
    end_expected: AtomicBool,
}

impl Worker {
    /// Starts the process; its phase is followed from then on.
    pub async fn start(
        id: String,
        function: &str,
        executable: &Path,
        environment: &BTreeMap<String, String>,
        logs: &Logs,
        registry: super::Registry,
    ) -> io::Result<Arc<Self>> {
        let mut command = process::command(bootstrap(executable)?)?;
        command
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (jobs, queue) = mpsc::channel(1);
        // The process may call before this function returns: the registry learns of it afterwards and
        // the Runtime API waits for that.
        let mut child = process::spawn(command).await?;
        let worker = Arc::new(Self {
            id,
            pid: child.id().unwrap_or_default(),
            function: function.to_owned(),
            phase: watch::Sender::new(Phase::Starting),
            jobs,
            queue: tokio::sync::Mutex::new(queue),
            current: Mutex::default(),
            init_error: Mutex::default(),
            kill: Notify::new(),
            end_expected: AtomicBool::new(false),
        });
        registry.add(&worker);
        let readers = [
            child.stdout.take().map(|out| capture(out, function, logs)),
            child.stderr.take().map(|err| capture(err, function, logs)),
        ];
        tokio::spawn(supervise(worker.clone(), child, readers, logs.clone(), registry));
        Ok(worker)
    }

    /// Hands over an event. The worker must be `Ready`.
    pub fn give(&self, job: Job) {
        // A full or closed channel means that the process is dying: its invoker sees `Dead`.
        self.jobs.try_send(job).ok();
    }

    /// The process asks for its next event and waits for it. `None` when the worker is at its end.
    pub async fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock().await;
        self.enter(Phase::Ready);
        let job = queue.recv().await?;
        self.enter(Phase::Busy);
        Some(job)
    }

    /// Remembers whose answer the process will post next.
    pub fn began(&self, request_id: String, answer: oneshot::Sender<Answer>) {
        *lock(&self.current) = Some(Current { request_id, answer });
    }

    /// The process posted an answer; false when it is not busy with that request.
    pub fn answered(&self, request_id: &str, answer: Answer) -> bool {
        let mut current = lock(&self.current);
        match current.take() {
            Some(busy) if busy.request_id == request_id => {
                // The invoker may have given up at the deadline.
                busy.answer.send(answer).ok();
                true
            }
            other => {
                *current = other;
                false
            }
        }
    }

    /// The process posted an initialisation error.
    pub fn init_failed(&self, error: Answer) {
        *lock(&self.init_error) = Some(error);
    }

    pub fn init_error(&self) -> Option<Answer> {
        lock(&self.init_error).clone()
    }

    /// Ends the process with SIGKILL because the host wants it so.
    pub fn kill(&self) {
        self.end_expected.store(true, Ordering::Relaxed);
        self.kill.notify_one();
    }

    /// Returns when the process waits for an event.
    ///
    /// # Errors
    ///
    /// Why it ended instead.
    pub async fn ready(&self) -> Result<(), String> {
        let mut phase = self.phase.subscribe();
        let reached = phase.wait_for(|phase| matches!(phase, Phase::Ready | Phase::Dead(_))).await;
        match reached.as_deref() {
            Ok(Phase::Dead(why)) => Err(why.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err("the host is stopping".to_owned()),
        }
    }

    /// Returns when the process has ended, with the reason.
    pub async fn dead(&self) -> String {
        let mut phase = self.phase.subscribe();
        let reached = phase.wait_for(|phase| matches!(phase, Phase::Dead(_))).await;
        match reached.as_deref() {
            Ok(Phase::Dead(why)) => why.clone(),
            _ => "the host is stopping".to_owned(),
        }
    }

    /// Whether this is a process of `binary`.
    pub fn runs(&self, binary: &str) -> bool {
        self.function == binary
    }

    /// Whether it can be given an event. A process that was told to end cannot, though it may still live.
    pub fn is_ready(&self) -> bool {
        !self.end_expected.load(Ordering::Relaxed) && *self.phase.borrow() == Phase::Ready
    }

    fn enter(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            let alive = !matches!(phase, Phase::Dead(_));
            if alive {
                *phase = next;
            }
            alive
        });
    }
}

/// The executable under the name that it has in Lambda, whatever the function: a link in a directory beside it.
///
/// # Errors
///
/// `NotFound` when there is no such file.
fn bootstrap(executable: &Path) -> io::Result<PathBuf> {
    executable.metadata()?;
    let directory = executable.with_file_name("bootstraps").join(executable.file_name().unwrap_or_default());
    let link = directory.join("bootstrap");
    if !link.exists() {
        std::fs::create_dir_all(&directory)?;
        match symlink(executable, &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(link)
}

/// Waits for the end of the process, however it comes.
async fn supervise(
    worker: Arc<Worker>,
    mut child: Child,
    readers: [Option<JoinHandle<()>>; 2],
    logs: Logs,
    registry: super::Registry,
) {
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = worker.kill.notified() => child.kill().await.and(child.wait().await),
    };
    for reader in readers.into_iter().flatten() {
        let abort = reader.abort_handle();
        if tokio::time::timeout(LAST_LINES, reader).await.is_err() {
            abort.abort();
        }
    }
    let why = match ended {
        Ok(status) => describe(status),
        Err(error) => format!("lost: {error}"),
    };
    let level = if worker.end_expected.load(Ordering::Relaxed) { Level::Debug } else { Level::Error };
    logs.host(&worker.function, level, format!("process {} ended: {why}", worker.pid));
    registry.remove(&worker.id);
    worker.enter(Phase::Dead(why));
    // Drops the sender of a waiting invoker.
    lock(&worker.current).take();
}

/// As Lambda words it.
fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}

fn capture(stream: impl AsyncRead + Unpin + Send + 'static, function: &str, logs: &Logs) -> JoinHandle<()> {
    let (function, logs) = (function.to_owned(), logs.clone());
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        // An error is the end of the pipe as much as its end is.
        while stream.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            logs.written(&function, text.trim_end_matches(['\r', '\n']).to_owned());
            line.clear();
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
