//! A stack: one running copy of the whole system, on six ports of this machine.

mod options;
mod plan;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use jiff::Timestamp;
use merge_sandbox::Sandbox;

use crate::aws::policy::Policies;
use crate::aws::{Aws, AwsOptions};
use crate::deployment::Deployment;
use crate::edge::authorizer::Authorizer;
use crate::edge::{FunctionUrl, HttpApi, HttpApiOptions, INTEGRATION_TIMEOUT};
use crate::event_source::EventSource;
use crate::issuer::{Issuer, IssuerOptions};
use crate::lambda::trace::Trace;
use crate::lambda::{Host, Invocation, Names};
use crate::logs::{Level, LogLine, Logs};
use crate::ports::Ports;
use crate::ready::Ready;
use crate::schedule::{self, Schedule, ScheduleOptions};
use crate::{provision, template};

pub use options::{Options, StartError};
use plan::{ACCOUNT_ID, Plan, REGION, STACK};

/// A running stack. [`Stack::stop`] ends it in order; dropping it kills what is left.
pub struct Stack {
    ready: Ready,
    deployment: Deployment,
    schedules: Vec<ScheduleOptions>,
    host: Host,
    logs: Logs,
    sqs: aws_sdk_sqs::Client,
    running: Running,
    _killer: Killer,
}

/// Kills the processes of a stack that was not stopped, for example when a test panicked.
struct Killer(Host);

/// What serves, in the order in which it is stopped.
struct Running {
    schedules: Vec<Schedule>,
    event_sources: Vec<EventSource>,
    api: HttpApi,
    function_url: Option<FunctionUrl>,
    sandbox: Sandbox,
    issuer: Issuer,
    aws: Option<Aws>,
}

/// What was not finished when a stack stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Messages by the queue's logical id; queues without any are absent.
    pub queues: BTreeMap<String, QueueDepth>,
    /// Log lines at error level.
    pub errors: Vec<LogLine>,
}

/// Messages of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

impl Stack {
    /// Finds what would make [`Stack::start`] fail at once: bad options, a port in use, a bad template.
    /// The functions need not be built yet.
    ///
    /// # Errors
    ///
    /// As `start` would say it.
    pub async fn check_options(options: &Options) -> Result<(), StartError> {
        let plan = Plan::new(options.clone())?;
        let ports = Ports::bind(plan.options.port_base).await?;
        template::load(&plan.options.template, &plan.inputs(&plan.urls(ports.base)))?;
        plan.data_dir()?;
        Ok(())
    }

    /// Starts everything and returns when all of it answers.
    ///
    /// # Errors
    ///
    /// One sentence; nothing is left running.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        crate::http::install_crypto();
        let plan = Plan::new(options)?;
        let ports = Ports::bind(plan.options.port_base).await?;
        let urls = plan.urls(ports.base);
        let mut deployment = template::load(&plan.options.template, &plan.inputs(&urls))?;
        plan.adjust(&mut deployment);
        let origin = plan::origin();
        let functions = plan.functions(&deployment, &urls, origin)?;
        let binaries = plan::binaries(&deployment);
        let event_sources = plan::event_sources(&deployment, &binaries)?;
        let schedules = plan.schedules(&deployment, &binaries, origin)?;
        let data_dir = plan.data_dir()?;
        let logs = Logs::new(plan.options.echo_logs);

