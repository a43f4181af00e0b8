//! The queue's rules, one test each.
