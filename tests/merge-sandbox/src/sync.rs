//! Sync: how an account's data moves from the provider into Merge, model by model.
//!
//! A run copies one model; a round is a set of runs that ends with `LinkedAccount.sync_completed`. The first round is
//! the initial sync. Changes at the provider become visible only when a run finishes well.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::account::{Account, Status};
use crate::clock::Time;
use crate::dataset::Dataset;
use crate::models;

/// Merge's six values of `status` and `last_sync_result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SyncStatus {
    Syncing,
    Done,
    Failed,
    Disabled,
    Paused,
    PartiallySynced,
}

/// One model's part of sync-status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncState {
    pub model_id: String,
    pub model_name: String,
    pub status: SyncStatus,
    pub last_sync_start: Option<Time>,
    pub last_sync_result: Option<SyncStatus>,
    pub last_sync_finished: Option<Time>,
    pub data_fresh_as_of: Option<Time>,
    pub is_initial_sync: bool,
    run: Option<Run>,
}

/// A queued or running copy of one model.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Run {
    start: Time,
    finish: Time,
    result: SyncStatus,
    begun: bool,
    #[serde(default)]
    changes_at_bound: bool,
}

/// The runs that end together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    is_initial: bool,
    open: BTreeSet<String>,
    finished: Vec<String>,
}

/// When and how runs go.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub now: Time,
    pub duration_ms: i64,
    /// Between the starts of two models.
    pub stagger_ms: i64,
    pub interval_ms: i64,
    pub result: SyncStatus,
    /// Changes bear the time at which their run finishes.
    pub changes_at_bound: bool,
}

/// Something that Merge tells by webhook.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Time,
    pub name: String,
    pub data: Value,
    /// Model key and numbers of the records that a finished run changed.
    pub changed: Vec<(models::ModelIndex, Vec<u64>)>,
}

impl Event {
    pub fn new(at: Time, name: impl Into<String>, data: Value) -> Event {
        Event { at, name: name.into(), data, changed: Vec::new() }
    }
}

impl SyncState {
    pub fn new(model_id: &str, model_name: &str, status: SyncStatus) -> SyncState {
        SyncState {
            model_id: model_id.to_owned(),
            model_name: model_name.to_owned(),
            status,
            last_sync_start: None,
            last_sync_result: None,
            last_sync_finished: None,
            data_fresh_as_of: None,
            is_initial_sync: true,
            run: None,
        }
    }

    fn due(&self) -> Option<Time> {
        self.run.map(|run| if run.begun { run.finish } else { run.start })
    }

    /// Merge's SyncStatus object.
    pub fn to_json(&self, next: Option<Time>) -> Value {
        let text = |time: Option<Time>| time.map(|time| time.to_string());
        let next = next.filter(|_| !self.is_initial_sync && self.status != SyncStatus::Disabled);
        json!({
            "model_name": self.model_name,
            "model_id": self.model_id,
            "last_sync_start": text(self.last_sync_start),
            "next_sync_start": text(next),
            "last_sync_result": self.last_sync_result,
            "last_sync_finished": text(self.last_sync_finished),
            "data_fresh_as_of": text(self.data_fresh_as_of),
            "historical_data_since": self.data_fresh_as_of.map(|_| "1900-01-01T00:00:00Z"),
            "status": self.status,
            "sync_status_reason": null,
            "is_initial_sync": self.is_initial_sync,
            "selective_sync_configurations_usage": null,
        })
    }
}

impl Account {
    /// Queues runs of these models (all when empty), staggered; the ids queued and when the last one finishes.
    pub fn begin(&mut self, wanted: &[String], plan: Plan) -> (Vec<String>, Time) {
        let mut queued = Vec::new();
        let mut last = plan.now;
        for position in 0..self.syncs.len() {
            let state = &self.syncs[position];
            let named = wanted.is_empty() || wanted.contains(&state.model_id);
            if !named || state.status == SyncStatus::Disabled {
                continue;
            }
            let start = plan.now.plus_millis(plan.stagger_ms * queued.len() as i64);
            // A run has some length, so that what it changed and brought lies strictly within it.
            self.abandon(position, plan.now);
            let arriving = self.lists_of(position).map(|(index, _)| self.dataset(index).map_or(0, Dataset::arriving));
            let shortest = 2 + arriving.max().unwrap_or_default() as i64 / 1_000;
            let finish = start.plus_millis(plan.duration_ms.max(shortest));
            let state = &mut self.syncs[position];
            state.status = SyncStatus::Syncing;
            state.run =
                Some(Run { start, finish, result: plan.result, begun: false, changes_at_bound: plan.changes_at_bound });
            queued.push(state.model_id.clone());
            last = last.max(finish);
        }
        if !queued.is_empty() {
            let is_initial = !self.initial_round_done;
            let round = self.round.get_or_insert_with(|| Round { is_initial, ..Round::default() });
            round.open.extend(queued.iter().cloned());
            let interval_ms = self.interval_ms.unwrap_or(plan.interval_ms);
            self.next_round = Some(plan.now.plus_millis(interval_ms));
        }
        (queued, last)
    }

