//! The programs against each other, through real sockets.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{World, wait};

/// The path of the documentation's examples.
const BAD_PATH: &str = "loss=2%,delay=10ms,reorder=2%,duplicate=1%,seed=1";

#[test]
fn a_loopback_clone() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_repository("original");
    let said = world
        .gapless("alice", &["clone", "--loopback", "original", "copy"])
        .ok();
    assert!(
        said.out.contains("packets sent") && said.out.contains("RTT"),
        "{}",
        said.out
    );
    world.assert_same("original", "copy");
    // The path is the origin, so that the clone can be fetched into later.
    world.commit("original", "later", b"more");
    world.git("copy", &["pull", "-q"]);
    world.assert_same("original", "copy");
    // No identity was needed.
    assert!(!world.path("config-alice").exists());
}

#[test]
fn a_loopback_clone_over_a_bad_path() {
    let Some(world) = World::with_git() else {
        return;
    };
    for (size, path) in [
        (1_000_000_usize, BAD_PATH),
        (150_000, "loss=20%,delay=10ms,seed=3"),
    ] {
        let (original, copy) = (format!("original-{size}"), format!("copy-{size}"));
        world.make_large_repository(&original, size);
        let arguments = [
            "clone",
            "--json",
            "--loopback",
            &original,
            &copy,
            "--impair",
            path,
        ];
        let done = world.gapless("alice", &arguments).ok().last_json();
        assert_eq!(done["event"], "done");
        let size = u64::try_from(size).unwrap();
        assert!(done["bytes_received"].as_u64().unwrap() > size);
        let count = |name: &str| done["path"][name].as_u64().unwrap();
        assert!(count("packets_sent") > size / 1472, "{done}");
        assert!(
            count("packets_lost") > 0 && count("packets_resent") > 0,
            "{done}"
        );
        assert!(count("rtt_us") >= 20_000, "{done}");
        world.assert_same(&original, &copy);
    }
}

#[test]
fn a_hundred_megabytes() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_large_repository("original", 100 << 20);
    let done = world
        .gapless(
            "alice",
            &["clone", "--json", "--loopback", "original", "copy"],
        )
        .ok()
        .last_json();
    assert!(done["bytes_received"].as_u64().unwrap() > 100 << 20);
    world.assert_same("original", "copy");
}

#[test]
fn stock_git_clones_pushes_and_fetches() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_repository("original");
    let alice = world.identity("alice");
    let serving = world.serve("server", &["original", "--allow-push", &alice]);
    let url = serving.url("original");

    world
        .try_git("alice", ".", &["clone", "-q", url, "by-alice"])
        .ok();
    world.assert_same("original", "by-alice");
    world.gapless("bob", &["clone", url, "by-bob"]).ok();
    world.assert_same("original", "by-bob");

    world.commit("by-alice", "new", &common::noise(1, 300_000));
    world
        .try_git(
            "alice",
            "by-alice",
            &["push", "-q", "origin", "HEAD:refs/heads/topic"],
        )
        .ok();
    assert_eq!(
        world.git("original", &["rev-parse", "topic"]),
        world.git("by-alice", &["rev-parse", "HEAD"])
    );
    world.git("original", &["fsck", "--full"]);
    world.try_git("bob", "by-bob", &["fetch", "-q"]).ok();
    assert_eq!(
        world.git("by-bob", &["rev-parse", "origin/topic"]),
        world.git("by-alice", &["rev-parse", "HEAD"])
    );

    let denied = world.try_git(
        "bob",
        "by-bob",
        &["push", "origin", "HEAD:refs/heads/other"],
    );
    denied.failed(128, &["push not allowed to 'original'", "--allow-push"]);
    // Git's own refusal reaches the user too.
    let checked_out = world.try_git("alice", "by-alice", &["push", "origin", "main"]);
    checked_out.failed(1, &["branch is currently checked out"]);
}

#[test]
fn stock_git_over_a_bad_path() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_large_repository("original", 1 << 20);
    let serving = world.serve("server", &["original", "--impair", BAD_PATH]);
    world
        .try_git(
            "alice",
            ".",
            &["clone", "-q", serving.url("original"), "copy"],
        )
        .ok();
    world.assert_same("original", "copy");
}

