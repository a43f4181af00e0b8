//! Watch: the invariants that are looked at while things happen, at each effect, and what was found broken.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde_json::Value;

use crate::happenings::Happening;

/// Who has not called for so long was idle.
const HANDOVER: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub struct Watch {
    broken: Vec<String>,
    /// Tokens and keys that nobody may see.
    secrets: BTreeSet<String>,
    /// `modified_at` of each stored record.
    records: HashMap<(String, String), String>,
    checkpoints: HashMap<(String, String), Seen>,
    /// Merge's accounts that were somebody's here at some time.
    owned: BTreeSet<String>,
    /// Calls of the last minute by account token, and requests for pages by process and account token.
    calls: HashMap<String, VecDeque<(Duration, String)>>,
    pages: Pages,
    /// When the list's model had last finished syncing, as its first page was asked for.
    lists: HashMap<String, Option<i64>>,
    /// The last answer to each query of an index.
    queries: HashMap<String, Value>,
}

/// A checkpoint as it was last written.
#[derive(Clone, Debug, Default)]
struct Seen {
    epoch: u64,
    n: u64,
    pages: u64,
    /// Pages that were committed when its epoch began.
    claimed: u64,
    holder: String,
    open: bool,
    rested: bool,
    sweeping: bool,
    spared: bool,
    cursor: Option<String>,
}

impl Seen {
    fn of(item: &Value) -> Self {
        let number = |name: &str| item[name]["N"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
        let window = &item["window"]["M"];
        Self {
            epoch: number("epoch"),
            n: number("n"),
            pages: number("pages"),
            claimed: number("pages"),
            holder: item["holder"]["S"].as_str().unwrap_or_default().to_owned(),
            open: window.is_object(),
            rested: item["rested"]["BOOL"] == Value::Bool(true),
            sweeping: window["sweep"]["M"].is_object(),
            spared: item["spared"]["S"].is_string(),
            cursor: window["cursor"]["S"].as_str().map(str::to_owned),
        }
    }
}

/// Requests for pages of records, all in all.
#[derive(Debug, Default)]
struct Pages {
    served: u64,
    refused: u64,
    committed: u64,
    claims: u64,
    /// Invocations and the lists that they asked for pages of.
    runs: BTreeSet<(String, String)>,
    /// Requests under way, by invocation.
    under_way: HashMap<String, Vec<List>>,
    /// Cursors that were committed: the page before has been stored. No cursor is given twice.
    cursors: BTreeSet<String>,
}

/// A list of records of one account at Merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    pub token: String,
    pub path: String,
}

/// A request for a page of records, by one invocation of a process.
#[derive(Clone, Debug)]
pub struct PageCall {
    pub process: String,
    pub invocation: u64,
    pub list: List,
    /// None for the first page.
    pub cursor: Option<String>,
}

impl PageCall {
    fn run(&self) -> String {
        format!("{} {}", self.process, self.invocation)
    }
}

/// Start of a checkpoint's sort key.
const CHECKPOINT: &str = "SYNC#";

impl Watch {
    /// Notes that an invariant does not hold.
    pub fn broken(&mut self, what: impl Into<String>) {
        if self.broken.len() < 20 {
            self.broken.push(what.into());
        }
    }

    /// What was found broken, oldest first.
    pub fn found(&self) -> &[String] {
        &self.broken
    }

