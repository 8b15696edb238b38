//! The program from outside: its exit codes, its table, and peers that nobody waits for any more.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_gapless-interop");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

#[test]
fn one_row_of_the_table() {
    let output = run(&[
        "--peer=gapless",
        "--peer=model-go-v3",
        "--scenario=64kib+1",
        "--link=bad",
        "--version=3",
    ]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{table}");
    assert!(table.contains("#### model-go-v3, version 3"), "{table}");
    assert_eq!(table.matches("| pass ").count(), 8, "{table}");
    let progress = String::from_utf8(output.stderr).unwrap();
    assert!(progress.contains("8 passed, 0 failed"), "{progress}");
}

#[test]
fn what_is_not_known_is_an_error() {
    let output = run(&["--peer=nobody"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no peer is called \"nobody\""), "{error}");
}

/// A harness that was killed cannot end its peers: they have to notice.
#[test]
fn a_peer_ends_with_its_harness() {
    for peer in ["gapless", "model-go-v2-early"] {
        let plan = r#"{"scenario":"1mib","flow":"opener","dial":null,"streams":1,"bytes":1048576,"seed":1,"idle_ms":0,"version":"3"}"#;
        let mut child = Command::new(PROGRAM)
            .args(["peer", peer, plan])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening 127.0.0.1:"), "{line}");
        drop(child.stdin.take());
        ends_soon(child);
    }
}

fn ends_soon(mut child: Child) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it lives on");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
