//! `cargo dev` when it cannot start: one clear sentence on standard error and exit code 1, before any
//! build. (That it starts is tested end to end.)

use std::net::TcpListener;
use std::process::{Command, Output};

fn tether_dev(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tether-dev"));
    command.args(arguments).env_remove("CARGO").env("PATH", "/nonexistent").current_dir("/");
    command
}

/// Runs it to its end and returns the last line of standard error.
fn refused(arguments: &[&str]) -> String {
    let Output { status, stderr, stdout } = tether_dev(arguments).output().expect("it runs");
    let stderr = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stdout.is_empty(), "no URL of what does not run");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr.lines().last().expect("a sentence").to_owned()
}

/// The first of six ports from `from` on that nobody uses; each test looks from elsewhere.
fn free_block(from: u16) -> u16 {
    let free = |base: &u16| (*base..base + 6).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    (from..from + 1_000).step_by(10).find(free).expect("free ports")
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let sentence = refused(&["--port-base", &port.to_string()]);
    let expected = format!(
        "error: port {port} (HTTP API) is already in use: stop what uses it, or pass --port-base with another number"
    );
    assert_eq!(sentence, expected);
}

#[test]
fn a_malformed_template_is_one_sentence() {
    let file = std::env::temp_dir().join(format!("tether-template-{}.yaml", std::process::id()));
    std::fs::write(&file, "Resources: [").expect("written");
    let sentence = refused(&["--port-base", &free_block(15_000).to_string(), "--template", &file.to_string_lossy()]);
    assert!(sentence.starts_with("error: ") && sentence.contains(&*file.to_string_lossy()), "{sentence}");
    std::fs::remove_file(file).expect("cleaned up");
}

#[test]
fn a_missing_cargo_is_one_sentence() {
    let sentence = refused(&["--port-base", &free_block(16_000).to_string()]);
    assert_eq!(sentence, "error: cargo was not found: install Rust from https://rustup.rs and run this again");
}

#[test]
fn a_senseless_speed_is_one_sentence() {
    let sentence = refused(&["--port-base", &free_block(17_000).to_string(), "--speed", "0"]);
    assert_eq!(sentence, "error: the speed must be a number from 1 to 1000, not 0");
}
