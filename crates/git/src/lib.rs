//! Git's smart protocol, served and cloned, over any byte stream.
//!
//! The crate knows no network. It takes streams that something else has connected (tokio's `AsyncRead + AsyncWrite`):
//!
//! - [`Server`] answers on a stream: it reads one [`Request`], looks the repository up by name, and joins the stream with the
//!   system's `git upload-pack` or, where the caller allows it, `git receive-pack`;
//! - [`clone`] copies a repository from the other end of a stream into a directory, with gitoxide: no `git` needed;
//! - [`remote_helper`] is the inside of a `git-remote-…` program, so that the user's own `git` clones, fetches and pushes.
//!
//! A stream begins with the request of the `git://` daemon (gitprotocol-pack(5), "Git Transport"), one pkt-line:
//! `git-upload-pack /NAME\0host=HOST\0\0version=2\0`. Whatever follows is Git's own. A refusal is a pkt-line `ERR …`, which
//! every Git client shows to its user; [`Refusal`] is its typed form.
//!
//! What is not here: signed pushes (`push-cert` works, but nonces are git's own configuration), `git upload-archive`, bundle
//! URIs, SHA-256 repositories in [`clone`] (serving them works), partial and shallow clones in [`clone`] (the user's own git
//! can make them through [`remote_helper`]).
#![forbid(unsafe_code)]

mod bridge;
mod clone;
mod helper;
mod repository;
mod request;
mod serve;

pub use clone::{
    CloneError, CloneRequest, Cloned, Head, Progress, RemoteWork, check_target, clone,
};
pub use helper::{HelperError, remote_helper};
pub use repository::{AddError, OpenError, Repositories, Repository, default_name};
pub use request::{Refusal, Request, RequestError, Service};
pub use serve::{Access, ServeError, Served, Server, ServerConfig};
