//! The Lambda host: it runs the functions' real binaries as Lambda does.
//!
//! One process handles one invocation at a time; concurrent invocations of a function get a process
//! each, at most [`CONCURRENCY`], and wait in line beyond that. A process is started when one is needed
//! and reused afterwards. Its environment is Lambda's and nothing of ours. An invocation that passes
//! its deadline ends with its process killed, one whose process ends by itself ends as an error; the
//! next invocation gets a new process.

pub mod process;
mod runtime_api;
pub mod trace;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::logs::{Level, Logs};
use trace::Trace;
use worker::{Answer, Job, Worker};

/// Processes per function; further invocations queue.
pub const CONCURRENCY: usize = 32;

/// What Lambda grants a process to initialise before its first invocation is charged for it.
const INIT: Duration = Duration::from_secs(10);

/// How long an answer waits for its process to be free again, so that the caller's next invocation
/// finds it instead of starting another.
const TURNAROUND: Duration = Duration::from_millis(100);

/// A function and the binary that it runs.
#[derive(Debug, Clone)]
pub struct HostedFunction {
    /// Cargo binary, which is how the function is addressed.
    pub binary: String,
    pub executable: PathBuf,
    pub timeout: Duration,
    pub memory_mb: u32,
    /// The template's variables, the AWS endpoint, credentials; Lambda's own are added.
    pub environment: BTreeMap<String, String>,
}

/// Names that all functions of a stack share.
#[derive(Debug, Clone)]
pub struct Names {
    pub stack: String,
    pub region: String,
    pub account_id: String,
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// What the function answered.
    Response(Bytes),
    /// The function failed, crashed or could not start; `kind` is Lambda's `errorType`.
    FunctionError { kind: String, message: String },
    /// The function passed its deadline and was killed.
    Timeout,
}

/// The host; clones share the processes.
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    names: Names,
    base_url: String,
    functions: BTreeMap<String, Pool>,
    registry: Registry,
    logs: Logs,
    next_worker: AtomicU64,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Pool {
    function: HostedFunction,
    arn: String,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Arc<Worker>>>,
    used: Mutex<Usage>,
}

/// What Lambda bills of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    pub invocations: u64,
    /// Of all invocations, without initialisation.
    pub milliseconds: f64,
}

