//! Clones over a stream, judged by git.

mod common;

use std::time::Duration;

use common::{URL, World, clone_reporting, git, noise, serve, server};
use gapless_git::{Access, CloneError, CloneRequest, Head, Progress, Refusal, ServeError, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn a_small_repository() {
    let Some(world) = World::new() else { return };
    world.write("README", "hello\n");
    world.write("src/main.rs", "fn main() {}\n");
    world.commit("first");
    world.write("README", "hello again\n");
    world.commit("second");
    let (stream, serving) = serve(&world.server(), Access::ReadOnly, 1 << 16);
    let cloned = world.clone_from(stream, "repo", "copy").await.unwrap();
    assert_eq!(cloned.head, Head::Branch("main".into()));
    assert_eq!((cloned.objects, cloned.files), (8, 2));
    world.assert_as_git_would("copy");
    let served = serving.await.unwrap().unwrap();
    assert_eq!(served.request.service, Service::UploadPack);
    assert_eq!(served.request.version, 2);
    assert_eq!(served.sent, cloned.received);
}

#[tokio::test]
async fn on_one_thread_and_through_a_narrow_stream() {
    let Some(world) = World::new() else { return };
    world.write("file", noise(1, 300_000));
    world.commit("first");
    let (stream, _serving) = serve(&world.server(), Access::ReadOnly, 1000);
    world.clone_from(stream, "repo", "copy").await.unwrap();
    world.assert_as_git_would("copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_with_deltas() {
    let Some(world) = World::new() else { return };
    let mut large = noise(2, 16 << 20);
    world.write("large", &large);
    for number in 0..200 {
        world.write(&format!("many/{number}"), noise(number, 20_000));
    }
    world.commit("first");
    for place in [1 << 20, 5 << 20, 15 << 20] {
        large[place..place + 100].fill(7);
        world.write("large", &large);
        world.commit("a change in the large file");
    }
    world.git(&["gc", "-q"]);
    let (stream, _serving) = serve(&world.server(), Access::ReadOnly, 1 << 20);
    let mut reports = Vec::new();
    let cloned = clone_reporting(stream, "repo", &world.path("copy"), |report| {
        reports.push(report)
    })
    .await
    .unwrap();
    assert!(cloned.received > 20_000_000);
    world.assert_as_git_would("copy");
    let seen = |wanted: fn(&Progress) -> bool| reports.iter().any(wanted);
    assert!(seen(
        |report| matches!(report, Progress::Receiving { objects, total: 213.., bytes: 1.. } if *objects < 300)
    ));
    assert!(seen(|report| matches!(
        report,
        Progress::Indexing { total: 213.., .. }
    )));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_branches_and_tags() {
    let Some(world) = World::new() else { return };
    for number in 0..20 {
        world.write("file", format!("{number}\n"));
        world.commit(&format!("commit {number}"));
        world.git(&["tag", &format!("light/{number}")]);
        world.git(&["tag", "-a", "-m", "annotated", &format!("v{number}")]);
    }
    for number in 0..300 {
        let start = format!("light/{}", number % 20);
        world.git(&[
            "update-ref",
            &format!("refs/heads/topic/{number}"),
            &format!("refs/tags/{start}"),
        ]);
    }
    world.git(&["update-ref", "refs/notes/private", "HEAD"]);
    world.git(&["tag", "-a", "-m", "of a tag", "nested", "v3"]);
    world.git(&["tag", "of-a-tree", "HEAD^{tree}"]);
    world.git(&["pack-refs", "--all"]);
    let cloned = world.clone("copy").await.unwrap();
    assert_eq!(cloned.head, Head::Branch("main".into()));
    world.assert_as_git_would("copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository() {
    let Some(world) = World::new() else { return };
    world.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    let cloned = world.clone("copy").await.unwrap();
    assert_eq!(cloned.head, Head::Unborn("trunk".into()));
    assert_eq!((cloned.objects, cloned.refs, cloned.files), (0, 0, 0));
    world.assert_as_git_would("copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_head() {
    let Some(world) = World::new() else { return };
    world.write("file", "1\n");
    world.commit("first");
    world.git(&["checkout", "-q", "--detach"]);
    // On a branch's commit git takes the branch.
    assert_eq!(
        world.clone("on-branch").await.unwrap().head,
        Head::Branch("main".into())
    );
    world.assert_as_git_would("on-branch");

    world.write("file", "2\n");
    world.commit("on no branch");
    let id = world.git(&["rev-parse", "HEAD"]).trim().to_owned();
    assert_eq!(
        world.clone("on-none").await.unwrap().head,
        Head::Detached(id)
    );
    world.assert_as_git_would("on-none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_its_branch() {
    let Some(world) = World::new() else { return };
    world.write("file", "1\n");
    world.commit("first");
    world.git(&["symbolic-ref", "HEAD", "refs/heads/not-yet"]);
    let cloned = world.clone("copy").await.unwrap();
    assert_eq!(cloned.head, Head::Unborn("not-yet".into()));
    world.assert_as_git_would("copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_and_linked_repositories_are_served_too() {
    let Some(world) = World::new() else { return };
    world.write("file", "1\n");
    world.commit("first");
    git(
        world.home.path(),
        &["clone", "-q", "--bare", "origin", "bare.git"],
    );
    world.git(&["worktree", "add", "-q", "-b", "side", "../linked"]);
    for (path, branch) in [
        ("bare.git", "main"),
        ("linked", "side"),
        ("origin/.git", "main"),
    ] {
        let (stream, _serving) = serve(
            &server(&world.path(path), Default::default()),
            Access::ReadOnly,
            1 << 16,
        );
        let target = format!("copy-of-{}", path.replace('/', "-"));
        let cloned = world.clone_from(stream, "repo", &target).await.unwrap();
        assert_eq!(cloned.head, Head::Branch(branch.into()), "{path}");
        git(&cloned.target, &["fsck", "--full"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_original_makes_a_shallow_clone() {
    let Some(world) = World::new() else { return };
    world.write("file", "1\n");
    world.commit("first");
    world.write("file", "2\n");
    world.commit("second");
    let url = format!("file://{}", world.origin().display());
    git(
        world.home.path(),
        &["clone", "-q", "--depth", "1", &url, "shallow"],
    );
    let (stream, _serving) = serve(
        &server(&world.path("shallow"), Default::default()),
        Access::ReadOnly,
        1 << 16,
    );
    let copy = world.clone_from(stream, "repo", "copy").await.unwrap();
    git(&copy.target, &["fsck", "--full"]);
    assert_eq!(
        git(&copy.target, &["rev-list", "--all", "--count"]).trim(),
        "1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sha256_repositories_are_served_and_their_cloning_declined() {
    let Some(world) = World::new() else { return };
    git(
        world.home.path(),
        &["init", "-q", "--object-format=sha256", "sha256"],
    );
    let served = server(&world.path("sha256"), Default::default());
    let (stream, _serving) = serve(&served, Access::ReadOnly, 1 << 16);
    let error = world.clone_from(stream, "repo", "copy").await.unwrap_err();
    assert!(
        matches!(&error, CloneError::Git { details, .. } if details.contains("sha256")),
        "{error:?}"
    );
    assert_eq!(world.entries(), ["origin", "sha256"]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn modes_links_line_ends_and_submodules() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let Some(world) = World::new() else { return };
    world.write(".gitattributes", "*.bat text eol=crlf\n");
    world.write("windows.bat", "echo\nend\n");
    world.write("script", "#!/bin/sh\n");
    std::fs::set_permissions(
        world.origin().join("script"),
        PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    symlink("script", world.origin().join("link")).unwrap();
    symlink("../outside", world.origin().join("dangling")).unwrap();
    world.write("umlaut ä/name with space", "");
    world.git(&["add", "-A"]);
    let gitlink = "160000,1111111111111111111111111111111111111111,module";
    world.git(&["update-index", "--add", "--cacheinfo", gitlink]);
    world.git(&["commit", "-q", "-m", "first"]);
    let cloned = world.clone("copy").await.unwrap();
    world.assert_as_git_would("copy");
    let copy = cloned.target;
    assert_eq!(
        std::fs::read(copy.join("windows.bat")).unwrap(),
        b"echo\r\nend\r\n"
    );
    assert_eq!(
        std::fs::metadata(copy.join("script"))
            .unwrap()
            .permissions()
            .mode()
            & 0o111,
        0o111
    );
    assert_eq!(
        std::fs::read_link(copy.join("link")).unwrap().to_str(),
        Some("script")
    );
    assert_eq!(
        std::fs::read_link(copy.join("dangling")).unwrap().to_str(),
        Some("../outside")
    );
    assert!(
        std::fs::read_dir(copy.join("module"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clone_fetches_from_the_origin_with_git() {
    let Some(world) = World::new() else { return };
    world.write("file", "1\n");
    world.commit("first");
    let copy = world.clone("copy").await.unwrap().target;
    world.write("file", "2\n");
    world.commit("second");
    let origin = world.origin().to_str().unwrap().to_owned();
    git(&copy, &["remote", "set-url", "origin", &origin]);
    git(&copy, &["pull", "-q", "--ff-only"]);
    assert_eq!(
        git(&copy, &["rev-parse", "HEAD"]),
        world.git(&["rev-parse", "HEAD"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_repository_is_named() {
    let Some(world) = World::new() else { return };
    for name in ["other", "../repo", "repo/../repo", "repo.git", "repo/"] {
        let (stream, serving) = serve(&world.server(), Access::ReadOnly, 1 << 16);
        let error = world.clone_from(stream, name, "copy").await.unwrap_err();
        let refusal = Refusal::UnknownRepository { name: name.into() };
        assert!(
            matches!(error, CloneError::Refused(ref seen) if *seen == refusal),
            "{error:?}"
        );
        assert!(
            matches!(serving.await.unwrap(), Err(ServeError::Refused(seen)) if seen == refusal)
        );
    }
    assert_eq!(world.entries(), ["origin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_content_is_refused() {
    let Some(world) = World::new() else { return };
    world.write("file", "1\n");
    world.commit("first");
    let before = std::fs::read_dir(world.origin()).unwrap().count();
    assert!(
        matches!(world.clone("origin").await, Err(CloneError::TargetNotEmpty(path)) if path == world.origin())
    );
    assert_eq!(std::fs::read_dir(world.origin()).unwrap().count(), before);
    std::fs::create_dir(world.path("empty")).unwrap();
    world.clone("empty").await.unwrap();
    world.assert_as_git_would("empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_leaves_nothing() {
    let Some(world) = World::new() else { return };
    world.write("file", noise(3, 4 << 20));
    world.commit("first");
    // Dying at once, after the references, and twice within the pack.
    for survives in [0, 700, 100_000, 3 << 20] {
        let (mut upstream, _serving) = serve(&world.server(), Access::ReadOnly, 1 << 16);
        let (ours, mut relay) = tokio::io::duplex(1 << 16);
        let relaying = tokio::spawn(async move {
            let mut left = survives;
            let (mut to, mut from) = (vec![0; 4096], vec![0; 4096]);
            while left > 0 {
                tokio::select! {
                    Ok(count) = relay.read(&mut to) => upstream.write_all(&to[..count]).await.unwrap(),
                    Ok(count) = upstream.read(&mut from) => {
                        relay.write_all(&from[..count.min(left)]).await.unwrap();
                        left -= count.min(left);
                    }
                }
            }
        });
        let error = world.clone_from(ours, "repo", "copy").await.unwrap_err();
        assert!(
            matches!(error, CloneError::Connection(_)),
            "{survives}: {error:?}"
        );
        assert_eq!(world.entries(), ["origin"], "{survives}");
        relaying.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_leaves_nothing() {
    let Some(world) = World::new() else { return };
    world.write("file", noise(4, 1 << 20));
    world.commit("first");
    let (upstream, _serving) = serve(&world.server(), Access::ReadOnly, 1 << 16);
    let (ours, relay) = tokio::io::duplex(1 << 16);
    let (mut from_server, mut to_server) = tokio::io::split(upstream);
    let (mut from_client, mut to_client) = tokio::io::split(relay);
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    tokio::spawn(async move {
        let mut seen = 0;
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            if (seen..seen + count).contains(&500_000) {
                buffer[500_000 - seen] ^= 1;
            }
            seen += count;
            to_client.write_all(&buffer[..count]).await.unwrap();
        }
    });
    let error = world.clone_from(ours, "repo", "copy").await.unwrap_err();
    assert!(
        matches!(error, CloneError::Git { .. } | CloneError::Connection(_)),
        "{error:?}"
    );
    assert_eq!(world.entries(), ["origin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_leaves_nothing() {
    let Some(world) = World::new() else { return };
    world.write("file", "1\n");
    world.commit("first");
    let request = || CloneRequest {
        name: "repo".into(),
        url: URL.into(),
        target: world.path("copy"),
    };
    // A server that never answers: only the cancellation can end this.
    let (stream, _silent) = tokio::io::duplex(1 << 16);
    let soon = tokio::time::sleep(Duration::from_millis(200));
    let error = gapless_git::clone(stream, request(), |_| {}, soon)
        .await
        .unwrap_err();
    assert!(matches!(error, CloneError::Cancelled));
    assert_eq!(world.entries(), ["origin"]);

    let (stream, _silent) = tokio::io::duplex(1 << 16);
    let cloning = gapless_git::clone(stream, request(), |_| {}, std::future::pending());
    assert!(
        tokio::time::timeout(Duration::from_millis(200), cloning)
            .await
            .is_err()
    );
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while world.entries() != ["origin"] {
        assert!(
            tokio::time::Instant::now() < deadline,
            "still there: {:?}",
            world.entries()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
