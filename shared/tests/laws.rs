//! The laws of the source tree: what may know what, and what stands nowhere. They are checked on the files that git
//! tracks, so that a new file obeys them from its first commit.
//!
//! A law that needs an exception names it here, with its reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines that a file may have before it wants splitting.
const LONGEST_FILE: usize = 400;

/// Longer files, and why they may be.
const LONG_FILES: [(&str, &str); 9] = [
    ("Cargo.lock", "written by Cargo"),
    ("tests/fuzz/Cargo.lock", "written by Cargo"),
    ("infra/checks/requirements-checkov.lock", "written by uv"),
    ("infra/requirements-build.lock", "written by uv"),
    ("infra/template.yaml", "SAM reads one file, and this is the whole deployment"),
    ("web/openapi.json", "generated from the code by a test"),
    ("web/vendor/oauth4webapi.js", "vendored as it was published"),
    ("tests/requirements.lock", "written by uv"),
    ("tests/web/package-lock.json", "written by npm"),
];

/// Programs and simulations that wait because waiting is what they do; they are under `tests/` but are no tests.
const SLEEPERS: [(&str, &str); 2] = [
    ("tests/merge-sandbox/src/", "the simulated Merge delays answers and deliveries when it is told to"),
    ("tests/simulation/", "its clock is paused: waiting moves it and costs nothing"),
];

/// A tracked file.
struct Source {
    /// Relative to the workspace.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its lines without comments. Strings that hold `//` lose their end, which no law minds.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
    }

    /// Code before the module's own tests, which stand last.
    fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<_> = self.text.lines().collect();
        let tests = lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].ends_with('{'));
        self.code().take(tests.unwrap_or(lines.len()))
    }

    /// Every path that its code names, `use` trees flattened: `crate::{a::{b, c}, d}` names `crate::a::b` and so on.
    fn paths(&self) -> Vec<String> {
        let code: String = self.production().map(|(_, line)| format!("{line}\n")).collect();
        let mut paths = Vec::new();
        let mut rest = code.as_str();
        while let Some(at) = rest.find("use ") {
            let statement = &rest[at + 4..];
            let end = statement.find(';').unwrap_or(statement.len());
            let tree: String = statement[..end].split_whitespace().collect();
            flatten("", &tree, &mut paths);
            rest = &statement[end..];
        }
        // Paths written out in the code.
        let written = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        paths.extend(written.filter(|word| word.contains("::")).map(str::to_owned));
        paths
    }
}

fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let mut depth = 0;
    let mut start = 0;
    let mut branches = Vec::new();
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&tree[start..]);
    for branch in branches.into_iter().filter(|branch| !branch.is_empty()) {
        match branch.split_once('{') {
            Some((before, inner)) => {
                flatten(&format!("{prefix}{before}"), inner.strip_suffix('}').unwrap_or(inner), paths);
            }
            None => paths.push(format!("{prefix}{branch}")),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every tracked text file.
fn sources() -> Vec<Source> {
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(root());
    let listed = git.output().expect("git lists the files");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let files = names.split('\0').filter(|name| !name.is_empty()).filter_map(|name| {
        // A file that is deleted but not committed, or that is no text, has nothing to say.
        let text = fs::read_to_string(root().join(name)).ok()?;
        Some(Source { path: name.to_owned(), text })
    });
    let files: Vec<_> = files.collect();
    assert!(files.len() > 100, "the files were found");
    files
}

/// Rust files below a folder, tests left out.
fn rust_below<'a>(files: &'a [Source], folder: &'a str) -> impl Iterator<Item = &'a Source> {
    files.iter().filter(move |file| {
        let test = file.path.contains("/tests/") || file.path.ends_with("tests.rs");
        file.path.starts_with(folder) && file.is_rust() && !test
    })
}

/// Fails with every breach of a law.
fn hold(law: &str, breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{law}:\n  {}", breaches.join("\n  "));
}

/// Lines of the code of `files` in which one of `words` stands.
fn lines_with<'a>(files: impl Iterator<Item = &'a Source>, words: &[&str]) -> Vec<String> {
    let found = files.flat_map(|file| {
        let lines = file.production().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())).collect::<Vec<_>>()
    });
    found.collect()
}

