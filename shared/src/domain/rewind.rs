//! A rewind: a checkpoint put back to an earlier time of Merge's, so that the next window reads again what changed
//! since. Nothing is lost by it: records that are unchanged cost no write.

use jiff::Timestamp;

use super::window::Checkpoint;

impl Checkpoint {
    /// The checkpoint with everything after `to` still to be read. A window that was being read is given up; the new
    /// one covers it. `None`: the copy does not reach that far, so there is nothing to put back.
    pub fn rewound(&self, to: Timestamp) -> Option<Self> {
        self.upper.filter(|upper| to < *upper)?;
        let mut back = self.clone();
        // As a worker does who takes over: what lies beyond the last commit was never announced.
        if self.window.is_some() && !self.rested {
            back.ends.0.insert(self.epoch, self.n);
        }
        back.epoch += 1;
        back.n = 0;
        back.rested = false;
        back.window = None;
        back.upper = Some(to);
        Some(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::Tag;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_was_committed_stays_committed() {
        let before = Checkpoint { epoch: 4, n: 7, upper: Some(at(200)), records: 12, ..Checkpoint::default() };
        let back = before.rewound(at(100)).unwrap();
        assert_eq!((back.upper, back.epoch, back.n, back.records), (Some(at(100)), 5, 0, 12));
        assert!(back.announced(Tag { epoch: 4, n: 7 }));
        assert_eq!(before.rewound(at(200)), None);
        assert_eq!(Checkpoint::default().rewound(at(1)), None, "never read");
    }
}
