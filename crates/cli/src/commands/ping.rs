//! `gapless ping`.

use std::time::Duration;

use crate::address::Target;
use crate::args::{Common, PingArgs};
use crate::failure::{Failure, Kind};
use crate::identity;
use crate::node::{self, Event, Node, NodeConfig};
use crate::output::{self, Output};

pub(super) async fn run(common: &Common, args: PingArgs, output: Output) -> Result<(), Failure> {
    let target: Target = args.target.parse()?;
    let keypair = identity::load_or_create(common.identity.as_deref())?;
    let config = NodeConfig {
        ping_interval: args.interval,
        ..NodeConfig::from(common)
    };
    let mut node = Node::start(&keypair, config)?;
    let link = node.dial(&target).await?;
    let mut times = Vec::new();
    let mut lost = 0_u32;
    let count = usize::try_from(args.count).unwrap_or(usize::MAX);
    while times.len() < count {
        match node.event().await {
            Some(Event::Ping {
                peer,
                result: Ok(time),
            }) if peer == link.peer => {
                times.push(time);
                report(output, &target, times.len(), time);
            }
            Some(Event::Ping {
                peer,
                result: Err(reason),
            }) if peer == link.peer => {
                lost = lost.saturating_add(1);
                tracing::info!(reason, "a ping failed");
                // libp2p closes nothing by itself: a peer that never answers must not hold us here.
                if lost >= args.count {
                    let cause = format!("the peer answers no pings: {reason}");
                    return Err(Failure::new(Kind::Unsupported, cause)
                        .cure("Is `gapless serve` what runs there?"));
                }
            }
            Some(Event::Disconnected { peer, cause }) if peer == link.peer => {
                return Err(node::connection_lost(
                    cause.unwrap_or_else(|| "the peer closed it".to_owned()),
                ));
            }
            Some(_) => {}
            None => {
                return Err(node::connection_lost(
                    "the network task has ended".to_owned(),
                ));
            }
        }
    }
    summarize(output, &times);
    node.close().await;
    Ok(())
}

fn report(output: Output, target: &Target, number: usize, time: Duration) {
    output.say(
        || {
            format!(
                "{number}: {} from {}:{}",
                output::time(time),
                target.host,
                target.port
            )
        },
        || serde_json::json!({ "event": "ping", "number": number, "rtt_us": output::micros(time) }),
    );
}

fn summarize(output: Output, times: &[Duration]) {
    let Some(statistics) = Statistics::of(times) else {
        return;
    };
    let Statistics {
        least,
        mean,
        most,
        deviation,
    } = statistics;
    output.say(
        || {
            let [least, mean, most, deviation] = [least, mean, most, deviation].map(output::time);
            format!(
                "{} round trips: least {least}, mean {mean}, most {most}, deviation {deviation}",
                times.len()
            )
        },
        || {
            serde_json::json!({
                "event": "done",
                "count": times.len(),
                "least_us": output::micros(least),
                "mean_us": output::micros(mean),
                "most_us": output::micros(most),
                "deviation_us": output::micros(deviation),
            })
        },
    );
}

#[derive(Debug, PartialEq, Eq)]
struct Statistics {
    least: Duration,
    mean: Duration,
    most: Duration,
    /// Mean distance from the mean.
    deviation: Duration,
}

impl Statistics {
    fn of(times: &[Duration]) -> Option<Self> {
        let count = u32::try_from(times.len()).ok()?;
        let mean = times.iter().sum::<Duration>().checked_div(count)?;
        let deviation = times
            .iter()
            .map(|time| time.abs_diff(mean))
            .sum::<Duration>()
            .checked_div(count)?;
        Some(Self {
            least: *times.iter().min()?,
            most: *times.iter().max()?,
            mean,
            deviation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_some_times() {
        let times = [10, 20, 60].map(Duration::from_millis);
        let [least, mean, most, deviation] = [10, 30, 60, 20].map(Duration::from_millis);
        assert_eq!(
            Statistics::of(&times),
            Some(Statistics {
                least,
                mean,
                most,
                deviation
            })
        );
        assert_eq!(Statistics::of(&[]), None);
    }
}