#[test]
fn the_domain_is_pure() {
    let files = sources();
    let domain = || rust_below(&files, "shared/src/domain/");
    assert!(domain().count() > 10);
    let ours = domain().flat_map(|file| {
        let foreign = file.paths().into_iter().filter(|path| {
            path.strip_prefix("crate::").is_some_and(|path| !path.starts_with("domain")) || path.starts_with("shared::")
        });
        foreign.map(|path| format!("{}: {path}", file.path)).collect::<Vec<_>>()
    });
    hold("domain imports nothing else of ours", ours.collect());
    let impure = [
        "async ",
        ".await",
        "Timestamp::now",
        "SystemTime",
        "Instant",
        "Zoned::now",
        "env::",
        "new_v4",
        "now_v7",
        "rand::",
        "getrandom",
        "tokio",
        "std::fs",
        "std::net",
        "tracing::",
    ];
    hold("domain has no async, clock, environment, randomness or I/O", lines_with(domain(), &impure));
}

#[test]
fn the_clients_know_nothing_of_each_other() {
    let files = sources();
    let modules = ["merge", "store", "queue"];
    let mut breaches = Vec::new();
    for own in modules {
        let folder = format!("shared/src/{own}");
        for file in rust_below(&files, &folder) {
            let others = modules.iter().filter(|other| **other != own);
            for other in others {
                let foreign = format!("crate::{other}");
                let named =
                    file.paths().into_iter().find(|path| *path == foreign || path.starts_with(&format!("{foreign}::")));
                breaches.extend(named.map(|path| format!("{}: {path}", file.path)));
            }
        }
    }
    hold("merge, store and queue never import each other", breaches);
}

#[test]
fn functions_know_nothing_of_each_other() {
    let files = sources();
    let mut names: Vec<_> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("functions/")?.strip_suffix("/handler.rs"))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    assert!(names.len() >= 11, "{names:?}");
    let mut breaches = Vec::new();
    for own in &names {
        for file in rust_below(&files, &format!("functions/{own}/")) {
            for other in names.iter().filter(|other| *other != own) {
                let module = other.replace('-', "_");
                let foreign = [format!("crate::{module}::"), format!("functions::{module}::")];
                let named =
                    file.paths().into_iter().find(|path| foreign.iter().any(|foreign| path.starts_with(foreign)));
                breaches.extend(named.map(|path| format!("{}: {path}", file.path)));
            }
        }
    }
    hold("functions never import each other", breaches);
}

#[test]
fn each_kind_of_knowledge_stands_in_one_place() {
    let files = sources();
    let ours = |place: &'static str| {
        let ours = rust_below(&files, "shared/src/").chain(rust_below(&files, "functions/"));
        ours.filter(move |file| !file.path.starts_with(place))
    };
    // Merge's answers have status codes too, and only its client reads them.
    let answers = ours("shared/src/http").filter(|file| !file.path.starts_with("shared/src/merge/"));
    hold("status codes stand in shared/src/http*", lines_with(answers, &["StatusCode"]));

    let kinds = [
        "\"ORG#",
        "\"ACCOUNT#",
        "\"PENDING#",
        "\"SYNC#",
        "\"CHANGE#",
        "\"SEEN#",
        "\"WINDOW#",
        "\"BRAKE#",
        "\"EVENT#",
        "\"PARKED#",
        "\"RECEIPT#",
        "\"MERGE#",
        "\"EXCHANGE#",
        "\"EXCHANGED#",
        "\"LIMIT#",
        "\"ONCE#",
        "\"OWNER\"",
        "\"POLLER\"",
        "#PART",
    ];
    hold("keys are spelt in store/keys.rs", lines_with(ours("shared/src/store/keys.rs"), &kinds));

    let paths = [
        "/account-token",
        "/delete-account",
        "create-link-token",
        "/link-token\"",
        "/resync",
        "/account-details",
        "organizations/integrations",
        "page_size",
        "include_deleted_data",
        "X-Account-Token",
        "x-account-token",
        "Merge-Webhook-Signature",
    ];
    hold("Merge's paths stand in merge/", lines_with(ours("shared/src/merge/"), &paths));

    let environment = ["env::var", "env::vars"];
    let reads = ours("shared/src/config").filter(|file| !file.path.ends_with("build.rs"));
    hold("the environment is read in config", lines_with(reads, &environment));
}

/// Whose something is, is said by a verified claim, and by our own rows and messages, which were made from one. An
/// origin id that Merge sends names an organization too; the row that it names must still match in full.
#[test]
fn an_organization_comes_from_a_claim_and_an_account_from_an_organization() {
    let files = sources();
    let sources_of_organizations = ["http/caller.rs", "store/tick.rs", "domain/origin.rs", "domain/ids.rs"];
    let elsewhere = rust_below(&files, "shared/src/").chain(rust_below(&files, "functions/"));
    let elsewhere = elsewhere.filter(|file| !sources_of_organizations.iter().any(|place| file.path.ends_with(place)));
    let making =
        ["OrganizationId::parse", "OrganizationId::try_from", "from_str::<OrganizationId", "as OrganizationId"];
    hold("an organization id is made of a claim", lines_with(elsewhere, &making));
    // What a request may hold is typed here: had it an organization, somebody could choose one.
    let requests = rust_below(&files, "shared/src/api/").filter(|file| {
        file.production().any(|(_, line)| line.contains("Deserialize") && !line.contains("DeserializeOwned"))
    });
    hold("no request names an organization", lines_with(requests, &["OrganizationId"]));
    let functions = || rust_below(&files, "functions/");
    hold(
        "an account's id is read as one requested",
        lines_with(functions(), &["AccountId::parse", "AccountId::try_from"]),
    );
}

