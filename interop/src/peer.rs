//! This program as the peer of another one: our own kind, or a model of a foreign one.

use crate::app::{self, Outcome, Progress};
use crate::kind::Kind;
use crate::model;
use crate::own;
use crate::plan::Plan;
use anyhow::{Context, Result, bail};
use gapless_lab::peers;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The implementation.
    kind: String,
    /// What to do, as JSON.
    plan: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let plan: Plan = serde_json::from_str(&options.plan)?;
    let kind = Kind::by_name(&options.kind).context("no such peer")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match kind {
            Kind::Own => run_own(&plan).await,
            Kind::Model(kind) => run_model(kind, &plan).await,
            Kind::Program(_) => bail!("that is another program"),
        }
    })
}

async fn run_own(plan: &Plan) -> Result<()> {
    let endpoint = own::endpoint(own::config(plan.version))?;
    announce(plan, endpoint.local_addr()?);
    let mut ended = pin!(input_ended());
    let part = async {
        let connection = own::connect(&endpoint, plan).await?;
        say(app::side(&connection, plan, &Progress::default()).await);
        anyhow::Ok(connection)
    };
    tokio::select! {
        connection = part => {
            let connection = connection?;
            ended.await;
            connection.close(0, b"");
            endpoint.wait_idle().await;
        }
        () = &mut ended => {}
    }
    Ok(())
}

async fn run_model(kind: peers::Kind, plan: &Plan) -> Result<()> {
    let io = std::net::UdpSocket::bind(own::ANY_PORT)?;
    announce(plan, io.local_addr()?);
    let socket = model::Socket::new(peers::foreign(kind, plan.seed), io)?;
    let mut ended = pin!(input_ended());
    let part = async {
        let connection = match plan.dial {
            Some(address) => socket.connect(address),
            None => socket.accept().await,
        };
        say(app::side(&connection, plan, &Progress::default()).await);
        connection
    };
    let talk = async {
        tokio::select! {
            connection = part => {
                ended.await;
                connection.close();
                // The goodbye leaves with the next turn of the driver, if this peer has one.
                tokio::time::sleep(TO_LEAVE).await;
            }
            () = &mut ended => {}
        }
    };
    tokio::select! {
        failed = socket.drive() => failed,
        () = talk => Ok(()),
    }
}

/// What a goodbye takes to leave.
const TO_LEAVE: Duration = Duration::from_millis(20);

fn announce(plan: &Plan, address: SocketAddr) {
    if plan.dial.is_none() {
        println!("listening {address}");
    }
}

fn say(outcome: Result<Outcome>) {
    match outcome {
        Ok(Outcome { note: None }) => println!("done"),
        Ok(Outcome { note: Some(note) }) => println!("done {note}"),
        Err(error) => println!("failed {error:#}"),
    }
}

/// Whoever started this waits no more, or is gone.
async fn input_ended() {
    let mut byte = [0];
    while matches!(tokio::io::stdin().read(&mut byte).await, Ok(1..)) {}
}
