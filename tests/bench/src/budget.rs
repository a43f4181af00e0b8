//! A budget: what a function's start may cost. `budgets.json` beside this crate holds what it cost when it was last
//! looked at; a change that goes over one by more than the tolerance raises it in the same commit and says why. One
//! that goes below renews it likewise, so that what was won is not lost again unseen.
//!
//! There are budgets of two builds. The tests' own binaries are there anyway, so counting them costs seconds: what is
//! linked in or done at start without need shows in them as well. The release build, which is what ships, takes minutes
//! to make.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::instructions;
use crate::platform::Platform;
use crate::size::loaded;

/// What one function costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Instructions to the first request.
    pub first: u64,
    /// Instructions to `/next`, the secrets read from a service that answers at once, without TLS.
    pub next: u64,
    /// Bytes of the binary that are loaded.
    pub loaded: u64,
}

/// Compilers and patches of dependencies move all of them a little. Both ways.
const TOLERANCE_PERCENT: u64 = 10;

/// By function.
pub type Budgets = BTreeMap<String, Budget>;

/// Those of every build in the file, by the build's name.
pub fn read(path: &Path) -> Result<BTreeMap<String, Budgets>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

pub fn write(path: &Path, budgets: &BTreeMap<String, Budgets>) -> Result<(), String> {
    let text = serde_json::to_string_pretty(budgets).map_err(|error| error.to_string())?;
    std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
}

/// What the contenders cost now.
pub fn measure(platform: &Platform, contenders: &[Contender], scratch: &Path) -> Result<Budgets, String> {
    let counted = instructions::starts(platform, contenders, scratch)?;
    let costs = contenders.iter().zip(counted).map(|(contender, counted)| {
        let binary = contender.binary().ok_or_else(|| format!("{} has no binary", contender.name))?;
        let bytes = std::fs::read(binary).map_err(|error| format!("{}: {error}", binary.display()))?;
        let loaded = loaded(&bytes).ok_or_else(|| format!("{} is no executable", binary.display()))?;
        Ok((contender.name.clone(), Budget { first: counted.first, next: counted.next, loaded }))
    });
    costs.collect()
}

/// What goes over its budget, what stays so far below it that the budget says nothing any more, and what has one but
/// was not measured.
pub fn strayed(budgets: &Budgets, costs: &Budgets) -> Vec<String> {
    let mut strayed = Vec::new();
    for (name, budget) in budgets {
        let Some(cost) = costs.get(name) else {
            strayed.push(format!("{name} was not built"));
            continue;
        };
        let measured = [
            ("instructions to its first request", cost.first, budget.first),
            ("instructions to /next", cost.next, budget.next),
            ("bytes loaded", cost.loaded, budget.loaded),
        ];
        for (what, is, was) in measured {
            let tolerance = was * TOLERANCE_PERCENT / 100;
            let (least, most) = (was - tolerance, was + tolerance);
            if is > most {
                strayed.push(format!("{name}: {is} {what}, {most} at most"));
            }
            if is < least {
                let renew = "make it the budget with `cargo bench-tether budgets`";
                strayed.push(format!("{name}: {is} {what}, less than {least}: {renew}"));
            }
        }
    }
    strayed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strays_is_named_and_so_is_what_was_not_built() {
        let budgets = |text: &str| serde_json::from_str::<Budgets>(text).expect("budgets");
        let allowed =
            budgets(r#"{"a": {"first": 10, "next": 20, "loaded": 30}, "b": {"first": 1, "next": 1, "loaded": 1}}"#);
        let costs = budgets(r#"{"a": {"first": 11, "next": 23, "loaded": 33}}"#);
        assert_eq!(strayed(&allowed, &costs), ["a: 23 instructions to /next, 22 at most", "b was not built"]);
        let costs =
            budgets(r#"{"a": {"first": 9, "next": 18, "loaded": 26}, "b": {"first": 1, "next": 1, "loaded": 1}}"#);
        let below = strayed(&allowed, &costs);
        assert!(below.len() == 1 && below[0].starts_with("a: 26 bytes loaded, less than 27"), "{below:?}");
    }
}
