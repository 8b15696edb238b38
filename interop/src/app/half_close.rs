//! One direction of a stream ends; then, and only then, the other carries data.

use super::{Connection, Outcome, Stream};
use crate::pattern::{Pattern, Seen, expected};
use crate::plan::Plan;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;

/// Index of what the active side sends, and of the answer.
const FIRST: u8 = 0;
const SECOND: u8 = 1;

pub(super) async fn open<C: Connection>(connection: &C, plan: &Plan) -> Result<Outcome> {
    let mut stream = connection.open().await.context("opening a stream")?;
    if plan.is_active() {
        lead(&mut stream, plan).await?;
    } else {
        // A stream exists for the other side once something was written on it.
        let hello = stream.write(Bytes::from_static(b"?")).await;
        hello.context("opening with a byte")?;
        follow(&mut stream, plan).await?;
    }
    Ok(Outcome::default())
}

pub(super) async fn accept<C: Connection>(connection: &C, plan: &Plan) -> Result<Outcome> {
    let mut stream = connection.accept().await.context("accepting a stream")?;
    if plan.is_active() {
        let hello = stream.read(1).await.context("the byte that opens")?;
        ensure!(
            hello.as_deref() == Some(b"?"),
            "another byte opened the stream"
        );
        lead(&mut stream, plan).await?;
    } else {
        follow(&mut stream, plan).await?;
    }
    Ok(Outcome::default())
}

/// Ends its own direction first, and reads on.
async fn lead<S: Stream>(stream: &mut S, plan: &Plan) -> Result<()> {
    send(stream, plan, FIRST).await?;
    receive(stream, plan, SECOND).await
}

/// Reads to the end, and only then begins to write.
async fn follow<S: Stream>(stream: &mut S, plan: &Plan) -> Result<()> {
    receive(stream, plan, FIRST).await?;
    send(stream, plan, SECOND).await
}

async fn send<S: Stream>(stream: &mut S, plan: &Plan, index: u8) -> Result<()> {
    let mut pattern = Pattern::new(plan.seed, index, plan.bytes);
    loop {
        let chunk = pattern.next();
        if chunk.is_empty() {
            break;
        }
        stream.write(chunk).await.context("writing")?;
    }
    stream.finish().await.context("finishing")
}

async fn receive<S: Stream>(stream: &mut S, plan: &Plan, index: u8) -> Result<()> {
    let mut seen = Seen::default();
    while let Some(chunk) = stream.read(16 << 10).await.context("reading")? {
        seen.take(&chunk);
        ensure!(seen.bytes() <= plan.bytes, "more bytes than were sent");
    }
    let bytes = seen.bytes();
    ensure!(
        bytes == plan.bytes,
        "{bytes} bytes before the end, of {}",
        plan.bytes
    );
    let right = seen.hash() == expected(plan.seed, index, plan.bytes);
    ensure!(right, "all bytes arrived, but others than were sent");
    Ok(())
}