    pub fn secret(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.insert(secret.to_owned());
        }
    }

    /// I8: a text that others may see holds no secret and nothing of a record.
    pub fn public(&mut self, place: &str, text: &str) {
        if self.secrets.iter().any(|secret| text.contains(secret.as_str())) {
            self.broken(format!("I8: {place} shows a secret: {text}"));
        }
        if text.contains("remote_was_deleted") {
            self.broken(format!("I8: {place} shows a record: {text}"));
        }
    }

    /// I9: a call about an account, under a plan of so many a minute, once nothing goes wrong. Each process has an
    /// allowance of its own, and whoever takes over has what it has earned of its burst while others called.
    pub fn call(&mut self, process: &str, token: &str, at: Duration, plan: u32) {
        let calls = self.calls.entry(token.to_owned()).or_default();
        let made = within_a_minute(calls, (at, process.to_owned()));
        let bound = plan as usize + earned(calls, plan);
        if made > bound {
            self.broken(format!("I9: {made} calls within a minute under a plan of {plan}: at most {bound}"));
        }
    }

    /// I9: an invocation of a process asks for a page of a list of an account's records. What of note happens by it.
    pub fn page_asked(&mut self, call: &PageCall, at: Duration, plan: u32) -> Vec<Happening> {
        let PageCall { process, list, cursor, .. } = call;
        let run = call.run();
        self.pages.runs.insert((run.clone(), format!("{} {}", list.token, list.path)));
        let under_way = self.pages.under_way.entry(run).or_default();
        let at_once = under_way.iter().any(|other| other.token == list.token && other.path != list.path);
        under_way.push(list.clone());
        let ahead = cursor.as_ref().is_some_and(|cursor| !self.pages.cursors.contains(cursor));

        let calls = self.calls.entry(format!("{process} {}", list.token)).or_default();
        let made = within_a_minute(calls, (at, process.to_owned()));
        if made > plan as usize {
            self.broken(format!("I9: {process} asks for {made} pages within a minute under a plan of {plan}"));
        }
        let happened = [(at_once, Happening::ModelsAtOnce), (ahead, Happening::PageAhead)];
        happened.into_iter().filter_map(|(so, what)| so.then_some(what)).collect()
    }

    /// Whether the page was served.
    pub fn page_answered(&mut self, call: &PageCall, served: bool) {
        *(if served { &mut self.pages.served } else { &mut self.pages.refused }) += 1;
        if let Some(under_way) = self.pages.under_way.get_mut(&call.run())
            && let Some(place) = under_way.iter().position(|list| *list == call.list)
        {
            under_way.swap_remove(place);
        }
    }

    /// I9, at the end: no page is asked for in vain but, each time that a worker takes a list up, the one in hand and
    /// the one ahead when it is stopped, and the times that a page or cursor is refused before it gives up.
    pub fn asked_in_vain(&mut self) {
        let Pages { served, refused, committed, claims, ref runs, .. } = self.pages;
        let taken_up = claims + runs.len() as u64;
        if served > committed + 2 * taken_up || refused > 4 * taken_up {
            let what = format!("{served} pages served, {refused} refused, {committed} committed in {taken_up} runs");
            self.broken(format!("I9: {what}"));
        }
    }

    /// Whether Merge's data moved between the first page of a list and this one.
    pub fn moved(&mut self, list: &List, goes_on: bool, finished: Option<i64>) -> bool {
        let list = format!("{} {}", list.token, list.path);
        if !goes_on {
            self.lists.insert(list, finished);
            return false;
        }
        let first = self.lists.insert(list, finished);
        first.is_some_and(|first| first != finished)
    }

    /// A write that DynamoDB has done; what of note happened by it.
    pub fn written(&mut self, action: &str, input: &Value) -> Vec<Happening> {
        let mut happened = Vec::new();
        match action {
            "PutItem" => self.put(&input["Item"], &mut happened),
            "TransactWriteItems" => {
                for write in input["TransactItems"].as_array().into_iter().flatten() {
                    if let Some(put) = write.get("Put") {
                        self.put(&put["Item"], &mut happened);
                    }
                    if write["Update"]["ExpressionAttributeValues"].get(":read").is_some() {
                        self.swept(&write["Update"]);
                        happened.push(Happening::Swept);
                    }
                }
            }
            "DeleteItem" => self.deleted(&input["Key"]),
            "BatchWriteItem" => {
                let tables = input["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values());
                for request in tables.filter_map(Value::as_array).flatten() {
                    self.deleted(&request["DeleteRequest"]["Key"]);
                }
            }
            _ => {}
        }
        happened
    }

    /// A write that comes to DynamoDB, to be done or refused: what it is, if its worker has been overtaken.
    pub fn late(&self, input: &Value) -> Option<Happening> {
        if let Some((list, epoch)) = record_of(&input["Item"]) {
            let now = self.checkpoints.get(&list)?;
            return (epoch < now.epoch && now.pages > now.claimed).then_some(Happening::LateRecord);
        }
        let puts = input["TransactItems"].as_array().into_iter().flatten().filter_map(|write| write.get("Put"));
        let mut items = puts.map(|put| &put["Item"]).chain(input.get("Item"));
        let item = items.find(|item| key(item).1.starts_with(CHECKPOINT))?;
        let now = self.checkpoints.get(&key(item))?;
        (Seen::of(item).epoch < now.epoch).then_some(Happening::LateCommit)
    }

    pub fn remember(&mut self, query: String, answer: Value) {
        self.queries.insert(query, answer);
    }

    /// What the same query was answered before.
    pub fn earlier(&self, query: &str) -> Option<Value> {
        self.queries.get(query).cloned()
    }

    /// Whether Merge's account was somebody's here at some time.
    pub fn was_owned(&self, merge_id: &str) -> bool {
        self.owned.contains(merge_id)
    }

    /// Whether a window of the account is open.
    pub fn is_syncing(&self, account: &str) -> bool {
        let of_account = self.checkpoints.iter().filter(|((pk, _), _)| pk.ends_with(account));
        of_account.into_iter().any(|(_, seen)| seen.open)
    }

    fn put(&mut self, item: &Value, happened: &mut Vec<Happening>) {
        let key = key(item);
        // I6: records have `m`; nothing else has.
        if let (Some(modified_at), Some(_)) = (item["m"]["S"].as_str(), item["h"]["B"].as_str()) {
            let before = self.records.insert(key.clone(), modified_at.to_owned());
            if before.as_deref().is_some_and(|before| before > modified_at) {
                self.broken(format!("I6: {key:?} of {before:?} is overwritten by {modified_at}"));
            }
        }
        if key.1.starts_with(CHECKPOINT) {
            self.checkpoint(key, item, happened);
        } else if let (Some(merge_id), "OWNER") = (key.0.strip_prefix("MERGE#"), key.1.as_str()) {
            self.owned.insert(merge_id.to_owned());
        }
    }

    fn checkpoint(&mut self, key: (String, String), item: &Value, happened: &mut Vec<Happening>) {
        // I3: the first sync is complete once everything of it is stored, and not before.
        let read = item["upper"]["S"].is_string();
        if item["initial_completed"]["BOOL"] == Value::Bool(true) && !read {
            self.broken(format!("I3: {key:?} is complete and was never read"));
        }
        let before = self.checkpoints.get(&key).cloned().unwrap_or_default();
        let mut now = Seen::of(item);
        if now.epoch == before.epoch {
            now.claimed = before.claimed;
        }
        self.checkpoints.insert(key.clone(), now.clone());
        self.pages.cursors.extend(now.cursor.clone());
        // I4: checkpoints move forward, and within an epoch in one hand.
        let onward = now.n >= before.n && now.pages >= before.pages && now.holder == before.holder;
        if now.epoch < before.epoch || (now.epoch == before.epoch && !onward) {
            self.broken(format!("I4: {key:?} goes from {before:?} to {now:?}"));
        }
        // A sweep's step is no page.
        if !before.sweeping {
            self.pages.committed += now.pages.saturating_sub(before.pages);
        }
        if now.epoch > before.epoch {
            self.pages.claims += 1;
            if before.open && !before.rested {
                happened.push(Happening::Takeover);
            }
            if before.open && now.cursor.is_none() && !now.sweeping {
                happened.push(Happening::StartedOver);
            }
        }
        if now.epoch == before.epoch && now.sweeping && now.rested && now.pages == before.pages {
            happened.push(Happening::SweepPutOff);
        }
        if now.spared && !before.spared {
            happened.push(Happening::Spared);
        }
    }

    /// I4: whoever was overtaken deletes nothing.
    fn swept(&mut self, update: &Value) {
        let values = &update["ExpressionAttributeValues"];
        let epoch = values[":e"]["N"].as_str().and_then(|text| text.parse::<u64>().ok());
        let (Some(list), Some(epoch)) = (list_of(&update["Key"]), epoch) else { return };
        let now = self.checkpoints.get(&list).map_or(0, |seen| seen.epoch);
        if epoch < now {
            self.broken(format!("I4: {list:?} is at epoch {now}, and epoch {epoch} deletes {:?}", key(&update["Key"])));
        }
    }

    fn deleted(&mut self, item: &Value) {
        let key = key(item);
        self.records.remove(&key);
        self.checkpoints.remove(&key);
    }
}