    /// Sets back when the queued runs of these models begin.
    pub fn began_at(&mut self, models: &[String], start: Time) {
        let queued = self.syncs.iter_mut().filter(|state| models.contains(&state.model_id));
        queued.filter_map(|state| state.run.as_mut()).for_each(|run| run.start = start);
    }

    /// Ends the run under way without a result; what it has not brought yet is left to the next.
    fn abandon(&mut self, position: usize, now: Time) {
        if self.syncs[position].run.take().is_some_and(|run| run.begun) {
            for (index, _) in self.lists_of(position) {
                self.dataset_mut(index).cut(now);
            }
        }
    }

    /// Stops all syncs, as Merge does after two weeks without traffic.
    pub fn pause(&mut self, now: Time) {
        for position in 0..self.syncs.len() {
            if self.syncs[position].status != SyncStatus::Disabled {
                self.abandon(position, now);
                self.syncs[position].status = SyncStatus::Paused;
            }
        }
        self.round = None;
        self.next_round = None;
    }

    /// The next instant at which something happens by itself.
    pub fn next_due(&self) -> Option<Time> {
        let runs = self.syncs.iter().filter_map(SyncState::due).min();
        let periodic = self.next_round.filter(|_| self.round.is_none() && self.status == Status::Complete);
        [runs, periodic].into_iter().flatten().min()
    }

    /// Lets everything happen that is due, in order of time.
    pub fn advance(&mut self, plan: Plan) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(due) = self.next_due().filter(|due| *due <= plan.now) {
            match self.syncs.iter().position(|state| state.due() == Some(due)) {
                Some(position) => self.step(position, &mut events),
                None => {
                    // After a long stop the rounds that were missed are not made up for.
                    let interval_ms = self.interval_ms.unwrap_or(plan.interval_ms).max(1);
                    let start = due.plus_millis(due.millis_until(plan.now) / interval_ms * interval_ms);
                    self.begin(&[], Plan { now: start, ..plan });
                }
            }
        }
        events
    }

    fn step(&mut self, position: usize, events: &mut Vec<Event>) {
        let Some(mut run) = self.syncs[position].run else { return };
        if !run.begun {
            run.begun = true;
            self.syncs[position].run = Some(run);
            self.syncs[position].last_sync_start = Some(run.start);
            if run.result != SyncStatus::Failed {
                for (index, _) in self.lists_of(position) {
                    self.dataset_mut(index).grow(run.start, run.finish);
                }
            }
            return;
        }
        let mut changed = Vec::new();
        if run.result != SyncStatus::Failed {
            for (index, _) in self.lists_of(position) {
                let earliest = if run.changes_at_bound { run.finish } else { run.start };
                let records = self.dataset_mut(index).apply(earliest, run.finish);
                changed.push((index, records));
            }
        }
        let state = &mut self.syncs[position];
        state.run = None;
        state.status = run.result;
        state.last_sync_result = Some(run.result);
        state.last_sync_finished = Some(run.finish);
        if run.result == SyncStatus::Done {
            state.data_fresh_as_of = Some(run.start);
            state.is_initial_sync = false;
        }
        let model_id = state.model_id.clone();
        let mut event = self.synced_event(position, run.finish);
        event.changed = changed;
        events.push(event);
        if let Some(round) = &mut self.round {
            round.open.remove(&model_id);
            round.finished.push(model_id);
            if round.open.is_empty() {
                events.extend(self.completed_event(run.finish));
            }
        }
    }

    fn synced_event(&self, position: usize, at: Time) -> Event {
        let state = &self.syncs[position];
        let list = self.lists_of(position).next();
        let fields: Vec<&str> =
            list.iter().flat_map(|(_, model)| model.fields.iter().map(|field| field.name.as_str())).collect();
        let name = list.map_or("Model", |(_, model)| model.webhook_name());
        let data = json!({
            "integration_name": self.integration_name(),
            "integration_id": self.integration,
            "synced_fields": fields,
            "sync_status": state.to_json(self.next_round),
        });
        Event::new(at, format!("{name}.synced"), data)
    }

    fn completed_event(&mut self, at: Time) -> Option<Event> {
        let round = self.round.take()?;
        self.initial_round_done = true;
        let statuses: serde_json::Map<String, Value> = self
            .syncs
            .iter()
            .filter(|state| round.finished.contains(&state.model_id))
            .map(|state| {
                let full = state.to_json(None);
                let keys = ["last_sync_result", "last_sync_finished", "data_fresh_as_of", "sync_status_reason"];
                let brief: serde_json::Map<String, Value> =
                    keys.iter().map(|key| ((*key).to_owned(), full[*key].clone())).collect();
                (state.model_id.clone(), Value::Object(brief))
            })
            .collect();
        let data = json!({
            "is_initial_sync": round.is_initial,
            "integration_name": self.integration_name(),
            "integration_id": self.integration,
            "sync_status": statuses,
        });
        Some(Event::new(at, "LinkedAccount.sync_completed", data))
    }
}
