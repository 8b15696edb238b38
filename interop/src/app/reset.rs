//! A stream is reset while the other side writes on it; the connection, and a stream after it, go on.

use super::{Connection, Failure, Outcome, Stream};
use crate::pattern::Pattern;
use crate::plan::{Plan, QUESTION, RESET_ATTEMPTS, RESET_CODE, UNKNOWN_CODE};
use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::time::Duration;

/// Bytes that the resetting side reads before it resets.
const READ_FIRST: usize = 32 << 10;

/// How long a victim waits for the reset, from its first byte on. The reset is a matter of round trips.
const PATIENCE: Duration = Duration::from_secs(4);

/// What the victim of a reset saw.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Saw {
    Reset(u32),
    Nothing,
}

pub(super) async fn open<C: Connection>(connection: &C, plan: &Plan) -> Result<Outcome> {
    for attempt in 0..RESET_ATTEMPTS {
        let mut stream = connection.open().await.context("opening a stream")?;
        let index = Bytes::copy_from_slice(&[attempt]);
        stream.write(index).await.context("the first byte")?;
        let mine = part(&mut stream, plan, attempt).await?;
        // On another stream: the connection has to live on, reset or not.
        let told = ask(connection, attempt, mine)
            .await
            .context("after the reset")?;
        let saw = if plan.is_active() { told } else { mine };
        if let Some(outcome) = judge(attempt, saw)? {
            return Ok(outcome);
        }
    }
    bail!("{RESET_ATTEMPTS} streams were reset, and the other side saw none of it")
}

pub(super) async fn accept<C: Connection>(connection: &C, plan: &Plan) -> Result<Outcome> {
    for attempt in 0..RESET_ATTEMPTS {
        let mut stream = connection.accept().await.context("accepting a stream")?;
        let index = stream.read(1).await.context("the first byte")?;
        ensure!(
            index.as_deref() == Some(&[attempt]),
            "not the stream of attempt {attempt}"
        );
        let mine = part(&mut stream, plan, attempt).await?;
        let told = answer(connection, attempt, mine)
            .await
            .context("after the reset")?;
        let saw = if plan.is_active() { told } else { mine };
        if let Some(outcome) = judge(attempt, saw)? {
            return Ok(outcome);
        }
    }
    bail!("{RESET_ATTEMPTS} streams were reset, and the other side saw none of it")
}

/// What an attempt shows, if its reset was seen.
fn judge(attempt: u8, saw: Saw) -> Result<Option<Outcome>> {
    match saw {
        Saw::Reset(RESET_CODE | UNKNOWN_CODE) => Ok(Some(outcome(attempt, saw))),
        Saw::Reset(code) => bail!("code {code} arrived instead of {RESET_CODE}"),
        Saw::Nothing => Ok(None),
    }
}

fn outcome(attempt: u8, saw: Saw) -> Outcome {
    let mut notes = Vec::new();
    if attempt > 0 {
        notes.push(format!("seen at attempt {}", attempt + 1));
    }
    if saw == Saw::Reset(UNKNOWN_CODE) {
        notes.push("the peer's library does not tell the code".to_owned());
    }
    Outcome {
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}

/// The active side reads some and resets; the other writes until it learns of it.
async fn part<S: Stream>(stream: &mut S, plan: &Plan, attempt: u8) -> Result<Saw> {
    if plan.is_active() {
        let mut read = 0;
        while read < READ_FIRST {
            let chunk = stream
                .read(READ_FIRST)
                .await
                .context("reading before the reset")?;
            read += chunk.context("an end before the reset")?.len();
        }
        stream.reset(RESET_CODE).await;
        return Ok(Saw::Nothing);
    }
    let mut pattern = Pattern::new(plan.seed, attempt, plan.bytes);
    let writing = async {
        loop {
            let chunk = pattern.next();
            if chunk.is_empty() {
                return Failure::Other("all was written, and no reset came".to_owned());
            }
            if let Err(failure) = stream.write(chunk).await {
                return failure;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, writing).await {
        Ok(Failure::Reset(code)) => Ok(Saw::Reset(code)),
        Ok(Failure::Other(what)) => bail!("writing until the reset: {what}"),
        Err(_) => {
            // The one RESET_STREAM is lost. This side gives the stream up, too.
            stream.reset(RESET_CODE).await;
            Ok(Saw::Nothing)
        }
    }
}

/// Bytes of what was seen: whether a reset was, and its code.
const SAW_BYTES: usize = 5;

impl Saw {
    fn put(self, bytes: &mut BytesMut) {
        match self {
            Self::Nothing => bytes.put_bytes(0, SAW_BYTES),
            Self::Reset(code) => {
                bytes.put_u8(1);
                bytes.put_u32(code);
            }
        }
    }

    fn get(mut bytes: impl Buf) -> Self {
        match bytes.get_u8() {
            0 => Self::Nothing,
            _ => Self::Reset(bytes.get_u32()),
        }
    }
}

/// Tells on a fresh stream what this side saw, and asks what the other did.
async fn ask<C: Connection>(connection: &C, attempt: u8, mine: Saw) -> Result<Saw> {
    let mut stream = connection.open().await.context("opening a stream")?;
    let mut question = BytesMut::new();
    question.put_u8(QUESTION + attempt);
    mine.put(&mut question);
    let asked = stream.write(question.freeze()).await;
    asked.context("asking")?;
    stream.finish().await.context("finishing the question")?;
    let answer = read_to_end(&mut stream, SAW_BYTES).await;
    Ok(Saw::get(answer.context("the answer")?))
}

/// Answers the question; gives what the other side saw.
async fn answer<C: Connection>(connection: &C, attempt: u8, mine: Saw) -> Result<Saw> {
    let mut stream = connection.accept().await.context("accepting a stream")?;
    let question = read_to_end(&mut stream, 1 + SAW_BYTES).await;
    let mut question = question.context("the question")?;
    ensure!(
        question.get_u8() == QUESTION + attempt,
        "not the question of attempt {attempt}"
    );
    let mut answer = BytesMut::new();
    mine.put(&mut answer);
    stream.write(answer.freeze()).await.context("answering")?;
    stream.finish().await.context("finishing the answer")?;
    Ok(Saw::get(question))
}

/// All of a stream that is exactly so long.
async fn read_to_end<S: Stream>(stream: &mut S, bytes: usize) -> Result<BytesMut> {
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.read(bytes + 1).await.context("reading")? {
        all.extend_from_slice(&chunk);
        ensure!(all.len() <= bytes, "more than {bytes} bytes");
    }
    ensure!(all.len() == bytes, "{} bytes instead of {bytes}", all.len());
    Ok(all)
}
