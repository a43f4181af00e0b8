//! Ambient: what code takes from its surroundings without being handed it: the time, chance, and where its lines go.
//! They are the machine's own. The simulation replaces all three, for its own thread only, so that one seed is one run.

use std::cell::RefCell;

use jiff::Timestamp;
use uuid::Uuid;

/// A replacement for a thread's surroundings.
pub struct Ambient {
    pub now: Box<dyn Fn() -> Timestamp>,
    pub random: Box<dyn FnMut() -> u128>,
    /// Takes what would have been a line on standard output.
    pub print: Box<dyn FnMut(&str)>,
}

thread_local! {
    static REPLACED: RefCell<Option<Ambient>> = const { RefCell::new(None) };
}

/// Replaces the surroundings of this thread; `None` gives it the machine's again.
pub fn replace(ambient: Option<Ambient>) {
    REPLACED.with(|replaced| *replaced.borrow_mut() = ambient);
}

/// The time.
pub fn now() -> Timestamp {
    REPLACED.with(|replaced| match &*replaced.borrow() {
        Some(ambient) => (ambient.now)(),
        None => Timestamp::now(),
    })
}

/// An id that nobody can guess.
pub fn uuid() -> Uuid {
    REPLACED.with(|replaced| match &mut *replaced.borrow_mut() {
        Some(ambient) => uuid::Builder::from_random_bytes((ambient.random)().to_ne_bytes()).into_uuid(),
        None => Uuid::new_v4(),
    })
}

/// A number from 0 up to 1, for jitter.
pub fn fraction() -> f64 {
    (uuid().as_u128() as u32) as f64 / f64::from(u32::MAX)
}

/// Prints a line on standard output.
pub fn print(line: &str) {
    REPLACED.with(|replaced| match &mut *replaced.borrow_mut() {
        Some(ambient) => (ambient.print)(line),
        None => println!("{line}"),
    });
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_thread_lives_in_the_surroundings_it_was_given_and_no_other_does() {
        let printed = Rc::new(RefCell::new(String::new()));
        let paper = Rc::clone(&printed);
        let moment = Timestamp::UNIX_EPOCH;
        replace(Some(Ambient {
            now: Box::new(move || moment),
            random: Box::new(|| 7),
            print: Box::new(move |line| paper.borrow_mut().push_str(line)),
        }));
        print("a line");
        assert_eq!((now(), uuid(), printed.borrow().as_str()), (moment, uuid(), "a line"));
        let elsewhere = std::thread::spawn(|| (now() == Timestamp::UNIX_EPOCH, uuid() == uuid()));
        assert_eq!(elsewhere.join().unwrap(), (false, false));
        replace(None);
        assert_ne!(uuid(), uuid());
    }
}
