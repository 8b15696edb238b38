//! `git-remote-udx`.

use gapless_git::{HelperError, remote_helper};
use tokio::io::BufReader;

use crate::address::Target;
use crate::args::Common;
use crate::failure::{Failure, Kind, with_causes};
use crate::identity;
use crate::node::{self, Node, NodeConfig, Stream};

/// Runs the helper; `arguments` as git gives them: the remote's name and its URL.
///
/// # Errors
///
/// Whatever went wrong, with its cure.
pub fn main(arguments: Vec<String>) -> Result<(), Failure> {
    let Some(url) = arguments
        .get(1)
        .filter(|argument| !argument.starts_with('-'))
    else {
        return Err(Failure::new(Kind::Address, "git runs this program for URLs that begin with udx://")
            .cure("Put it into the PATH and say: git clone udx://PEER@HOST:PORT/NAME. Options come from the environment: \
                   GAPLESS_IDENTITY, GAPLESS_IMPAIR, GAPLESS_IDLE_TIMEOUT, as gapless --help explains them."));
    };
    let target: Target = url.parse()?;
    let Some(name) = target.name.clone() else {
        return Err(super::clone::no_name(&target));
    };
    let common = Common::from_environment()?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::new(
            Kind::Other,
            format!("the runtime cannot be started: {error}"),
        )
    })?;
    let result = runtime.block_on(serve_git(&common, &target, &name));
    // Reading standard input blocks a thread of the runtime for ever.
    runtime.shutdown_background();
    result
}

async fn serve_git(common: &Common, target: &Target, name: &str) -> Result<(), Failure> {
    let keypair = identity::load_or_create(common.identity.as_deref())?;
    let mut node = Node::start(&keypair, NodeConfig::from(common))?;
    let connect = async || -> Result<Stream, Failure> {
        let link = node.dial(target).await?;
        node.open(&link, node::GIT).await
    };
    let stdin = BufReader::new(tokio::io::stdin());
    let serving = remote_helper(stdin, tokio::io::stdout(), name, connect);
    let result = tokio::select! {
        result = serving => result,
        () = super::interrupted() => Err(HelperError::Connect(super::interruption())),
    };
    let result = result.map_err(|error| match error {
        HelperError::Connect(failure) => failure,
        HelperError::Connection(error) => node::connection_lost(
            node.disconnect_cause(target.peer)
                .unwrap_or_else(|| error.to_string()),
        ),
        error => Failure::new(Kind::Other, with_causes(&error)),
    });
    node.close().await;
    result
}