#[test]
fn wrong_addresses_are_told_apart() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_repository("original");
    let mut serving = world.serve("server", &["original"]);
    let url = serving.url("original").to_owned();
    let server = world.identity("server");

    world
        .gapless("alice", &["clone", &format!("{url}-not"), "copy"])
        .failed(10, &["'original-not'"]);
    let helper = world.try_git("alice", ".", &["clone", &format!("{url}-not"), "copy"]);
    helper.failed(128, &["unknown repository 'original-not'"]);

    let wrong = url.replace(&server, &world.identity("mallory"));
    let said = world.gapless("alice", &["clone", &wrong, "copy"]);
    said.failed(8, &[&server, &world.identity("mallory"), "identity"]);
    world
        .gapless("server", &["ping", &url])
        .failed(8, &["your own identity"]);

    std::fs::create_dir(world.path("full")).unwrap();
    std::fs::write(world.path("full/file"), "").unwrap();
    world
        .gapless("alice", &["clone", &url, "full"])
        .failed(14, &["not an empty directory"]);

    serving.kill();
    let before = Instant::now();
    let gone = world.gapless("alice", &["clone", &url, "copy", "--idle-timeout", "2s"]);
    gone.failed(6, &["127.0.0.1", "gapless serve"]);
    assert!(before.elapsed() < Duration::from_secs(20));
    assert!(
        !world
            .entries()
            .iter()
            .any(|name| name.starts_with("copy") || name.starts_with('.'))
    );
}

/// What answers at `socket` to everything: "I speak version 2 only" (a version negotiation, UDX 2.4).
fn speak_another_version(socket: &std::net::UdpSocket) {
    let mut packet = [0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        // Version, then each id behind its length; the answer has them the other way round.
        let ids = &packet[4..length];
        let (destination, rest) = ids[1..].split_at(usize::from(ids[0]));
        let source = &rest[1..=usize::from(rest[0])];
        let mut answer = vec![0; 4];
        for id in [source, destination] {
            answer.push(u8::try_from(id.len()).unwrap());
            answer.extend_from_slice(id);
        }
        answer.extend_from_slice(&2_u32.to_be_bytes());
        socket.send_to(&answer, from).unwrap();
    }
}

#[test]
fn another_version_is_named() {
    let world = World::new();
    let peer = world.identity("mallory");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udx://{peer}@{}/x", socket.local_addr().unwrap());
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    std::thread::spawn(move || speak_another_version(&socket));
    let arguments = [
        "clone",
        &url,
        "copy",
        "--udx-version",
        "3",
        "--idle-timeout",
        "3s",
    ];
    let said = world.gapless("alice", &arguments);
    said.failed(7, &["version", "Leave --udx-version out"]);
}

#[test]
fn either_version_of_udx_is_spoken_and_found_out() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_repository("original");
    // Who dials decides, unless the other end speaks one version only.
    for (serves, dials, spoken) in [
        ("auto", "2", 2),
        ("2", "auto", 2),
        ("auto", "auto", 3),
        ("3", "auto", 3),
    ] {
        let serving = world.serve("server", &["--udx-version", serves, "original"]);
        let copy = format!("copy-{serves}-{dials}");
        let arguments = [
            "clone",
            "--json",
            serving.url("original"),
            &copy,
            "--udx-version",
            dials,
        ];
        let done = world.gapless("alice", &arguments).ok().last_json();
        assert_eq!(done["path"]["udx_version"], spoken, "{done}");
        world.assert_same("original", &copy);
        let arguments = [
            "ping",
            &serving.multiaddr,
            "-n",
            "1",
            "--udx-version",
            dials,
        ];
        world.gapless("alice", &arguments).ok();
    }
    let serving = world.serve("server", &["--udx-version", "3", "original"]);
    let address = serving.multiaddr.as_str();
    let arguments = [
        "ping",
        address,
        "--udx-version",
        "2",
        "--idle-timeout",
        "3s",
    ];
    let said = world.gapless("alice", &arguments);
    said.failed(7, &["Leave --udx-version out"]);
}

#[tokio::test]
async fn a_peer_without_git_is_named() {
    use gapless_cli::node::{Event, Node, NodeConfig};
    let world = World::new();
    let config = NodeConfig {
        impair: None,
        idle_timeout: Duration::from_secs(10),
        udx_version: gapless_cli::args::UdxVersion::Auto,
        ping_interval: Duration::from_secs(10),
    };
    let keypair = libp2p::identity::Keypair::generate_ed25519();
    let mut node = Node::start(&keypair, config).unwrap();
    node.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let Some(Event::Listening(address)) = node.event().await else {
        panic!("no address")
    };
    let url = format!("udx://{}@{}/x", node.identity(), address.socket_addr());
    let world = tokio::task::spawn_blocking(move || {
        let said = world.gapless("alice", &["clone", &url, "copy"]);
        said.failed(9, &["no Git repositories", "gapless serve"]);
        let said = world.gapless("alice", &["perf", &url]);
        said.failed(9, &["no throughput measurements"]);
        world
    });
    world.await.unwrap();
    node.close().await;
}

#[test]
fn a_busy_server_is_named() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_repository("original");
    let serving = world.serve("server", &["original", "--max-sessions", "0"]);
    let said = world.gapless("alice", &["clone", serving.url("original"), "copy"]);
    said.failed(12, &["too busy", "try again"]);
}

