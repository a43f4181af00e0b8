//! Results: everything that was measured, as it is kept in `tests/results/performance.json`. A run replaces the suites
//! that it ran and leaves the others.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::FirstAnswers;
use crate::instructions::{Instructions, PerWebhook};
use crate::serving::Served;
use crate::size::Size;
use crate::start::Starts;
use crate::sync::SyncRun;
use crate::tls::Tls;
use crate::units::Operation;

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    pub machine: String,
    /// Commit and day of each suite.
    pub taken: std::collections::BTreeMap<String, String>,
    pub start: Vec<Starts>,
    pub instructions: Vec<Instructions>,
    pub webhook_instructions: Vec<PerWebhook>,
    pub sizes: Vec<Size>,
    pub tls: Option<Tls>,
    pub answers: Vec<FirstAnswers>,
    pub serving: Vec<Served>,
    pub sync: Vec<SyncRun>,
    pub units: Vec<Operation>,
}

impl Results {
    /// What is kept of earlier runs; nothing if there is none.
    pub fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Keeps them, one line for each thing that was measured.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err("results are an object".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let fields = fields.into_iter().map(|(name, value)| match value {
            Value::Array(rows) if !rows.is_empty() => {
                let rows: Vec<String> = rows.iter().map(|row| format!("  {row}")).collect();
                format!("\"{name}\": [\n{}\n]", rows.join(",\n"))
            }
            value => format!("\"{name}\": {value}"),
        });
        let text = format!("{{\n{}\n}}\n", fields.collect::<Vec<_>>().join(",\n"));
        std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What it runs on, in words.
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} cores of {}, Linux {}", cores, model.trim_start_matches([' ', '\t', ':']), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let path = std::env::temp_dir().join(format!("bench-results-{}.json", std::process::id()));
        let sizes = vec![Size { name: "hello".to_owned(), binary: 2, deflated: 1 }];
        let results = Results { machine: "two \"cores\"".to_owned(), sizes, ..Results::default() };
        results.write(&path).expect("written");
        let read = Results::read(&path).expect("read");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!((read.machine.as_str(), read.sizes.len()), ("two \"cores\"", 1));
        assert_eq!(Results::read(&path).expect("nothing").sizes.len(), 0);
    }
}