/// How many calls there were in the last minute, with this one.
fn within_a_minute(calls: &mut VecDeque<(Duration, String)>, call: (Duration, String)) -> usize {
    let at = call.0;
    calls.push_back(call);
    while calls.front().is_some_and(|(first, _)| at - *first >= Duration::from_secs(60)) {
        calls.pop_front();
    }
    calls.len()
}

/// How many calls processes had earned when they took over from others: at most a burst each time, a twentieth of the
/// plan. Two at once take nothing over, they only call in turn.
fn earned(calls: &VecDeque<(Duration, String)>, plan: u32) -> usize {
    let plan = f64::from(plan);
    let mut last_call = HashMap::new();
    let (mut earned, mut before) = (0.0, None);
    for (at, process) in calls {
        let idle = last_call.insert(process, *at).map_or(Duration::MAX, |last| *at - last);
        if before.is_some_and(|before| before != process) && idle >= HANDOVER {
            earned += (idle.as_secs_f64() * plan / 60.0).min(plan / 20.0);
        }
        before = Some(process);
    }
    earned as usize
}

/// The checkpoint that a record's item belongs to, and the epoch of the worker that writes it.
fn record_of(item: &Value) -> Option<((String, String), u64)> {
    item["h"]["B"].as_str()?;
    let epoch = item["e"]["N"].as_str()?.parse().ok()?;
    Some((list_of(item)?, epoch))
}

/// The checkpoint that a record belongs to, by its key.
fn list_of(record: &Value) -> Option<(String, String)> {
    let (pk, _) = key(record);
    let mut parts = pk.split('#');
    let (account, slug) = (parts.next()?, parts.next()?);
    Some((format!("ACCOUNT#{account}"), format!("{CHECKPOINT}{slug}")))
}

/// Partition and sort key of an item.
pub fn key(item: &Value) -> (String, String) {
    let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
    (text("pk"), text("sk"))
}
