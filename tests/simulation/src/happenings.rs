//! Happenings: how often each thing happened that a run is there for. A fault that never fires is a check that cannot
//! fail, so the fixed seeds together must have seen every one.

use std::collections::BTreeMap;

macro_rules! happenings {
    ($($name:ident $words:literal),+ $(,)?) => {
        /// One kind of thing that happens in a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Happening { $(#[doc = $words] $name),+ }

        impl Happening {
            pub const ALL: &[Happening] = &[$(Happening::$name),+];

            /// What happened, in words.
            pub fn words(self) -> &'static str {
                match self { $(Happening::$name => $words),+ }
            }
        }
    };
}

happenings! {
    // The queue.
    GivenTwice "a message is given to two workers",
    GivenLate "a message reaches its worker late",
    SeenAgain "a message is seen again while its worker still runs",
    WorkFailed "a worker names its message as failed",
    Poison "a message that nobody can read is queued",
    Buried "a message comes to the dead-letter queue",
    Redriven "a dead letter is redriven",
    HalfSent "a batch of messages is sent in part",
    AckLost "a worker's success does not reach the queue",
    // Processes.
    KilledBefore "a process is killed before an effect",
    KilledAfter "a process is killed after an effect",
    KilledAfterRecord "a worker is killed after a record is stored and before its page is committed",
    KilledAfterCommit "a worker is killed between its commit and the acknowledgement",
    EndedAtTimeout "an invocation is ended at its timeout",
    ClockOff "a process has a clock that is off",
    // Merge.
    MergeBusy "Merge answers 429",
    MergeDown "Merge answers 503",
    MergeRefused "Merge's connection is refused",
    MergeSilent "Merge does not answer",
    MergeTruncated "Merge's answer breaks off",
    CursorRepeated "Merge sends a cursor again",
    CursorExpired "Merge does not know a cursor any more",
    EmptyPage "Merge sends an empty page with a next",
    MovedBetweenPages "a sync of Merge's ends between two pages of a window",
    ChangedAtTheBound "a change bears the very time at which its sync finished",
    PageAhead "a page is asked for before the one before it is committed",
    ModelsAtOnce "two models of an account are read at the same time",
    // DynamoDB and whatever else of AWS.
    Throttled "AWS throttles",
    Conflict "DynamoDB reports a conflict over one item",
    Cancelled "DynamoDB cancels a transaction",
    Unprocessed "DynamoDB leaves half of a batch",
    AnswerLost "a call succeeds and its answer is lost",
    CarriedOutLate "a call is carried out after its caller gave it up",
    StaleRead "an index answers as it stood before",
    // Webhooks.
    WebhookLost "a webhook is lost",
    WebhookTwice "a webhook comes twice",
    WebhookLate "a webhook comes late",
    WebhookReplayed "an old webhook comes again",
    WebhookForged "a forged webhook comes",
    WebhookBurst "a webhook comes many times at once",
    LinkedBeforeExchange "the linked webhook comes before the exchange",
    WebhookAfterDeletion "a webhook comes about an account that is deleted",
    // The poller.
    TickMissed "the poller misses a minute",
    TickLate "the poller runs late",
    TickTwice "two pollers run for one minute",
    // People.
    DeletedDuringSync "an account is deleted while a window is open",
    RelinkedDuringSync "an account is linked again while a window is open",
    ConnectedAgain "a system is connected again after it was deleted",
    RemovedAtMerge "an account is removed at Merge's side",
    ForeignRequest "somebody asks about another organization's account",
    ForeignToken "somebody presents another organization's public token",
    // What the epochs and the sweep are for.
    Takeover "a worker takes an open window over from one that did not rest",
    LateRecord "a record of an overtaken worker comes after its successor's commit",
    LateCommit "a commit of an overtaken worker comes",
    StartedOver "a window begins again at page one",
    Swept "a finished full read deletes what it did not see",
    Spared "a full read keeps what it did not see, as too new to be missed",
    SweepPutOff "a sweep waits until an overtaken worker is surely gone",
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happenings(BTreeMap<Happening, u64>);

impl Happenings {
    pub fn count(&mut self, what: Happening) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Happenings) {
        for (what, times) in &other.0 {
            *self.0.entry(*what).or_default() += times;
        }
    }

    pub fn of(&self, what: Happening) -> u64 {
        self.0.get(&what).copied().unwrap_or_default()
    }

    /// What has not happened.
    pub fn unseen(&self) -> Vec<Happening> {
        Happening::ALL.iter().copied().filter(|what| self.of(*what) == 0).collect()
    }
}

impl std::fmt::Display for Happenings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Happening::ALL.iter().try_for_each(|what| writeln!(f, "{:>9}  {}", self.of(*what), what.words()))
    }
}