#[test]
fn no_file_is_too_long() {
    let files = sources();
    let allowed = |path: &str| LONG_FILES.iter().any(|(long, _)| *long == path);
    let source = ["rs", "js", "mjs", "ts", "css", "html", "py", "sh", "yaml", "yml", "toml", "json", "lock"];
    let wanted = |path: &str| {
        // Generated from Merge's published schemas, or data.
        let data = path.starts_with("tests/merge-sandbox/data/");
        source.iter().any(|ending| path.ends_with(&format!(".{ending}"))) && !data
    };
    let long = files.iter().filter(|file| wanted(&file.path) && !allowed(&file.path));
    let long = long.filter(|file| file.text.lines().count() > LONGEST_FILE);
    let long = long.map(|file| format!("{}: {} lines", file.path, file.text.lines().count()));
    hold("a file over 400 lines wants splitting", long.collect());
}

#[test]
fn tests_neither_sleep_nor_are_ignored() {
    let files = sources();
    let ignored = concat!("#[", "ignore");
    let of_tests = |file: &&Source| {
        let sleeper = SLEEPERS.iter().any(|(path, _)| file.path.starts_with(path));
        let test = file.path.starts_with("tests/") || file.path.contains("/tests/") || file.path.ends_with("tests.rs");
        test && !sleeper
    };
    let code = |file: &Source, words: &[&str]| -> Vec<String> {
        let lines = file.code().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())).collect()
    };
    let rust = || files.iter().filter(|file| file.is_rust());
    hold("no test is ignored", rust().flat_map(|file| code(file, &[ignored])).collect());

    let sleeps = [concat!("sleep", "("), concat!("sleep", "_until(")];
    let files_of_tests = rust().filter(of_tests).flat_map(|file| code(file, &sleeps));
    let inner = rust().filter(|file| !of_tests(file)).flat_map(|file| {
        let from = file.production().count();
        let tests = file.code().skip(from).filter(|(_, line)| sleeps.iter().any(|sleep| line.contains(sleep)));
        tests.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())).collect::<Vec<_>>()
    });
    let inner = inner.filter(|breach| !SLEEPERS.iter().any(|(path, _)| breach.starts_with(path)));
    let scripts = files.iter().filter(|file| file.path.starts_with("tests/web/") && file.path.ends_with("js"));
    let scripts = scripts.flat_map(|file| code(file, &[concat!("waitFor", "Timeout(")]));
    let python = files.iter().filter(|file| file.path.starts_with("tests/") && file.path.ends_with(".py"));
    let python = python.flat_map(|file| code(file, &[concat!("time.sl", "eep(")]));
    hold(
        "tests poll with a bound, they never sleep",
        files_of_tests.chain(inner).chain(scripts).chain(python).collect(),
    );
}

#[test]
fn nothing_names_this_machine_or_a_registry() {
    let files = sources();
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/home", "/"),
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("registry.", "npmjs.org"),
        concat!("registry.", "yarnpkg"),
        concat!("pypi.org", "/simple"),
        concat!("files.", "pythonhosted.org"),
        concat!("proxy.", "golang.org"),
    ];
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            let found = places.iter().find(|place| line.contains(*place));
            breaches.extend(found.map(|place| format!("{}:{}: {place}", file.path, number + 1)));
        }
    }
    hold("no tracked file names a path of this machine or a registry's host", breaches);
}

#[test]
fn every_module_defines_its_noun() {
    let files = sources();
    // A module's own tests have its noun.
    let own_tests = |path: &str| path.ends_with("/tests.rs");
    let modules = files.iter().filter(|file| file.is_rust() && !own_tests(&file.path));
    let silent = modules.filter(|file| {
        let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        !first.starts_with("//!")
    });
    hold("a module opens with a paragraph about what it is", silent.map(|file| file.path.clone()).collect());
}

#[test]
fn a_use_tree_is_flattened() {
    let mut paths = Vec::new();
    flatten("", "crate::{a::{b,c},d}", &mut paths);
    assert_eq!(paths, ["crate::a::b", "crate::a::c", "crate::d"]);
}
