//! The corpora of the fuzzer, replayed: whatever once broke a parser, or leads it down a path of its own, stays a test.

#[path = "../../tests/fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn every_target_stands_its_corpus() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let corpus = fs::read_dir(corpora.join(name)).unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
        let mut inputs = 0;
        for input in corpus {
            let path = input.expect("an entry").path();
            let data = fs::read(&path).expect("an input");
            let outcome = std::panic::catch_unwind(|| target(&data));
            assert!(outcome.is_ok(), "{}", path.display());
            inputs += 1;
        }
        assert!(inputs >= 5, "{name} has {inputs} inputs");
        target(b"");
    }
    let folders = fs::read_dir(&corpora).expect("the corpora").count();
    assert_eq!(folders, targets::TARGETS.len(), "every corpus has a target");
}
