//! The trace header, `X-Amzn-Trace-Id`, and the lineage in it.
//!
//! AWS stops a function that keeps invoking itself through SQS by what the trace header says: each
//! invocation adds itself to the `Lineage` field, the SDK sends the header with every request that the
//! function makes, SQS keeps it as the message's `AWSTraceHeader`, and the next invocation counts on
//! from there. The local stack does the same, so the rule holds for whoever sends with an AWS SDK
//! (which copies `_X_AMZN_TRACE_ID`, set by the runtime for each invocation).

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Invocations of one function in one chain after which AWS stops it.
pub const MAXIMUM_HOPS: u32 = 16;

/// A trace header of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    root: String,
    /// Which function ran how often in this chain.
    lineage: Vec<(String, u32)>,
}

impl Trace {
    /// A chain that begins here.
    pub fn start(now_seconds: u64) -> Self {
        let random = Uuid::new_v4().simple().to_string();
        Self { root: format!("1-{now_seconds:08x}-{}", &random[..24]), lineage: Vec::new() }
    }

    /// Reads a header; `None` when it has no root.
    pub fn parse(header: &str) -> Option<Self> {
        let mut root = None;
        let mut lineage = Vec::new();
        for field in header.split(';') {
            match field.trim().split_once('=') {
                Some(("Root", value)) => root = Some(value.to_owned()),
                Some(("Lineage", value)) => lineage = parse_lineage(value),
                _ => {}
            }
        }
        root.map(|root| Self { root, lineage })
    }

    /// How often `function` already ran in this chain.
    pub fn hops(&self, function: &str) -> u32 {
        let name = short_name(function);
        self.lineage.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
    }

    /// The header of an invocation of `function` in this chain.
    pub fn invocation(&self, function: &str) -> Self {
        let name = short_name(function);
        let mut next = self.clone();
        match next.lineage.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => next.lineage.push((name, 1)),
        }
        next
    }

    /// As it is sent.
    pub fn header(&self) -> String {
        let parent = &Uuid::new_v4().simple().to_string()[..16];
        let mut header = format!("Root={};Parent={parent};Sampled=0", self.root);
        if !self.lineage.is_empty() {
            let lineage: Vec<_> = self.lineage.iter().map(|(name, count)| format!("{name}:{count}")).collect();
            header.push_str(";Lineage=");
            header.push_str(&lineage.join("|"));
        }
        header
    }
}

fn parse_lineage(value: &str) -> Vec<(String, u32)> {
    value
        .split('|')
        .filter_map(|entry| {
            let (name, count) = entry.rsplit_once(':')?;
            Some((name.to_owned(), count.parse().ok()?))
        })
        .collect()
}

/// Eight hexadecimal digits, as in AWS's own lineage.
fn short_name(function: &str) -> String {
    Sha256::digest(function).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_counts_each_function_by_itself() {
        let mut trace = Trace::start(1_700_000_000);
        for _ in 0..3 {
            trace = Trace::parse(&trace.invocation("sync-worker").header()).expect("own header");
        }
        trace = Trace::parse(&trace.invocation("poller").header()).expect("own header");
        assert_eq!((trace.hops("sync-worker"), trace.hops("poller"), trace.hops("webhook")), (3, 1, 0));
    }

    #[test]
    fn a_header_without_lineage_starts_at_zero_and_garbage_is_refused() {
        let trace = Trace::parse("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1").expect("has a root");
        assert_eq!(trace.hops("sync-worker"), 0);
        assert_eq!(Trace::parse("Lineage=abc:4"), None);
        assert_eq!(Trace::parse(""), None);
    }
}
