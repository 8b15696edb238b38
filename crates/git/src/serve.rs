//! Answers Git requests with the system's git.

mod child;
mod relay;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::Semaphore;

use crate::repository::{Repositories, Repository};
use crate::request::{Refusal, Request, RequestError, Service};
use child::Child;
use relay::{Ended, relay};

/// Serves repositories on streams, each stream one request.
///
/// One value serves any number of streams at the same time, up to [`ServerConfig::max_sessions`].
#[derive(Clone, Debug)]
pub struct Server {
    repositories: Arc<Repositories>,
    config: ServerConfig,
    slots: Arc<Semaphore>,
}

/// Bounds of a [`Server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Git programs running at the same time. Each may take a core and, with `pack.threads` and `pack.windowMemory` at their
    /// defaults, hundreds of MB for a large repository. Default 16.
    pub max_sessions: usize,
    /// How long a stream may stay without its request. Default 10 s.
    pub request_timeout: Duration,
    /// How long a session may stay without a byte in either direction. Git's programs send a keep-alive every 5 s while they
    /// compute (`uploadpack.keepAlive`), so only a dead peer or a hook stays silent. Default 5 min.
    pub idle_timeout: Duration,
    /// The git program. Default `git`, searched in `PATH`.
    pub git: PathBuf,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_sessions: 16,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            git: PathBuf::from("git"),
        }
    }
}

/// What the peer of a stream may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Clone and fetch.
    ReadOnly,
    /// Clone, fetch and push.
    ReadWrite,
}

/// A session that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// What was asked for.
    pub request: Request,
    /// Bytes from the client to git, without the request.
    pub received: u64,
    /// Bytes from git to the client.
    pub sent: u64,
}

/// Why a session did not end well. The client was told, as far as it could be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The stream's first bytes were no request.
    #[error("no request")]
    Request(#[from] RequestError),
    /// No request came in time.
    #[error("no request within {0:?}")]
    RequestTimeout(Duration),
    /// The request was refused; the client got this text.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Git could not be started.
    #[error("{program} could not be started", program = program.display())]
    Spawn {
        /// The program that was tried.
        program: PathBuf,
        /// The system's answer.
        #[source]
        error: std::io::Error,
    },
    /// Git ended with an error.
    #[error("{service} failed ({status}): {stderr}")]
    Git {
        /// Which program.
        service: Service,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        stderr: String,
    },
    /// The client went away, or its connection was lost.
    #[error("the client went away")]
    ClientGone(#[source] std::io::Error),
    /// Nothing moved for too long.
    #[error("nothing moved for {0:?}")]
    Idle(Duration),
}

/// How long a stream stays open after the last byte was written, for the client to read it and close first. Closing earlier
/// could turn into a reset on the way, and that overtakes data in some transports.
const LINGER: Duration = Duration::from_secs(5);

impl Server {
    /// A server of these repositories.
    pub fn new(repositories: Repositories, config: ServerConfig) -> Self {
        let slots = Arc::new(Semaphore::new(
            config.max_sessions.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            repositories: Arc::new(repositories),
            config,
            slots,
        }
    }

    /// The served repositories.
    pub fn repositories(&self) -> &Repositories {
        &self.repositories
    }

    /// Serves one stream to its end. Dropping the future ends the session: git is told to stop.
    ///
    /// # Errors
    ///
    /// See [`ServeError`].
    pub async fn serve<S>(&self, stream: S, access: Access) -> Result<Served, ServeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = stream;
        let reading =
            tokio::time::timeout(self.config.request_timeout, Request::read(&mut stream)).await;
        let request = match reading {
            Ok(Ok(request)) => request,
            Ok(Err(error)) => {
                refuse(&mut stream, &Refusal::BadRequest).await;
                return Err(error.into());
            }
            Err(_) => return Err(ServeError::RequestTimeout(self.config.request_timeout)),
        };
        let admitted = self.admit(&request, access).and_then(|repository| {
            let slot = self.slots.try_acquire().map_err(|_| Refusal::TooBusy)?;
            Ok((repository, slot))
        });
        match admitted {
            Ok((repository, _slot)) => self.run(stream, request, repository).await,
            Err(refusal) => {
                refuse(&mut stream, &refusal).await;
                Err(ServeError::Refused(refusal))
            }
        }
    }

    fn admit(&self, request: &Request, access: Access) -> Result<&Repository, Refusal> {
        let name = || request.name.clone();
        let repository = self
            .repositories
            .get(&request.name)
            .ok_or_else(|| Refusal::UnknownRepository { name: name() })?;
        match (request.service, access) {
            (Service::UploadPack, _) | (Service::ReceivePack, Access::ReadWrite) => Ok(repository),
            (Service::ReceivePack, Access::ReadOnly) => {
                Err(Refusal::PushNotAllowed { name: name() })
            }
        }
    }

    async fn run<S>(
        &self,
        mut stream: S,
        request: Request,
        repository: &Repository,
    ) -> Result<Served, ServeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut child = match Child::spawn(&self.config.git, &request, repository) {
            Ok(child) => child,
            Err(error) => {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let refusal = if missing {
                    Refusal::GitMissing
                } else {
                    Refusal::Other(error.to_string())
                };
                refuse(&mut stream, &refusal).await;
                return Err(ServeError::Spawn {
                    program: self.config.git.clone(),
                    error,
                });
            }
        };
        let (moved, ended) = relay(&mut stream, &mut child, self.config.idle_timeout).await;
        match ended {
            Ended::GitDone => {}
            Ended::ClientGone(error) => return Err(ServeError::ClientGone(error)),
            Ended::Idle => return Err(ServeError::Idle(self.config.idle_timeout)),
        }
        let (status, stderr) = child.finish().await;
        if status.success() {
            say_goodbye(&mut stream).await;
            return Ok(Served {
                request,
                received: moved.received,
                sent: moved.sent,
            });
        }
        // Once git has spoken to the client, an `ERR` line would stand in the middle of its words.
        if moved.sent == 0 {
            refuse(
                &mut stream,
                &Refusal::Other(format!("{} failed: {stderr}", request.service)),
            )
            .await;
        } else {
            say_goodbye(&mut stream).await;
        }
        Err(ServeError::Git {
            service: request.service,
            status,
            stderr,
        })
    }
}

/// Tells the client as well as possible: the reason is reported by the caller, so a lost connection adds nothing.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, refusal: &Refusal) {
    if tokio::time::timeout(LINGER, refusal.send(stream))
        .await
        .is_ok_and(|sent| sent.is_ok())
    {
        linger(stream).await;
    }
}

async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    use tokio::io::AsyncWriteExt;
    if tokio::time::timeout(LINGER, stream.shutdown())
        .await
        .is_ok_and(|shut| shut.is_ok())
    {
        linger(stream).await;
    }
}

/// Waits until the client has closed its half too, but not for ever.
async fn linger<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut rest = [0; 1024];
    let drain = async { while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
    if tokio::time::timeout(LINGER, drain).await.is_err() {
        tracing::debug!("the client kept the stream open");
    }
}
