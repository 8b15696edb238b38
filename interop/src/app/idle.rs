//! Something said, a long silence, and something said again.

use super::{Connection, Outcome, Progress, bulk};
use crate::plan::Plan;
use anyhow::{Context, Result};

/// The acceptor's part is that of two ordinary streams.
pub(super) async fn open<C: Connection>(
    connection: &C,
    plan: &Plan,
    progress: &Progress,
) -> Result<Outcome> {
    let before = bulk::one(connection, plan, 0, progress).await;
    before.context("before the silence")?;
    tokio::time::sleep(plan.idle()).await;
    let after = bulk::one(connection, plan, 1, progress).await;
    after.context("after the silence")?;
    // Everybody has some way to ask; nobody may break a connection by it.
    connection
        .ping()
        .await
        .context("asking whether the peer is there")?;
    Ok(Outcome::default())
}
