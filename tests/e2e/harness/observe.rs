//! Observations: what a system did, as its logs, its queues and its processes tell.

use std::fs;

use serde_json::Value;

use super::System;

impl System {
    /// Sum of a metric over every function, so far.
    pub fn counted(&self, metric: &str) -> u64 {
        self.metric_lines(metric).iter().filter_map(|line| line[metric].as_u64()).sum()
    }

    /// Sum of a metric under one dimension, so far.
    pub fn counted_by(&self, metric: &str, kind: &str) -> u64 {
        let lines = self.metric_lines(metric).into_iter().filter(|line| line["Kind"] == kind);
        lines.filter_map(|line| line[metric].as_u64()).sum()
    }

    fn metric_lines(&self, metric: &str) -> Vec<Value> {
        let quoted = format!("\"{metric}\":");
        let lines = self.stack.logs().into_iter().filter(|line| line.line.contains(&quoted));
        lines.filter_map(|line| serde_json::from_str::<Value>(&line.line).ok()).collect()
    }

    /// Bodies of the messages that were ever put on a queue and that name `id`.
    pub fn messages_about(&self, id: &str) -> Vec<String> {
        let messages = self.stack.aws().expect("embedded services").messages();
        messages.into_iter().filter(|body| body.contains(id)).collect()
    }

    /// How many they are.
    pub fn queued_about(&self, id: &str) -> usize {
        self.messages_about(id).len()
    }

    /// The most memory that any living process of a function ever held, in bytes.
    pub fn peak_memory(&self, binary: &str) -> u64 {
        let processes = self.stack.processes(binary);
        assert!(!processes.is_empty(), "no process of {binary} lives");
        let peaks = processes.into_iter().filter_map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        });
        peaks.max().expect("a process that still lives") << 10
    }
}