#[test]
fn many_clones_at_once_over_ipv6() {
    let Some(world) = World::with_git() else {
        return;
    };
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this test needs IPv6 on the loopback interface");
        return;
    }
    world.make_large_repository("original", 3_000_000);
    let serving = world.serve("server", &["original", "--listen", "[::1]:0"]);
    let url = serving.url("original");
    assert!(url.contains("@[::1]:"), "{url}");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let world = &world;
            scope.spawn(move || {
                let (who, copy) = (format!("user-{number}"), format!("copy-{number}"));
                world.gapless(&who, &["clone", url, &copy]).ok();
                world.assert_same("original", &copy);
            });
        }
    });
}

#[test]
fn a_port_that_is_taken_is_named() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_repository("original");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    world
        .gapless("alice", &["serve", "original", "--listen", &address])
        .failed(5, &[&address, "--listen"]);
}

#[cfg(unix)]
#[test]
fn a_server_killed_in_the_middle() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_large_repository("original", 20 << 20);
    // 4 s at this rate: the kill comes in the middle.
    let mut serving = world.serve("server", &["original", "--impair", "rate=40mbit"]);
    let arguments = [
        "clone",
        serving.url("original"),
        "copy",
        "--idle-timeout",
        "2s",
    ];
    let mut command = world.gapless_command("alice", &arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_clone_to_grow(&world);
    serving.kill();
    let before = Instant::now();
    let status = wait(&mut child);
    // Noise's, Yamux's and Git's layers may each notice a little later than UDX does.
    assert!(
        before.elapsed() < Duration::from_secs(10),
        "{:?}",
        before.elapsed()
    );
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(status.code(), Some(15), "{said}");
    assert!(said.contains("the connection was lost"), "{said}");
    assert_nothing_left(&world);
}

#[cfg(unix)]
#[test]
fn an_interrupted_clone_leaves_nothing() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_large_repository("original", 20 << 20);
    let arguments = [
        "clone",
        "--loopback",
        "original",
        "copy",
        "--impair",
        "rate=40mbit",
    ];
    let mut command = world.gapless_command("alice", &arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_clone_to_grow(&world);
    common::interrupt(&child);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_nothing_left(&world);
}

#[cfg(unix)]
#[test]
fn an_interrupted_server_ends_well() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_repository("original");
    let serving = world.serve("server", &["original", "again=original"]);
    world
        .gapless("alice", &["clone", serving.url("again"), "copy"])
        .ok();
    let (code, said) = serving.interrupt();
    assert_eq!(code, Some(0));
    assert!(
        said.iter()
            .any(|line| line.contains(r#""event":"session""#) && line.contains("again")),
        "{said:?}"
    );
    assert!(said.last().unwrap().contains("ending"));
}

#[test]
fn ping_and_perf() {
    let Some(world) = World::with_git() else {
        return;
    };
    world.make_repository("original");
    let serving = world.serve("server", &["original"]);
    let address = serving.multiaddr.as_str();
    let arguments = [
        "ping",
        address,
        "-n",
        "3",
        "--interval",
        "20ms",
        "--json",
        "--impair",
        "delay=20ms",
    ];
    let done = world.gapless("alice", &arguments).ok().last_json();
    assert_eq!(done["count"], 3);
    assert!(done["least_us"].as_u64().unwrap() >= 40_000, "{done}");

    let arguments = [
        "perf",
        address,
        "--upload",
        "3MB",
        "--download",
        "5MB",
        "--json",
    ];
    let said = world.gapless("alice", &arguments).ok();
    let events = said
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let events = events.collect::<Vec<_>>();
    assert_eq!(
        (&events[0]["event"], &events[0]["bytes"]),
        (&"upload".into(), &3_000_000.into())
    );
    assert_eq!(
        (&events[1]["event"], &events[1]["bytes"]),
        (&"download".into(), &5_000_000.into())
    );
    assert!(
        events[2]["path"]["packets_sent"].as_u64().unwrap() > 2000,
        "{}",
        said.out
    );
}

/// Until the pack that is being received has some bytes.
fn wait_for_clone_to_grow(world: &World) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let growing = || {
        let unfinished = world
            .entries()
            .into_iter()
            .find(|name| name.starts_with(".gapless-clone-"));
        let packs = unfinished.map(|name| world.path(&name).join("repository/.git/objects/pack"));
        let files = packs
            .and_then(|packs| std::fs::read_dir(packs).ok())
            .into_iter()
            .flatten();
        let size = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.ok()?.metadata().ok().map(|data| data.len())
        };
        files.filter_map(size).any(|size| size > 500_000)
    };
    while !growing() {
        assert!(
            Instant::now() < deadline,
            "the clone does not grow: {:?}",
            world.entries()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn assert_nothing_left(world: &World) {
    let left = world.entries();
    assert!(
        !left
            .iter()
            .any(|name| name == "copy" || name.starts_with(".gapless")),
        "{left:?}"
    );
}