impl Host {
    /// Serves the Runtime API on `listener`. No process is started yet.
    ///
    /// # Errors
    ///
    /// When the listener has no address.
    pub fn start(
        listener: TcpListener,
        names: Names,
        functions: Vec<HostedFunction>,
        logs: Logs,
    ) -> std::io::Result<Self> {
        let base_url = format!("http://{}", listener.local_addr()?);
        let registry = Registry::default();
        let api = runtime_api::router(registry.clone());
        let server = crate::server::spawn(listener, api);
        let functions = functions.into_iter().map(|function| (function.binary.clone(), Pool::new(function, &names)));
        let inner = Inner {
            base_url,
            functions: functions.collect(),
            registry,
            logs,
            next_worker: AtomicU64::new(1),
            server,
            names,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs `binary` on `payload` (JSON) and returns when it has answered. The invocation goes on when
    /// the caller stops waiting, as in Lambda.
    pub async fn invoke(&self, binary: &str, payload: Bytes, chain: &Trace) -> Invocation {
        let (answer, answered) = oneshot::channel();
        let (host, binary, chain) = (self.clone(), binary.to_owned(), chain.clone());
        tokio::spawn(async move { host.run(&binary, payload, &chain, answer).await });
        answered.await.unwrap_or_else(|_| failed("Host.Stopped", "the Lambda host is stopping"))
    }

    /// Ends all processes of `binary` with SIGKILL, busy or idle.
    pub fn kill(&self, binary: &str) {
        for worker in self.inner.registry.of(binary) {
            worker.kill();
        }
    }

    /// Ends every process with SIGKILL, without waiting.
    pub fn kill_all(&self) {
        self.inner.registry.all().iter().for_each(|worker| worker.kill());
    }

    /// What `binary` has used so far.
    pub fn usage(&self, binary: &str) -> Usage {
        self.inner.functions.get(binary).map(|pool| *lock(&pool.used)).unwrap_or_default()
    }

    /// Process ids of `binary`'s living processes.
    pub fn processes(&self, binary: &str) -> Vec<u32> {
        self.inner.registry.of(binary).iter().map(|worker| worker.pid).collect()
    }

    /// Ends every process and waits until none is left.
    pub async fn stop(&self) {
        self.inner.server.abort();
        for pool in self.inner.functions.values() {
            pool.permits.close();
        }
        for worker in self.inner.registry.all() {
            worker.kill();
            worker.dead().await;
        }
    }

    async fn run(&self, binary: &str, payload: Bytes, chain: &Trace, answer: oneshot::Sender<Invocation>) {
        let Some(pool) = self.inner.functions.get(binary) else {
            answer.send(failed("ResourceNotFoundException", &format!("no function runs `{binary}`"))).ok();
            return;
        };
        let Ok(permit) = pool.permits.clone().acquire_owned().await else {
            return;
        };
        let request_id = Uuid::new_v4().to_string();
        let worker = match self.worker(pool, &request_id).await {
            Ok(worker) => worker,
            Err(invocation) => {
                answer.send(invocation).ok();
                return;
            }
        };
        let began = Instant::now();
        let outcome = self.perform(pool, &worker, request_id, payload, chain).await;
        pool.bill(began.elapsed());
        let free = tokio::time::timeout(TURNAROUND, worker.ready()).await;
        // Its caller may have gone.
        answer.send(outcome).ok();
        self.release(pool, worker, permit, free.is_ok()).await;
    }

    /// An idle process, or a new one that has initialised.
    async fn worker(&self, pool: &Pool, request_id: &str) -> Result<Arc<Worker>, Invocation> {
        while let Some(worker) = lock(&pool.idle).pop() {
            if worker.is_ready() {
                return Ok(worker);
            }
        }
        let number = self.inner.next_worker.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", pool.function.binary);
        let environment = self.environment(pool, &id);
        let worker = Worker::start(
            id,
            &pool.function.binary,
            &pool.function.executable,
            &environment,
            &self.inner.logs,
            self.inner.registry.clone(),
        )
        .await
        .map_err(|error| self.broken(pool, "Runtime.InvalidEntrypoint", &error.to_string()))?;
        match tokio::time::timeout(INIT + pool.function.timeout, worker.ready()).await {
            Ok(Ok(())) => Ok(worker),
            Ok(Err(why)) => Err(match worker.init_error() {
                Some(Answer::Error { kind, message }) => self.broken(pool, &kind, &message),
                _ => self.broken(
                    pool,
                    "Runtime.ExitError",
                    &format!("RequestId: {request_id} Error: Runtime exited with error: {why}"),
                ),
            }),
            Err(_) => {
                worker.kill();
                let line = format!("{request_id} Initialisation timed out");
                self.inner.logs.host(&pool.function.binary, Level::Error, line);
                Err(Invocation::Timeout)
            }
        }
    }

    async fn perform(
        &self,
        pool: &Pool,
        worker: &Worker,
        request_id: String,
        payload: Bytes,
        chain: &Trace,
    ) -> Invocation {
        let (answer, answered) = oneshot::channel();
        let deadline = SystemTime::now() + pool.function.timeout;
        worker.give(Job {
            request_id: request_id.clone(),
            deadline_ms: deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
            function_arn: pool.arn.clone(),
            trace_header: chain.invocation(&pool.function.binary).header(),
            payload,
            answer,
        });
        let ended = async {
            let why = worker.dead().await;
            format!("RequestId: {request_id} Error: Runtime exited with error: {why}")
        };
        tokio::select! {
            biased;
            Ok(answer) = answered => match answer {
                Answer::Response(body) => Invocation::Response(body),
                Answer::Error { kind, message } => Invocation::FunctionError { kind, message },
            },
            message = ended => failed("Runtime.ExitError", &message),
            () = tokio::time::sleep(pool.function.timeout) => {
                worker.kill();
                let seconds = pool.function.timeout.as_secs_f64();
                let line = format!("{request_id} Task timed out after {seconds:.2} seconds");
                self.inner.logs.host(&pool.function.binary, Level::Error, line);
                Invocation::Timeout
            }
        }
    }

    /// Makes the process available again once it asks for its next event; the permit is held until then.
    async fn release(&self, pool: &Pool, worker: Arc<Worker>, permit: OwnedSemaphorePermit, settled: bool) {
        if !settled && tokio::time::timeout(pool.function.timeout, worker.ready()).await.is_err() {
            worker.kill();
        }
        if worker.is_ready() {
            lock(&pool.idle).push(worker);
        }
        drop(permit);
    }

    fn broken(&self, pool: &Pool, kind: &str, message: &str) -> Invocation {
        let line = format!("{} could not start: {kind}: {message}", pool.function.binary);
        self.inner.logs.host(&pool.function.binary, Level::Error, line);
        failed(kind, message)
    }

    /// What Lambda sets, and nothing of this process's own environment.
    fn environment(&self, pool: &Pool, worker: &str) -> BTreeMap<String, String> {
        let name = function_name(&self.inner.names, &pool.function.binary);
        let mut environment = BTreeMap::from([
            ("AWS_LAMBDA_RUNTIME_API", format!("{}/w/{worker}", self.inner.base_url)),
            ("AWS_LAMBDA_FUNCTION_NAME", name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", pool.function.memory_mb.to_string()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", format!("[$LATEST]{worker}")),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
            ("AWS_REGION", self.inner.names.region.clone()),
            ("AWS_DEFAULT_REGION", self.inner.names.region.clone()),
            ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
            ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("TZ", ":UTC".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin".to_owned()),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<BTreeMap<_, _>>();
        environment.extend(pool.function.environment.clone());
        environment
    }
}

impl Pool {
    fn new(function: HostedFunction, names: &Names) -> Self {
        let name = function_name(names, &function.binary);
        Self {
            arn: format!("arn:aws:lambda:{}:{}:function:{name}", names.region, names.account_id),
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            idle: Mutex::default(),
            used: Mutex::default(),
            function,
        }
    }

    fn bill(&self, time: Duration) {
        let mut used = lock(&self.used);
        used.invocations += 1;
        used.milliseconds += time.as_secs_f64() * 1_000.0;
    }
}

/// The living workers by id, shared with the Runtime API.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    workers: Arc<watch::Sender<HashMap<String, Arc<Worker>>>>,
}

impl Registry {
    fn add(&self, worker: &Arc<Worker>) {
        self.workers.send_modify(|workers| {
            workers.insert(worker.id.clone(), worker.clone());
        });
    }

    fn remove(&self, id: &str) {
        self.workers.send_modify(|workers| {
            workers.remove(id);
        });
    }

    /// The worker, waiting at most `patience` for it to be added.
    async fn wait_for(&self, id: &str, patience: Duration) -> Option<Arc<Worker>> {
        let mut workers = self.workers.subscribe();
        let known = tokio::time::timeout(patience, workers.wait_for(|workers| workers.contains_key(id))).await;
        known.ok()?.ok()?.get(id).cloned()
    }

    fn all(&self) -> Vec<Arc<Worker>> {
        self.workers.borrow().values().cloned().collect()
    }

    fn of(&self, binary: &str) -> Vec<Arc<Worker>> {
        self.all().into_iter().filter(|worker| worker.runs(binary)).collect()
    }
}

/// The function's physical name.
fn function_name(names: &Names, binary: &str) -> String {
    format!("{}-{binary}", names.stack)
}

fn failed(kind: &str, message: &str) -> Invocation {
    Invocation::FunctionError { kind: kind.to_owned(), message: message.to_owned() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
