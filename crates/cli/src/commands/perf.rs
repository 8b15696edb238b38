//! `gapless perf`.

use std::time::Duration;

use crate::address::Target;
use crate::args::{Common, PerfArgs};
use crate::failure::Failure;
use crate::identity;
use crate::node::{self, Link, LinkStats, Node, NodeConfig};
use crate::output::{self, Output};
use crate::perf;

pub(super) async fn run(common: &Common, args: PerfArgs, output: Output) -> Result<(), Failure> {
    let target: Target = args.target.parse()?;
    let keypair = identity::load_or_create(common.identity.as_deref())?;
    let mut node = Node::start(&keypair, NodeConfig::from(common))?;
    let link = node.dial(&target).await?;
    if args.upload > 0 {
        let stream = node.open(&link, node::PERF).await?;
        let time = perf::upload(stream, args.upload)
            .await
            .map_err(|error| lost(&mut node, &link, &error))?;
        report(output, "upload", args.upload, time);
    }
    if args.download > 0 {
        let stream = node.open(&link, node::PERF).await?;
        let time = perf::download(stream, args.download)
            .await
            .map_err(|error| lost(&mut node, &link, &error))?;
        report(output, "download", args.download, time);
    }
    if let Some(stats) = node.stats(&link) {
        finish(output, &stats);
    }
    node.close().await;
    Ok(())
}

fn report(output: Output, direction: &'static str, bytes: u64, time: Duration) {
    let rate = output::rate(bytes, time);
    output.say(
        || {
            format!(
                "{direction:<8}  {} in {}: {}/s",
                output::bytes(bytes),
                output::time(time),
                output::bytes(rate)
            )
        },
        || {
            serde_json::json!({
                "event": direction,
                "bytes": bytes,
                "time_us": output::micros(time),
                "bytes_per_second": rate,
            })
        },
    );
}

fn finish(output: Output, stats: &LinkStats) {
    output.say(
        || output::path(stats),
        || serde_json::json!({ "event": "done", "path": output::path_json(stats) }),
    );
}

fn lost(node: &mut Node, link: &Link, error: &std::io::Error) -> Failure {
    node::connection_lost(
        node.disconnect_cause(link.peer)
            .unwrap_or_else(|| error.to_string()),
    )
}
