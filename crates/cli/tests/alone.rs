//! What the programs do without a network.

mod common;

use common::World;

#[test]
fn the_identity_is_made_once() {
    let world = World::new();
    let first = world.identity("alice");
    assert!(first.starts_with("12D3KooW"), "{first}");
    assert_eq!(world.identity("alice"), first);
    assert_ne!(world.identity("bob"), first);
    let json = world.gapless("alice", &["id", "--json"]).ok().last_json();
    assert_eq!(json["peer"], first);
    let file = world.path("config-alice/gapless/identity");
    assert_eq!(json["file"], file.to_str().unwrap());
    let named = world
        .gapless("bob", &["id", "--identity", file.to_str().unwrap()])
        .ok();
    assert_eq!(named.out.trim(), first);
}

#[cfg(unix)]
#[test]
fn an_identity_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.identity("alice");
    let file = world.path("config-alice/gapless/identity");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    world
        .gapless("alice", &["id"])
        .failed(4, &["others can read", "0644", "chmod 600"]);
    let json = world.gapless("alice", &["id", "--json"]);
    assert_eq!(json.code, Some(4));
    let json = json.last_json();
    assert_eq!(
        (json["event"].as_str(), json["kind"].as_str()),
        (Some("error"), Some("identity"))
    );
    assert!(json["cure"].as_str().unwrap().contains("chmod 600"));
}

#[test]
fn the_help_shows_examples_and_exit_codes() {
    let world = World::new();
    let help = world.gapless("alice", &["--help"]).ok().out;
    for words in [
        "Exit codes:",
        "   8  another peer answered",
        "gapless clone --loopback",
        "--impair",
    ] {
        assert!(help.contains(words), "'{words}' is missing in:\n{help}");
    }
    for command in ["serve", "clone", "ping", "perf", "lab"] {
        let help = world.gapless("alice", &[command, "--help"]).ok().out;
        assert!(help.contains("Examples:"), "{help}");
    }
    assert!(
        world
            .gapless("alice", &["--version"])
            .ok()
            .out
            .contains(env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_mistake_in_the_command_line_has_code_2() {
    let world = World::new();
    assert_eq!(world.gapless("alice", &["serve"]).code, Some(2));
    world
        .gapless("alice", &["id", "--impair", "loss=2%,wind=5"])
        .failed(2, &["wind"]);
    world
        .gapless("alice", &["id", "--idle-timeout", "x"])
        .failed(2, &["30s"]);
}

#[test]
fn an_address_without_its_peer_is_explained() {
    let world = World::new();
    for command in ["clone", "ping", "perf"] {
        world
            .gapless("alice", &[command, "udx://127.0.0.1:9000/repo"])
            .failed(
                3,
                &[
                    "does not say who has to answer",
                    "gapless serve",
                    "gapless id",
                ],
            );
        world
            .gapless("alice", &[command, "https://example.org/repo"])
            .failed(3, &["udx://"]);
    }
    let peer = world.identity("alice");
    world
        .gapless("alice", &["clone", &format!("udx://{peer}@127.0.0.1")])
        .failed(3, &["names no repository"]);
    world
        .gapless("alice", &["ping", "/ip4/127.0.0.1/udp/9000/udx"])
        .failed(3, &["does not say who"]);
}

#[test]
fn a_name_that_cannot_be_resolved_is_named() {
    let world = World::new();
    let peer = world.identity("alice");
    let url = format!("udx://{peer}@no-such-host.invalid/repo");
    world
        .gapless("alice", &["clone", &url])
        .failed(5, &["no-such-host.invalid", "cannot be resolved"]);
}

#[test]
fn what_is_no_repository_is_not_served() {
    let Some(world) = World::with_git() else {
        return;
    };
    std::fs::create_dir(world.path("plain")).unwrap();
    world
        .gapless("alice", &["serve", "plain"])
        .failed(3, &["plain is no Git repository"]);
    world
        .gapless("alice", &["serve", "missing"])
        .failed(3, &["missing cannot be opened"]);
    world
        .gapless("alice", &["clone", "--loopback", "plain", "copy"])
        .failed(3, &["no Git repository"]);
    world.make_repository("a");
    world
        .gapless("alice", &["serve", "a", "./a"])
        .failed(3, &["two repositories", "NAME=PATH"]);
}

#[cfg(unix)]
#[test]
fn a_missing_git_is_named() {
    let world = World::new();
    let mut command = world.gapless_command("alice", &["clone", "--loopback", ".", "copy"]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(13));
    assert!(String::from_utf8_lossy(&output.stderr).contains("install it"));
}
