//! The binary itself: how it ends, and what it says without a stack.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

fn tether(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tether"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Its code and the one sentence on standard error.
fn refusal(arguments: &[&str]) -> (Option<i32>, String) {
    let output = tether(arguments);
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    (output.status.code(), text(&output.stderr))
}

#[test]
fn it_says_what_it_is_missing() {
    let (code, said) = refusal(&["accounts"]);
    assert_eq!(code, Some(3));
    assert!(said.starts_with("error: no stack is named"), "{said}");
    for variable in ["ACCOUNTS_TABLE", "QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "TOKEN_KEY", "AWS_REGION"] {
        assert!(said.contains(variable), "every variable at once: {said}");
    }
    let (code, said) = refusal(&["--stack", "prod", "accounts"]);
    assert_eq!((code, said.contains("AWS_REGION")), (Some(3), true), "{said}");
    // A port of nobody's: below those that stacks take.
    let (code, said) = refusal(&["--local", "--port-base", "9", "doctor"]);
    assert_eq!((code, said.lines().count()), (Some(3), 1), "{said}");
    assert!(said.contains("no `cargo dev` answers on port 9"), "{said}");
}

/// A place that answers one request as CloudFormation refuses one, in somebody's words.
fn refusing(words: &str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>{words}</Message></Error></ErrorResponse>"
    );
    let answer =
        format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a call");
        let mut request = Vec::new();
        let mut part = [0; 1_024];
        while !String::from_utf8_lossy(&request).contains("StackName=prod") {
            let read = stream.read(&mut part).expect("a request");
            request.extend_from_slice(&part[..read]);
        }
        stream.write_all(answer.as_bytes()).expect("an answer");
    });
    (format!("http://{address}"), serving)
}

#[test]
fn what_aws_refuses_is_said_in_its_own_words_and_harmlessly() {
    let (endpoint, serving) = refusing("Stack with id prod does not &#x9b;31mexist");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tether"));
    command.env_clear().args(["--stack", "prod", "accounts"]).stdin(Stdio::null());
    let variables = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "test"));
    command.envs(variables).env("AWS_ENDPOINT_URL", endpoint);
    let output = command.output().expect("the binary runs");
    serving.join().expect("it was asked");
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert_eq!(said, "error: the stack prod cannot be read: Stack with id prod does not \u{b7}31mexist\n");
}

#[test]
fn a_wrong_command_line_has_a_code_of_its_own() {
    assert_eq!(tether(&["cure"]).status.code(), Some(64));
    assert_eq!(tether(&["replay"]).status.code(), Some(64), "neither an account nor --all");
    assert_eq!(tether(&["account", "42"]).status.code(), Some(64), "no id");
}

#[test]
fn it_explains_itself() {
    let help = tether(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("Exit codes:"), "{}", text(&help.stdout));
    for command in [
        "doctor",
        "accounts",
        "account",
        "issues",
        "inbox",
        "replay",
        "dead-letters",
        "brake",
        "orphans",
        "export",
        "rotate",
    ]
    .into_iter()
    .chain(["stats", "relay"])
    {
        assert!(text(&help.stdout).contains(command), "{command}");
        assert!(text(&tether(&[command, "--help"]).stdout).contains("Example"), "{command} shows an example");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&tether(&["completion", shell]).stdout);
        assert!(script.contains("tether") && script.contains("dead-letters"), "{shell}");
    }
    let manual = text(&tether(&["man"]).stdout);
    assert!(manual.starts_with(".ie") || manual.contains(".TH tether"), "{manual}");
    assert!(manual.contains("dead\\-letters"), "its commands are in it");
}
