//! Replays of many accounts: a model's are those of its category, and whoever reads no further stops no repair
//! unnoticed.

use std::collections::BTreeSet;
use std::io::{self, Write};

use ops::cli::Cli;
use ops::output::Output;

use super::tether;
use crate::harness::{Setup, System, alone};

/// Nobody reads it, as after `| head`.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a command ends whose answer nobody reads.
async fn unread(system: &System, arguments: &[&str]) -> u8 {
    let base = system.ready().port_base.to_string();
    let line = ["tether", "--local", "--port-base", &base].into_iter().chain(arguments.iter().copied());
    let cli = Cli::of(line).unwrap_or_else(|error| panic!("{error}"));
    ops::run(cli, &Output::to(Closed, false)).await
}

#[test]
fn a_model_is_replayed_where_there_is_one_and_an_unread_answer_is_no_success() {
    alone(Setup::default, async |system| {
        let organization = "org_replay_many";
        let api = system.api(organization).await;
        let hris = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let ats = system.connect_and_sync(&api, "ats", "greenhouse").await;
        let all = ["replay", "--all", "--organization", organization, "--dry-run", "--json"];
        let accounts = async |models: &[&str]| {
            let said = tether(system, &[&all[..], models].concat()).await.expect(0);
            let lines = said.lines().into_iter();
            lines.map(|line| line["account"].as_str().unwrap_or_default().to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(accounts(&[]).await, BTreeSet::from([hris.id.clone(), ats.id.clone()]));
        assert_eq!(accounts(&["--model", "hris.Employee"]).await, BTreeSet::from([hris.id.clone()]));
        let both = ["--model", "hris.Employee", "--model", "ats.Candidate"];
        assert_eq!(accounts(&both).await, BTreeSet::from([hris.id.clone(), ats.id.clone()]));
        tether(system, &[&all[..], &["--model", "hris.Nothing"]].concat()).await.expect(3);
        let wrong = ["replay", &hris.id, "--model", "ats.Candidate", "--yes"];
        tether(system, &wrong).await.expect(3);

        // Accounts after the first would be left out.
        let replay = ["replay", "--all", "--organization", organization];
        assert_eq!(unread(system, &[&replay[..], &["--yes"]].concat()).await, 3);
        assert_eq!(unread(system, &[&replay[..], &["--dry-run"]].concat()).await, 0, "it changes nothing");
        assert_eq!(unread(system, &["accounts"]).await, 0);
    });
}
