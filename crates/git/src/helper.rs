//! The inside of a `git-remote-…` program: Git's own client over our stream.

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};

use crate::request::{Request, RequestError, Service};

/// Why the helper ended before git was served. `E` is the error of the caller's `connect`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError<E> {
    /// The stream could not be connected.
    #[error(transparent)]
    Connect(E),
    /// The repository's name cannot be asked for.
    #[error("the repository's name cannot be sent")]
    Request(#[from] RequestError),
    /// The connection failed while git used it.
    #[error("the connection was lost")]
    Connection(#[source] std::io::Error),
    /// Git's end of the pipe failed.
    #[error("the pipe to git failed")]
    Pipe(#[source] std::io::Error),
    /// Git sent a command that this helper never offered.
    #[error("git sent the unexpected command '{0}'")]
    UnexpectedCommand(String),
}

/// Version asked for when git reads: 2, where refs are filtered by the server. Git follows what the server answers, whatever
/// its own `protocol.version` says. Pushing knows no version 2 (gitprotocol-v2(5)).
const READ_VERSION: u8 = 2;
/// Buffer of each direction in bytes: one pipe of Linux (pipe(7)).
const BUFFER: usize = 64 * 1024;

/// Serves git's remote-helper protocol (gitremote-helpers(7), capability `connect`) on `stdin` and `stdout` until git is done,
/// for the repository `name` at the other end of the stream that `connect` makes when git asks for one.
///
/// # Errors
///
/// See [`HelperError`]. Git reports a helper that ends early; the helper's program should print the error to stderr first.
pub async fn remote_helper<I, O, S, E, F>(
    mut stdin: I,
    mut stdout: O,
    name: &str,
    connect: impl FnOnce() -> F,
) -> Result<(), HelperError<E>>
where
    I: AsyncBufRead + Unpin,
    O: AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite,
    F: Future<Output = Result<S, E>>,
{
    let Some(service) = negotiate(&mut stdin, &mut stdout).await? else {
        return Ok(());
    };
    let version = match service {
        Service::UploadPack => READ_VERSION,
        Service::ReceivePack => 0,
    };
    let request = Request {
        service,
        name: name.to_owned(),
        version,
    }
    .encode()?;
    let stream = connect().await.map_err(HelperError::Connect)?;
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    to_server
        .write_all(&request)
        .await
        .map_err(HelperError::Connection)?;
    to_server.flush().await.map_err(HelperError::Connection)?;
    // An empty line says that the connection stands; from here on the pipes are git's.
    say(&mut stdout, "\n").await?;

    let upload = async {
        copy(
            &mut stdin,
            &mut to_server,
            HelperError::Pipe,
            HelperError::Connection,
        )
        .await?;
        to_server
            .shutdown()
            .await
            .map_err(HelperError::Connection)?;
        // Git has said its last word; the server's last word ends the session.
        std::future::pending().await
    };
    let download = copy(
        &mut from_server,
        &mut stdout,
        HelperError::Connection,
        HelperError::Pipe,
    );
    tokio::select! {
        result = download => result,
        result = upload => result,
    }
}

/// Answers git's commands until it wants a service. None: git ended the conversation.
async fn negotiate<I, O, E>(
    stdin: &mut I,
    stdout: &mut O,
) -> Result<Option<Service>, HelperError<E>>
where
    I: AsyncBufRead + Unpin,
    O: AsyncWrite + Unpin,
{
    loop {
        let mut line = String::new();
        let count = stdin
            .read_line(&mut line)
            .await
            .map_err(HelperError::Pipe)?;
        let command = line.trim_end_matches('\n');
        if count == 0 || command.is_empty() {
            return Ok(None);
        }
        match command.split_once(' ') {
            None if command == "capabilities" => say(stdout, "connect\n\n").await?,
            Some(("option", _)) => say(stdout, "unsupported\n").await?,
            Some(("connect", name)) => match Service::from_name(name) {
                Some(service) => return Ok(Some(service)),
                None => say(stdout, "fallback\n").await?,
            },
            _ => return Err(HelperError::UnexpectedCommand(command.to_owned())),
        }
    }
}

async fn say<O: AsyncWrite + Unpin, E>(stdout: &mut O, text: &str) -> Result<(), HelperError<E>> {
    stdout
        .write_all(text.as_bytes())
        .await
        .map_err(HelperError::Pipe)?;
    stdout.flush().await.map_err(HelperError::Pipe)
}

/// Copies until the source ends, so that the two ends' errors stay apart. What was read is flushed at once: the other side
/// waits for it.
async fn copy<R, W, E>(
    from: &mut R,
    to: &mut W,
    read_error: fn(std::io::Error) -> E,
    write_error: fn(std::io::Error) -> E,
) -> Result<(), E>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await.map_err(read_error)?;
        let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else {
            return Ok(());
        };
        to.write_all(data).await.map_err(write_error)?;
        to.flush().await.map_err(write_error)?;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::io::{BufReader, DuplexStream, duplex};

    use super::*;

    /// Runs the helper against a scripted git; gives what the server saw and what git saw.
    async fn run(
        git_says: &str,
        server_says: &str,
    ) -> (String, String, Result<(), HelperError<Infallible>>) {
        let (mut git, helper) = duplex(1024);
        let (server, connected) = duplex(1024);
        let (stdin, stdout) = tokio::io::split(helper);
        git.write_all(git_says.as_bytes()).await.unwrap();
        let serving = tokio::spawn(serve(server, server_says.to_owned()));
        let result = remote_helper(BufReader::new(stdin), stdout, "repo", || async {
            Ok(connected)
        })
        .await;
        let mut seen = String::new();
        git.read_to_string(&mut seen).await.unwrap();
        (serving.await.unwrap(), seen, result)
    }

    async fn serve(mut server: DuplexStream, answer: String) -> String {
        let mut request = vec![0; 64];
        let Ok(request_line) = Request::read(&mut server).await else {
            return String::new();
        };
        let count = server.read(&mut request).await.unwrap();
        server.write_all(answer.as_bytes()).await.unwrap();
        format!(
            "{} v{} {}",
            request_line.service,
            request_line.version,
            String::from_utf8_lossy(&request[..count])
        )
    }

    #[tokio::test]
    async fn connects_git_with_the_server() {
        let (server, git, result) =
            run("capabilities\nconnect git-upload-pack\n0000", "answer").await;
        result.unwrap();
        assert_eq!(server, "git-upload-pack v2 0000");
        assert_eq!(git, "connect\n\n\nanswer");
        let (server, _, result) = run("connect git-receive-pack\n0000", "").await;
        result.unwrap();
        assert_eq!(server, "git-receive-pack v0 0000");
    }

    #[tokio::test]
    async fn declines_what_it_cannot_do() {
        let (_, git, result) = run("option verbosity 1\nconnect git-upload-archive\n\n", "").await;
        result.unwrap();
        assert_eq!(git, "unsupported\nfallback\n");
        let (_, _, result) = run("list\n", "").await;
        assert!(
            matches!(result, Err(HelperError::UnexpectedCommand(command)) if command == "list")
        );
    }
}
