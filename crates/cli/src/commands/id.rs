//! `gapless id`.

use crate::args::Common;
use crate::failure::Failure;
use crate::identity;
use crate::output::Output;

pub(super) fn run(common: &Common, output: Output) -> Result<(), Failure> {
    let keypair = identity::load_or_create(common.identity.as_deref())?;
    let peer = keypair.public().to_peer_id();
    let file = match &common.identity {
        Some(file) => file.clone(),
        None => identity::default_path()?,
    };
    output.say(
        || peer.to_string(),
        || serde_json::json!({ "event": "identity", "peer": peer.to_string(), "file": file.display().to_string() }),
    );
    Ok(())
}
