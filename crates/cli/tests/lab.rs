//! `gapless lab`, as a user runs it.

mod common;

use common::{Said, World};

fn lab(world: &World, arguments: &[&str]) -> Said {
    let picture = world.path("picture.html");
    let picture = picture.to_str().unwrap();
    let all = [&["lab", "--picture", picture], arguments].concat();
    world.gapless("alice", &all)
}

#[test]
fn a_run_is_told_in_words_and_drawn() {
    let world = World::new();
    let arguments = [
        "--path",
        "loss=2%,delay=10ms,rate=20mbit",
        "--bytes",
        "300kB",
    ];
    let said = lab(&world, &arguments).ok().out;
    for words in [
        "From the dialer to the acceptor",
        "300.0 kB of stream data on 1 stream",
        "by chance",
        "sent again",
        "CUBIC",
        "picture: ",
    ] {
        assert!(said.contains(words), "'{words}' is missing in:\n{said}");
    }
    assert!(!said.contains('<'), "{said}");
    let page = std::fs::read_to_string(world.path("picture.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("No rule was broken"));
    // The same command is the same run, to the last packet.
    lab(&world, &arguments).ok();
    assert_eq!(
        std::fs::read_to_string(world.path("picture.html")).unwrap(),
        page
    );
}

#[test]
fn the_picture_has_a_name_that_is_told() {
    let world = World::new();
    let directory = world.path("here");
    std::fs::create_dir(&directory).unwrap();
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["lab", "--bytes", "20kB"])
        .current_dir(&directory)
        .output()
        .unwrap();
    assert!(said.status.success());
    let out = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(out.contains("picture: gapless-lab.html"), "{out}");
    assert!(directory.join("gapless-lab.html").exists());
}

#[test]
fn every_option_reaches_the_run() {
    let world = World::new();
    let arguments = [
        "--path",
        "delay=5ms,rate=20mbit",
        "--back",
        "delay=30ms",
        "--bytes",
        "200kB",
        "--streams",
        "3",
        "--direction",
        "both",
        "--controller",
        "bbr",
        "--udx-version",
        "2",
        "--slow-reader=20ms",
        "--json",
    ];
    let said = lab(&world, &arguments).ok();
    let done = said.last_json();
    assert_eq!(
        (done["event"].as_str(), done["rules_kept"].as_bool()),
        (Some("done"), Some(true))
    );
    assert_eq!(done["hosts"][0]["stream_bytes"], 200_000);
    assert_eq!(done["hosts"][1]["stream_bytes"], 200_000);
    assert!(done["virtual_time_us"].as_u64() > Some(20_000));
    let page = std::fs::read_to_string(world.path("picture.html")).unwrap();
    for words in ["BBR", "on 3 streams", "Startup", "The path from the dialer"] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn every_packet_can_be_logged() {
    let world = World::new();
    let log = world.path("packets.txt");
    lab(&world, &["--bytes", "20kB", "--log", log.to_str().unwrap()]).ok();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.lines().count() > 20, "{log}");
    assert!(log.contains("STREAM") && log.contains("ACK"), "{log}");
    let said = lab(&world, &["--bytes", "20kB", "--log", "-"]).ok().out;
    assert!(said.contains(log.lines().next().unwrap()));
}

#[test]
fn seeds_and_files_of_decisions_can_be_run() {
    let world = World::new();
    let said = lab(&world, &["--seed", "7"]).ok().out;
    assert!(said.contains("The path"), "{said}");
    let file = world.path("decisions");
    std::fs::write(&file, [7, 1, 200, 33, 9, 250, 4]).unwrap();
    lab(&world, &["--replay", file.to_str().unwrap()]).ok();
    lab(&world, &["--replay", "no-such-file"])
        .failed(1, &["no-such-file", "cannot be read", ".bytes"]);
}

#[test]
fn a_broken_rule_has_a_code_of_its_own_and_leaves_a_picture() {
    let world = World::new();
    let path = "delay=20ms,rate=10mbit,blackout=100ms+60s";
    let said = lab(&world, &["--path", path, "--idle-timeout", "5s"]);
    said.failed(
        17,
        &[
            "rule of the lab was broken",
            "picture.html",
            "--idle-timeout",
        ],
    );
    let page = std::fs::read_to_string(world.path("picture.html")).unwrap();
    for words in [
        "A rule was broken",
        "while the path was down",
        "The last packets",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn what_cannot_be_done_is_said_before_the_run() {
    let world = World::new();
    let nowhere = world.path("no/such/directory/x.html");
    let nowhere = nowhere.to_str().unwrap();
    let said = world.gapless("alice", &["lab", "--bytes", "1GB", "--picture", nowhere]);
    said.failed(14, &["x.html", "cannot be written", "--picture"]);
    lab(&world, &["--path", "wind=5"]).failed(2, &["wind"]);
    lab(
        &world,
        &["--seed", "7", "--bytes", "1MB", "--path", "loss=1%"],
    )
    .failed(2, &["--seed"]);
    let help = world.gapless("alice", &["lab", "--help"]).ok().out;
    for words in ["Examples:", "--controller", "docs/lab.md"] {
        assert!(help.contains(words), "{words}");
    }
}
