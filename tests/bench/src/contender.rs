//! A contender: a process that speaks Lambda's Runtime API, and the environment Lambda would give it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use local_stack::template::{Inputs, load};

use crate::deliveries::Kind;

/// See the module.
#[derive(Debug, Clone)]
pub struct Contender {
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Complete: nothing of ours is inherited.
    pub environment: BTreeMap<String, String>,
}

/// The floor's name.
pub const FLOOR: &str = "hello";
/// The other backend's name.
pub const PYTHON: &str = "python";

impl Contender {
    /// Its process, silent, in its own environment.
    pub fn process(&self) -> Command {
        self.process_under(&[])
    }

    /// The same under a program that looks at it.
    pub fn process_under(&self, program: &[String]) -> Command {
        let words: Vec<&String> = program.iter().chain(&self.command).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().envs(&self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The same contender, other variables put over its own.
    pub fn with(&self, variables: &[(&str, String)]) -> Self {
        let mut changed = self.clone();
        changed.environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        changed
    }

    /// The status that it answers with.
    pub fn answers(&self, kind: Kind) -> u16 {
        match kind {
            Kind::Forged if self.name != FLOOR => 401,
            Kind::LinkToken | Kind::Exchange => 201,
            _ => 200,
        }
    }

    /// Its binary, if it is one of its own.
    pub fn binary(&self) -> Option<&Path> {
        (self.command.len() == 1).then(|| Path::new(&self.command[0]))
    }
}

/// The floor and the functions as they were built in `built`, all against the platform at `address`.
pub fn compiled(root: &Path, built: &Path, address: &str) -> Result<Vec<Contender>, String> {
    let inputs = Inputs {
        stack_name: "bench".to_owned(),
        region: "us-east-1".to_owned(),
        account_id: "0".repeat(12),
        aws_endpoint: format!("http://{address}"),
        api_endpoint: format!("http://{address}"),
        function_url: format!("http://{address}/"),
        parameters: parameters(address),
    };
    let deployment = load(&root.join("infra/template.yaml"), &inputs).map_err(|error| error.to_string())?;
    let mut contenders = vec![Contender {
        name: FLOOR.to_owned(),
        command: vec![text(&built.join(FLOOR))],
        environment: environment(FLOOR, 128, address),
    }];
    for function in deployment.functions {
        let executable = built.join(&function.binary);
        let mut environment = environment(&function.binary, function.memory_mb, address);
        environment.extend(function.environment);
        // Which shape of secret it wants.
        if let Some(secret) = environment.get_mut("WEBHOOK_KEYS_SECRET") {
            "webhook-key-list".clone_into(secret);
        }
        contenders.push(Contender { name: function.binary, command: vec![text(&executable)], environment });
    }
    // Only what was built competes: the guard needs two of them.
    contenders.retain(|contender| contender.binary().is_some_and(Path::exists));
    Ok(contenders)
}

/// The same backend in Python, as `awslambdaric` runs one of its handlers.
pub fn python(root: &Path, interpreter: &Path, address: &str, handler: &str) -> Contender {
    let mut environment = environment(PYTHON, 256, address);
    let handler = format!("backend.{handler}");
    let ours = [
        ("MERGE_BASE_URL", format!("http://{address}/api")),
        ("MERGE_API_KEY_SECRET", "merge-api-key".to_owned()),
        ("WEBHOOK_KEY_SECRET", "webhook-key".to_owned()),
        ("TABLE", "accounts".to_owned()),
        ("RECORDS", "records".to_owned()),
        ("QUEUE_URL", format!("http://{address}/000000000000/queue")),
        ("PYTHONPATH", text(&root.join("tests/bench/python"))),
        ("_HANDLER", handler.clone()),
    ];
    environment.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    let command = ["-m", "awslambdaric", &handler].map(str::to_owned);
    let command = std::iter::once(text(interpreter)).chain(command).collect();
    Contender { name: PYTHON.to_owned(), command, environment }
}

/// The webhook function that trusts a root of ours, too, in the environment of the one that ships.
pub fn first_call(built: &Path, webhook: &Contender, root: &Path) -> Contender {
    let mut first_call = webhook.with(&[("ROOT", text(root))]);
    first_call.command = vec![text(&built.join("first-call"))];
    first_call
}

fn environment(function: &str, memory_mb: u32, address: &str) -> BTreeMap<String, String> {
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", address.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{function}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("PATH", "/usr/bin:/bin".to_owned()),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn parameters(address: &str) -> BTreeMap<String, String> {
    let parameters = [
        ("MergeBaseUrl", format!("http://{address}/api")),
        ("MergeApiKey", "dev-api-key".to_owned()),
        ("WebhookKeys", r#"["dev-webhook-key"]"#.to_owned()),
        ("OidcIssuer", format!("http://{address}")),
        ("OidcAudience", "bench".to_owned()),
        ("OidcClientId", "bench".to_owned()),
        ("AllowInsecureIssuer", "true".to_owned()),
    ];
    parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub fn text(path: &Path) -> String {
    PathBuf::from(path).to_string_lossy().into_owned()
}
