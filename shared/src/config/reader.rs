//! The reader: looks variables up, parses them, and collects what is wrong with them.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// One variable that is missing or cannot be understood. It never repeats the value, which may be
/// a secret pasted into the wrong place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name of the variable.
    pub variable: &'static str,
    /// What is wrong with it, as the end of a sentence.
    pub problem: String,
}

/// Every fault found in the environment, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Fault>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the environment is not usable:")?;
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator} {} {}", fault.variable, fault.problem)?;
        }
        Ok(())
    }
}

/// Looks variables up and notes the faults.
pub struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// A reader over any source of variables.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, faults: Vec::new() }
    }

    /// Succeeds if no fault was noted.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigError(self.faults)) }
    }

    /// Notes that `variable` has a fault.
    pub fn fault(&mut self, variable: &'static str, problem: impl Into<String>) {
        // Two sections may read the same variable: one fault is enough.
        if self.faults.iter().all(|fault| fault.variable != variable) {
            self.faults.push(Fault { variable, problem: problem.into() });
        }
    }

    /// The trimmed value, or `None` when unset or empty: CloudFormation cannot pass "unset".
    pub fn optional(&mut self, variable: &'static str) -> Option<String> {
        let value = (self.lookup)(variable)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The value, or a fault when it is unset.
    pub fn required(&mut self, variable: &'static str) -> String {
        self.optional(variable).unwrap_or_else(|| {
            self.fault(variable, "is not set");
            String::new()
        })
    }

    /// The value, or `default` when it is unset.
    pub fn text_or(&mut self, variable: &'static str, default: &str) -> String {
        self.optional(variable).unwrap_or_else(|| default.to_owned())
    }

    /// A number between `least` and `most`, or `default` when it is unset.
    pub fn number_or<T>(&mut self, variable: &'static str, default: T, least: T, most: T) -> T
    where
        T: FromStr + PartialOrd + Copy + fmt::Display,
    {
        let Some(value) = self.optional(variable) else { return default };
        match value.parse::<T>() {
            Ok(number) if number >= least && number <= most => number,
            _ => {
                self.fault(variable, format!("must be a number from {least} to {most}"));
                default
            }
        }
    }

    /// One of a few words, the first being the default.
    pub fn choice<T: Copy>(&mut self, variable: &'static str, choices: &[(&str, T)]) -> T {
        let default = choices[0].1;
        let Some(value) = self.optional(variable) else { return default };
        match choices.iter().find(|(word, _)| *word == value) {
            Some((_, choice)) => *choice,
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                self.fault(variable, format!("must be one of {}", words.join(", ")));
                default
            }
        }
    }

    /// Words separated by commas or white space.
    pub fn list(&mut self, variable: &'static str) -> Vec<String> {
        let value = self.optional(variable).unwrap_or_default();
        let words = value.split(|c: char| c == ',' || c.is_whitespace());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// A URL without a trailing slash, credentials, query or fragment. HTTPS, unless the host is
    /// this machine: the local stack has no certificates.
    pub fn https_url(&mut self, variable: &'static str) -> String {
        let value = self.required(variable);
        if value.is_empty() {
            return value;
        }
        // Values go into a policy's directives: what ends one, or what a parser would silently leave out, stands in
        // none.
        let written_out = value.bytes().all(|byte| byte.is_ascii_graphic() && !b";,\"'".contains(&byte));
        match Url::parse(&value) {
            _ if !written_out => {
                self.fault(variable, "must be a URL without spaces, quotes, commas or semicolons");
                String::new()
            }
            Ok(url) if is_plain(&url) && is_secret(&url) => value.trim_end_matches('/').to_owned(),
            Ok(url) if is_plain(&url) && url.scheme() == "http" => {
                self.fault(variable, "must be an https URL");
                String::new()
            }
            _ => {
                self.fault(variable, "must be a URL without credentials, query or fragment");
                String::new()
            }
        }
    }
}

/// Whether the URL is a host and a path and nothing else.
pub(crate) fn is_plain(url: &Url) -> bool {
    url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

/// Whether what is sent there stays between us and it: https, or plain HTTP to this machine.
pub(crate) fn is_secret(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Whether the URL's host is this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
