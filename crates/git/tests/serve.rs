//! What a server does with good and bad clients, with git as the client where it speaks.

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{World, git, noise, serve, server, try_git};
use gapless_git::{
    Access, Refusal, Request, RequestError, ServeError, Server, ServerConfig, Service,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What the server says to a client that sends these bytes, and how the session ended for the server.
async fn exchange(
    server: &Server,
    access: Access,
    bytes: &[u8],
) -> (String, Result<(), ServeError>) {
    let (mut stream, serving) = serve(server, access, 1 << 16);
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    drop(stream);
    (
        String::from_utf8_lossy(&answer).into_owned(),
        serving.await.unwrap().map(drop),
    )
}

fn request(service: Service) -> Vec<u8> {
    Request {
        service,
        name: "repo".into(),
        version: 0,
    }
    .encode()
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused() {
    let Some(world) = World::new() else { return };
    let (answer, ended) =
        exchange(&world.server(), Access::ReadOnly, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer, "0019ERR not a Git request");
    assert!(matches!(
        ended,
        Err(ServeError::Request(RequestError::NotGit))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_left() {
    let Some(world) = World::new() else { return };
    let limit = Duration::from_millis(100);
    let config = ServerConfig {
        request_timeout: limit,
        ..Default::default()
    };
    let (_stream, serving) = serve(&server(&world.origin(), config), Access::ReadOnly, 1 << 16);
    assert!(
        matches!(serving.await.unwrap(), Err(ServeError::RequestTimeout(seen)) if seen == limit)
    );

    let config = ServerConfig {
        idle_timeout: limit,
        ..Default::default()
    };
    let (mut stream, serving) = serve(&server(&world.origin(), config), Access::ReadOnly, 1 << 16);
    stream
        .write_all(&request(Service::UploadPack))
        .await
        .unwrap();
    assert!(matches!(serving.await.unwrap(), Err(ServeError::Idle(seen)) if seen == limit));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_limited() {
    let Some(world) = World::new() else { return };
    let server = server(
        &world.origin(),
        ServerConfig {
            max_sessions: 1,
            ..Default::default()
        },
    );
    let (mut first, serving) = serve(&server, Access::ReadOnly, 1 << 16);
    first
        .write_all(&request(Service::UploadPack))
        .await
        .unwrap();
    // The first answer shows that the slot is taken.
    first.read_u8().await.unwrap();
    let (answer, ended) = exchange(&server, Access::ReadOnly, &request(Service::UploadPack)).await;
    assert!(answer.contains("ERR server too busy"), "{answer}");
    assert!(matches!(ended, Err(ServeError::Refused(Refusal::TooBusy))));
    first.write_all(b"0000").await.unwrap();
    first.read_to_end(&mut Vec::new()).await.unwrap();
    drop(first);
    serving.await.unwrap().unwrap();
    let (answer, ended) = exchange(
        &server,
        Access::ReadOnly,
        &[&request(Service::UploadPack)[..], b"0000"].concat(),
    )
    .await;
    assert!(!answer.contains("ERR"), "{answer}");
    ended.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_git_is_named() {
    let Some(world) = World::new() else { return };
    let config = ServerConfig {
        git: "no-such-program-anywhere".into(),
        ..Default::default()
    };
    let server = server(&world.origin(), config);
    let (answer, ended) = exchange(&server, Access::ReadOnly, &request(Service::UploadPack)).await;
    assert!(answer.contains("ERR no git on the server"), "{answer}");
    assert!(matches!(ended, Err(ServeError::Spawn { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_vanished_is_reported_by_git() {
    let Some(world) = World::new() else { return };
    let server = world.server();
    std::fs::remove_dir_all(world.origin()).unwrap();
    let (answer, ended) = exchange(&server, Access::ReadOnly, &request(Service::UploadPack)).await;
    assert!(answer.contains("ERR "), "{answer}");
    assert!(matches!(
        ended,
        Err(ServeError::Git {
            service: Service::UploadPack,
            ..
        })
    ));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn git_ends_with_its_client() {
    let Some(world) = World::new() else { return };
    world.write("file", noise(1, 8 << 20));
    world.commit("first");
    let (stream, serving) = serve(&world.server(), Access::ReadOnly, 1 << 12);
    let (mut read, mut write) = tokio::io::split(stream);
    write
        .write_all(&request(Service::UploadPack))
        .await
        .unwrap();
    let head = world.git(&["rev-parse", "HEAD"]);
    let want = format!("want {} side-band-64k\n", head.trim());
    write
        .write_all(format!("{:04x}{want}00000009done\n", want.len() + 4).as_bytes())
        .await
        .unwrap();
    let mut pack = vec![0; 1 << 20];
    read.read_exact(&mut pack).await.unwrap();
    let running = || {
        let listed = std::process::Command::new("ps")
            .args(["-eo", "args"])
            .output()
            .unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let path = world.origin().display().to_string();
        listed
            .lines()
            .any(|line| line.contains("upload-pack") && line.contains(&path))
    };
    assert!(running());
    drop((read, write));
    assert!(matches!(
        serving.await.unwrap(),
        Err(ServeError::ClientGone(_) | ServeError::Git { .. })
    ));
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while running() {
        assert!(std::time::Instant::now() < deadline, "git is still running");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `git push` from a clone of the original: git on one side, the served stream on the other. `git send-pack` speaks the
/// protocol on its standard input and output when its remote is a command that copies them.
async fn push(world: &World, access: Access) -> (String, Result<(), ServeError>) {
    let socket = world.path("socket");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let server = world.server();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        server.serve(stream, access).await
    });
    // `ext::` runs a program and talks with it; this one is a copy of our request and a relay to the socket.
    let relay = world.path("relay.py");
    std::fs::write(&relay, RELAY).unwrap();
    let url = format!("ext::python3 {} {} %S", relay.display(), socket.display());
    let pushing = tokio::process::Command::new("git")
        .current_dir(world.path("copy"))
        .args([
            "-c",
            "protocol.ext.allow=always",
            "push",
            &url,
            "HEAD:refs/heads/new",
        ])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null())
        .output();
    let output = tokio::time::timeout(Duration::from_secs(20), pushing)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (said, serving.await.unwrap().map(drop))
}

/// Joins standard input and output with a socket, after sending the request.
const RELAY: &str = r"
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
line = ('git-' + sys.argv[2].removeprefix('git-') + ' /repo\0').encode()
s.sendall(b'%04x' % (len(line) + 4) + line)
def up():
    while data := os.read(0, 65536):
        s.sendall(data)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := s.recv(65536):
    os.write(1, data)
";

fn has_python() -> bool {
    let found = std::process::Command::new("python3")
        .arg("--version")
        .output()
        .is_ok();
    if !found {
        eprintln!("SKIPPED: this test needs python3 as a pipe, and none is installed");
    }
    found
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn pushing_needs_permission() {
    let Some(world) = World::new() else { return };
    if !has_python() {
        return;
    }
    world.write("file", "1\n");
    world.commit("first");
    let copy = world.clone("copy").await.unwrap().target;
    git(
        &copy,
        &[
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "second",
        ],
    );

    let (said, ended) = push(&world, Access::ReadOnly).await;
    assert!(said.contains("push not allowed to 'repo'"), "{said}");
    assert!(matches!(
        ended,
        Err(ServeError::Refused(Refusal::PushNotAllowed { .. }))
    ));
    assert!(try_git(&world.origin(), &["rev-parse", "--verify", "-q", "new"]).is_err());

    std::fs::remove_file(world.path("socket")).unwrap();
    let (said, ended) = push(&world, Access::ReadWrite).await;
    ended.unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(
        world.git(&["rev-parse", "new"]),
        git(&copy, &["rev-parse", "HEAD"])
    );
    world.git(&["fsck", "--full"]);
}

/// The stream types other than tokio's own sockets only have to be `AsyncRead + AsyncWrite + Unpin`.
#[test]
fn sessions_can_run_on_any_task() {
    fn assert_send<T: Send>(_: T) {}
    fn session(server: &Server, stream: DuplexStream) {
        assert_send(server.serve(stream, Access::ReadOnly));
    }
    let _ = session;
}
