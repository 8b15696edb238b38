//! Bytes one way, on one stream or on many at once; the receiver answers with their hash.

use super::{Connection, Outcome, Progress, Stream, count};
use crate::pattern::{Hash, Pattern, Seen, expected};
use crate::plan::{Flow, Plan, Scenario};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use std::time::Duration;

/// What a reader takes at once.
const READ: usize = 64 << 10;

/// A slow reader takes nothing for so long: windows and send buffers fill meanwhile.
const PAUSE: Duration = Duration::from_millis(800);

/// Then it takes so many bytes, and waits this long, again and again. Some libraries give no more than one frame at once, so it is the
/// bytes that count.
const SLOW_READ: usize = 16 << 10;
const SLOW_WAIT: Duration = Duration::from_millis(2);

pub(super) async fn open<C: Connection>(
    connection: &C,
    plan: &Plan,
    progress: &Progress,
) -> Result<Outcome> {
    let streams = (0..plan.streams).map(|index| one(connection, plan, index, progress));
    try_join_all(streams).await?;
    Ok(Outcome::default())
}

/// One stream of an opener.
pub(super) async fn one<C: Connection>(
    connection: &C,
    plan: &Plan,
    index: u8,
    progress: &Progress,
) -> Result<()> {
    let mut stream = connection.open().await.context("opening a stream")?;
    let on = || format!("stream {index}");
    if plan.flow == Flow::Opener {
        let sent = send(&mut stream, plan, index, progress).await;
        let sent = sent.with_context(on)?;
        let answer = read_hash(&mut stream).await.with_context(on)?;
        ensure!(
            answer == sent,
            "stream {index}: the peer received other bytes"
        );
    } else {
        let ask = Bytes::copy_from_slice(&[index]);
        stream.write(ask).await.context("asking").with_context(on)?;
        let first = receive(&mut stream, plan, progress)
            .await
            .with_context(on)?;
        ensure!(
            first == index,
            "stream {index}: the bytes of stream {first}"
        );
        stream
            .finish()
            .await
            .context("finishing")
            .with_context(on)?;
    }
    Ok(())
}

pub(super) async fn accept<C: Connection>(
    connection: &C,
    plan: &Plan,
    progress: &Progress,
) -> Result<Outcome> {
    let mut answers = Vec::new();
    let (given, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let accepting = async {
        for number in 0..plan.streams {
            let stream = connection.accept().await;
            let stream = stream.with_context(|| format!("accepting stream {number}"))?;
            let _ = given.send(stream);
        }
        drop(given);
        anyhow::Ok(())
    };
    let answering = async {
        use futures::stream::{FuturesUnordered, StreamExt};
        let mut running = FuturesUnordered::new();
        let mut open = true;
        while open || !running.is_empty() {
            tokio::select! {
                stream = taken.recv(), if open => match stream {
                    Some(stream) => running.push(answer::<C>(stream, plan, progress)),
                    None => open = false,
                },
                Some(index) = running.next(), if !running.is_empty() => answers.push(index?),
            }
        }
        anyhow::Ok(())
    };
    tokio::try_join!(accepting, answering)?;
    answers.sort_unstable();
    let all: Vec<u8> = (0..plan.streams).collect();
    if answers != all {
        bail!(
            "the streams {answers:?} came instead of all {}",
            plan.streams
        );
    }
    Ok(Outcome::default())
}

/// One stream of an acceptor; gives its index.
async fn answer<C: Connection>(
    mut stream: C::Stream,
    plan: &Plan,
    progress: &Progress,
) -> Result<u8> {
    if plan.flow == Flow::Opener {
        let (index, hash) = take_all(&mut stream, plan, progress).await?;
        check(plan, index, &hash)?;
        let answer = stream.write(Bytes::copy_from_slice(&hash.1)).await;
        answer.context("answering with the hash")?;
        stream.finish().await.context("finishing the answer")?;
        return Ok(index);
    }
    let index = stream.read(1).await.context("reading the question")?;
    let index = index.as_deref().and_then(<[u8]>::first).copied();
    let index = index.context("a stream without a question")?;
    send(&mut stream, plan, index, progress).await?;
    Ok(index)
}

/// Sends a stream's whole pattern and its end.
async fn send<S: Stream>(
    stream: &mut S,
    plan: &Plan,
    index: u8,
    progress: &Progress,
) -> Result<Hash> {
    let mut pattern = Pattern::new(plan.seed, index, plan.bytes);
    let mut seen = Seen::default();
    loop {
        let chunk = pattern.next();
        if chunk.is_empty() {
            break;
        }
        seen.take(&chunk);
        let size = chunk.len();
        let written = stream.write(chunk).await;
        written.with_context(|| format!("writing after {} bytes", seen.bytes()))?;
        count(progress, size);
    }
    stream.finish().await.context("finishing")?;
    Ok(seen.hash())
}

/// Receives a stream's whole pattern, checks it, and tells its index.
async fn receive<S: Stream>(stream: &mut S, plan: &Plan, progress: &Progress) -> Result<u8> {
    let (index, hash) = take_all(stream, plan, progress).await?;
    check(plan, index, &hash)?;
    Ok(index)
}

/// Bytes, and their hash.
type Taken = (u64, Hash);

async fn take_all<S: Stream>(
    stream: &mut S,
    plan: &Plan,
    progress: &Progress,
) -> Result<(u8, Taken)> {
    let slow = plan.scenario == Scenario::SlowReader;
    if slow {
        tokio::time::sleep(PAUSE).await;
    }
    let mut seen = Seen::default();
    let mut first = None;
    let mut until_wait = SLOW_READ;
    loop {
        let chunk = stream.read(if slow { SLOW_READ } else { READ }).await;
        let chunk = chunk.with_context(|| format!("reading after {} bytes", seen.bytes()))?;
        let Some(chunk) = chunk else { break };
        first = first.or(chunk.first().copied());
        seen.take(&chunk);
        count(progress, chunk.len());
        ensure!(
            seen.bytes() <= plan.bytes,
            "more than the {} bytes sent",
            plan.bytes
        );
        until_wait = until_wait.saturating_sub(chunk.len());
        if slow && until_wait == 0 {
            until_wait = SLOW_READ;
            tokio::time::sleep(SLOW_WAIT).await;
        }
    }
    let first = first.context("the stream ended without a byte")?;
    Ok((first, (seen.bytes(), seen.hash())))
}

fn check(plan: &Plan, index: u8, (bytes, hash): &Taken) -> Result<()> {
    ensure!(
        *bytes == plan.bytes,
        "{bytes} bytes arrived of {}",
        plan.bytes
    );
    ensure!(
        *hash == expected(plan.seed, index, plan.bytes),
        "stream {index}: all {bytes} bytes arrived, but others than were sent"
    );
    Ok(())
}

/// The answer to a whole pattern, to the end of the stream.
async fn read_hash<S: Stream>(stream: &mut S) -> Result<Hash> {
    let mut all = Vec::new();
    while let Some(chunk) = stream.read(READ).await.context("reading the hash")? {
        all.extend_from_slice(&chunk);
        ensure!(
            all.len() <= size_of::<Hash>(),
            "an answer longer than a hash"
        );
    }
    let size = all.len();
    all.try_into()
        .map_err(|_| anyhow::anyhow!("an answer of {size} bytes instead of a hash"))
}