        // The embedded services and the sandbox bind their own listeners; the rest of the block stays
        // bound meanwhile.
        let (aws_address, sandbox_address) = (local(ports.base + 3), local(ports.base + 2));
        drop((ports.aws, ports.sandbox));
        let aws = match plan.options.aws_endpoint {
            Some(_) => None,
            None => Some(start_aws(aws_address, data_dir.as_deref()).await?),
        };
        provision::provision(&deployment, &urls.aws).await.map_err(|error| StartError::Provision(error.to_string()))?;
        if let Some(aws) = &aws {
            aws.enforce(Policies::of(&deployment.functions, plan::access_key));
            aws.deployed(STACK, plan.outputs(&deployment, origin));
            aws.count_from(logs.clone());
        }
        let issuer = Issuer::start(
            ports.issuer,
            IssuerOptions {
                url: urls.issuer.clone(),
                page_origin: urls.api.clone(),
                audience: plan.audience(),
                scope_prefix: plan.scope_prefix(),
                data_dir: data_dir.clone(),
            },
        )?;
        let sandbox = Sandbox::start(merge_sandbox::Options {
            listen: sandbox_address,
            webhook_url: Some(urls.webhook.clone()),
            webhooks: plan.options.webhooks,
            speed: plan.options.speed,
            seed: plan.options.seed,
            data_dir: data_dir.as_ref().map(|directory| directory.join("merge-sandbox")),
            employees: plan.options.employees,
            ..Default::default()
        })
        .await?;
        let names = Names { stack: STACK.to_owned(), region: REGION.to_owned(), account_id: ACCOUNT_ID.to_owned() };
        let host = Host::start(ports.runtime, names, functions, logs.clone()).map_err(StartError::Host)?;
        if let Some(aws) = &aws {
            aws.watch(host.clone(), plan::function_names(&deployment));
        }
        let api = HttpApi::start(
            ports.api,
            HttpApiOptions {
                routes: crate::edge::route::Routes::new(&deployment.routes, &binaries),
                authorizer: deployment.authorizer.as_ref().map(|jwt| Authorizer::new(jwt, crate::http::client())),
                cors_origins: deployment.cors_origins.clone(),
                account_id: ACCOUNT_ID.to_owned(),
                integration_timeout: INTEGRATION_TIMEOUT,
                host: host.clone(),
            },
        );
        let public = deployment.functions.iter().find(|function| function.function_url);
        let function_url =
            public.map(|function| FunctionUrl::start(ports.function_url, host.clone(), function.binary.clone()));
        let running_sources = event_sources.into_iter().map(|source| {
            let client = plan.sqs(&urls, &source.binary);
            EventSource::start(source, client, host.clone(), logs.clone())
        });
        let event_sources = running_sources.collect();
        let running_schedules = match plan.options.schedule {
            true => schedules.iter().map(|schedule| Schedule::start(schedule.clone(), host.clone())).collect(),
            false => Vec::new(),
        };
        let stack = Self {
            ready: plan.ready(&urls, &deployment),
            sqs: plan.sqs(&urls, ""),
            deployment,
            schedules,
            logs,
            running: Running { schedules: running_schedules, event_sources, api, function_url, sandbox, issuer, aws },
            _killer: Killer(host.clone()),
            host,
        };
        stack.check_health().await?;
        Ok(stack)
    }

    /// Where everything is.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The resolved template.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Every log line so far, oldest first.
    pub fn logs(&self) -> Vec<LogLine> {
        self.logs.lines()
    }

    /// The log itself, to follow it.
    pub fn log(&self) -> &Logs {
        &self.logs
    }

    /// The embedded AWS services; `None` behind `aws_endpoint`.
    pub fn aws(&self) -> Option<&Aws> {
        self.running.aws.as_ref()
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.running.sandbox
    }

    /// Runs a function on `event` and returns when it has answered.
    pub async fn invoke(&self, binary: &str, event: serde_json::Value) -> Invocation {
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        let chain = Trace::start(now.as_second().unsigned_abs());
        self.host.invoke(binary, Bytes::from(event.to_string()), &chain).await
    }

    /// Runs every scheduled function once, as at event time `at`, one after the other.
    pub async fn tick(&self, at: Timestamp) -> Vec<Invocation> {
        let mut invocations = Vec::new();
        for schedule in &self.schedules {
            invocations.push(schedule::tick(schedule, &self.host, at).await);
        }
        invocations
    }

    /// Ends all processes of `binary` with SIGKILL, busy or idle.
    pub fn kill_workers(&self, binary: &str) {
        self.host.kill(binary);
    }

    /// Process ids of `binary`'s living processes.
    pub fn processes(&self, binary: &str) -> Vec<u32> {
        self.host.processes(binary)
    }

    /// Messages of every queue, by logical id, also those without any.
    pub async fn queue_depths(&self) -> BTreeMap<String, QueueDepth> {
        let mut depths = BTreeMap::new();
        for queue in &self.deployment.queues {
            match self.depth(&queue.url).await {
                Ok(depth) => {
                    depths.insert(queue.logical_id.clone(), depth);
                }
                Err(why) => self.logs.host("local-stack", Level::Error, format!("{}: {why}", queue.name)),
            }
        }
        depths
    }

    /// Ends everything, processes included, and says what was not finished.
    pub async fn stop(mut self) -> Leftovers {
        self.running.schedules.clear();
        self.running.event_sources.clear();
        let mut queues = self.queue_depths().await;
        queues.retain(|_, depth| *depth != QueueDepth::default());
        let errors = self.logs.lines().into_iter().filter(|line| line.level == Level::Error).collect();
        self.host.stop().await;
        let Running { api, function_url, sandbox, issuer, aws, .. } = self.running;
        drop((api, function_url, issuer));
        sandbox.stop().await;
        if let Some(aws) = aws {
            aws.stop().await;
        }
        Leftovers { queues, errors }
    }

    async fn depth(&self, queue_url: &str) -> Result<QueueDepth, String> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as InFlight,
        };
        let request = self.sqs.get_queue_attributes().queue_url(queue_url);
        let request = request.attribute_names(Visible).attribute_names(Delayed).attribute_names(InFlight);
        let answer =
            request.send().await.map_err(|error| aws_sdk_sqs::error::DisplayErrorContext(error).to_string())?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name| attributes.get(&name).and_then(|value: &String| value.parse().ok()).unwrap_or_default();
        Ok(QueueDepth { visible: number(Visible), in_flight: number(InFlight), delayed: number(Delayed) })
    }

    /// Asks every service for something small.
    async fn check_health(&self) -> Result<(), StartError> {
        let ready = &self.ready;
        let discovery = format!("{}/.well-known/openid-configuration", ready.issuer);
        let checks = [
            ("the AWS services' endpoint", ready.aws.clone(), None),
            ("the issuer", discovery, Some(200)),
            ("the Merge sandbox", format!("{}/state", ready.sandbox), Some(200)),
            ("the HTTP API", format!("{}/.health", ready.api), Some(404)),
        ];
        let client = crate::http::client();
        for (service, url, expected) in checks {
            let answer = client.get(&url).timeout(Duration::from_secs(10)).send().await;
            let why = match answer {
                Ok(answer) if expected.is_none_or(|status| answer.status() == status) => continue,
                Ok(answer) => format!("it answers {}", answer.status()),
                Err(error) => error.to_string(),
            };
            return Err(StartError::Unhealthy { service, url, why });
        }
        Ok(())
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        self.0.kill_all();
    }
}

async fn start_aws(listen: SocketAddr, data_dir: Option<&Path>) -> Result<Aws, StartError> {
    let options = AwsOptions {
        listen,
        data_dir: data_dir.map(|directory| directory.join("aws")),
        region: REGION.to_owned(),
        account_id: ACCOUNT_ID.to_owned(),
    };
    Aws::start(options).await.map_err(|error| StartError::Aws(error.to_string()))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
