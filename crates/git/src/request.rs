//! The first pkt-line of a stream, and the answer when it is refused.

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What the client of a stream asks for: one service on one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which of Git's programs shall answer.
    pub service: Service,
    /// The repository's name, without the leading slash of the wire form.
    pub name: String,
    /// Protocol version the client speaks: 0, 1 or 2 (gitprotocol-v2(5)).
    pub version: u8,
}

/// Git's two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Reading: clone and fetch.
    UploadPack,
    /// Writing: push.
    ReceivePack,
}

/// Why the first bytes of a stream are no request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The stream ended or failed before the request was complete.
    #[error("the stream ended before the request was complete")]
    Incomplete(#[source] std::io::Error),
    /// The first four bytes are no length of a pkt-line, so the peer speaks something else.
    #[error("the stream does not begin with a Git request")]
    NotGit,
    /// The request is longer than any honest one.
    #[error("the request is {0} bytes long, more than the allowed {MAX_REQUEST}")]
    TooLong(usize),
    /// Neither `git-upload-pack` nor `git-receive-pack`.
    #[error("the service is none that is offered here")]
    UnknownService,
    /// The repository's name is empty or not UTF-8.
    #[error("the repository's name is empty or not UTF-8")]
    BadName,
}

/// Why a server did not serve, as told to the client in an `ERR` pkt-line.
///
/// The texts begin with fixed words, so that [`Refusal::parse`] finds the reason again on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No repository of this name is served.
    UnknownRepository {
        /// The name that was asked for.
        name: String,
    },
    /// The peer may read this repository but not write it.
    PushNotAllowed {
        /// The name that was asked for.
        name: String,
    },
    /// All of the server's slots are taken.
    TooBusy,
    /// The server has no `git` program.
    GitMissing,
    /// The stream did not begin with a request.
    BadRequest,
    /// Anything else, in the words of the server or of its `git`.
    Other(String),
}

/// Longest request accepted, in bytes, its length field included: 4 KiB holds the longest path that Linux takes (PATH_MAX), and
/// no honest name comes near it.
const MAX_REQUEST: usize = 4096;
/// Longest text put into an `ERR` line, in bytes: one screen of git's complaints.
const MAX_REFUSAL: usize = 1000;
/// The length field of a pkt-line, in bytes (gitprotocol-common(5), "pkt-line Format").
const LENGTH_FIELD: usize = 4;

impl Request {
    /// The wire form: one pkt-line.
    ///
    /// # Errors
    ///
    /// [`RequestError::BadName`] for a name with a NUL or newline, [`RequestError::TooLong`] for one that no server would take.
    pub fn encode(&self) -> Result<Vec<u8>, RequestError> {
        if self.name.is_empty() || self.name.contains(['\0', '\n']) {
            return Err(RequestError::BadName);
        }
        let mut line = format!("{} /{}\0", self.service, self.name).into_bytes();
        if self.version > 0 {
            line.extend_from_slice(format!("\0version={}\0", self.version).as_bytes());
        }
        let length = line.len().saturating_add(LENGTH_FIELD);
        if length > MAX_REQUEST {
            return Err(RequestError::TooLong(length));
        }
        Ok(pkt_line(&line))
    }

    /// Reads the request that opens a stream, and not a byte more.
    ///
    /// # Errors
    ///
    /// See [`RequestError`]. Cancelling loses the bytes read so far: the stream is of no use then.
    pub async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Self, RequestError> {
        let mut field = [0; LENGTH_FIELD];
        stream
            .read_exact(&mut field)
            .await
            .map_err(RequestError::Incomplete)?;
        let length = parse_length(field).ok_or(RequestError::NotGit)?;
        if length > MAX_REQUEST {
            return Err(RequestError::TooLong(length));
        }
        // Lengths 0 to 3 are the special packets (flush, delimiter, …), 4 an empty line: none of them can be a request.
        let payload = length
            .checked_sub(LENGTH_FIELD)
            .filter(|len| *len > 0)
            .ok_or(RequestError::NotGit)?;
        let mut line = vec![0; payload];
        stream
            .read_exact(&mut line)
            .await
            .map_err(RequestError::Incomplete)?;
        Self::parse(&line)
    }

    fn parse(line: &[u8]) -> Result<Self, RequestError> {
        let mut fields = line.split(|byte| *byte == 0);
        let command = fields.next().unwrap_or_default();
        let space = command
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or(RequestError::NotGit)?;
        let (service, path) = command.split_at(space);
        let service = match service {
            b"git-upload-pack" => Service::UploadPack,
            b"git-receive-pack" => Service::ReceivePack,
            _ => return Err(RequestError::UnknownService),
        };
        let path = std::str::from_utf8(path).map_err(|_| RequestError::BadName)?;
        // Old clients end the line with a newline (gitprotocol-pack(5)).
        let name = path.trim_start_matches(' ').trim_end_matches('\n');
        let name = name.strip_prefix('/').unwrap_or(name);
        if name.is_empty() {
            return Err(RequestError::BadName);
        }
        // Extra parameters stand behind an empty field: `…\0host=…\0\0version=2\0`.
        let extra = fields.skip_while(|field| !field.is_empty());
        let version = extra.filter_map(parse_version).next().unwrap_or(0);
        Ok(Self {
            service,
            name: name.to_owned(),
            version,
        })
    }
}

impl Service {
    /// The name on the wire, `git-upload-pack` or `git-receive-pack`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    /// The service of this name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::UploadPack, Self::ReceivePack]
            .into_iter()
            .find(|service| service.as_str() == name)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Refusal {
    /// Finds the reason in the text of an `ERR` line. Texts of other servers become [`Refusal::Other`].
    pub fn parse(text: &str) -> Self {
        let quoted = |rest: &str| rest.split('\'').nth(1).unwrap_or_default().to_owned();
        let text = text.trim();
        if let Some(rest) = text.strip_prefix(UNKNOWN_REPOSITORY) {
            Self::UnknownRepository { name: quoted(rest) }
        } else if let Some(rest) = text.strip_prefix(PUSH_NOT_ALLOWED) {
            Self::PushNotAllowed { name: quoted(rest) }
        } else if text.starts_with(TOO_BUSY) {
            Self::TooBusy
        } else if text.starts_with(GIT_MISSING) {
            Self::GitMissing
        } else if text.starts_with(BAD_REQUEST) {
            Self::BadRequest
        } else {
            Self::Other(text.to_owned())
        }
    }

    /// Sends this refusal as an `ERR` pkt-line and ends the stream's sending half.
    pub(crate) async fn send<W: AsyncWrite + Unpin>(&self, stream: &mut W) -> std::io::Result<()> {
        let mut text = format!("ERR {self}");
        let mut end = text.len().min(MAX_REFUSAL);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
        stream.write_all(&pkt_line(text.as_bytes())).await?;
        stream.flush().await?;
        stream.shutdown().await
    }
}

const UNKNOWN_REPOSITORY: &str = "unknown repository";
const PUSH_NOT_ALLOWED: &str = "push not allowed";
const TOO_BUSY: &str = "server too busy";
const GIT_MISSING: &str = "no git on the server";
const BAD_REQUEST: &str = "not a Git request";

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRepository { name } => {
                write!(
                    f,
                    "{UNKNOWN_REPOSITORY} '{name}': the server prints the names it serves when it starts"
                )
            }
            Self::PushNotAllowed { name } => {
                write!(
                    f,
                    "{PUSH_NOT_ALLOWED} to '{name}': the server has to be started with --allow-push and your identity, as gapless id shows it"
                )
            }
            Self::TooBusy => write!(f, "{TOO_BUSY}: try again later"),
            Self::GitMissing => write!(f, "{GIT_MISSING}: its operator has to install git"),
            Self::BadRequest => write!(f, "{BAD_REQUEST}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// One pkt-line. The callers' texts are bounded far below the format's 65516 bytes.
fn pkt_line(payload: &[u8]) -> Vec<u8> {
    let mut line = format!("{:04x}", payload.len().saturating_add(LENGTH_FIELD)).into_bytes();
    line.extend_from_slice(payload);
    line
}

/// The value of a length field: four hexadecimal digits, no sign, no space.
fn parse_length(field: [u8; LENGTH_FIELD]) -> Option<usize> {
    if !field.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::from_str_radix(std::str::from_utf8(&field).ok()?, 16).ok()
}

/// A version this crate hands on to git. Unknown ones are not an error: git, too, ignores them and answers as of version 0.
fn parse_version(field: &[u8]) -> Option<u8> {
    match field.strip_prefix(b"version=")? {
        b"0" => Some(0),
        b"1" => Some(1),
        b"2" => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Request, RequestError> {
        let mut rest = bytes;
        Request::read(&mut rest).await
    }

    #[tokio::test]
    async fn a_request_survives_the_wire() {
        for service in [Service::UploadPack, Service::ReceivePack] {
            for version in 0..=2 {
                for name in ["a", "team/project", "with space", "häß", "x.git"] {
                    let request = Request {
                        service,
                        name: name.to_owned(),
                        version,
                    };
                    assert_eq!(read(&request.encode().unwrap()).await.unwrap(), request);
                }
            }
        }
    }

    #[tokio::test]
    async fn reads_what_git_and_gitoxide_send() {
        // gitprotocol-pack(5) gives this line as its example, with host and version.
        let line = b"003egit-upload-pack /project.git\0host=myserver.com\0\0version=1\0";
        let request = read(line).await.unwrap();
        assert_eq!(
            request,
            Request {
                service: Service::UploadPack,
                name: "project.git".into(),
                version: 1
            }
        );
        let request = read(b"0033git-upload-pack /project.git\0host=myserver.com\0")
            .await
            .unwrap();
        assert_eq!(request.version, 0);
    }

    #[tokio::test]
    async fn the_request_is_all_that_is_read() {
        let mut bytes = Request {
            service: Service::UploadPack,
            name: "a".into(),
            version: 2,
        }
        .encode()
        .unwrap();
        bytes.extend_from_slice(b"0000");
        let mut rest = bytes.as_slice();
        Request::read(&mut rest).await.unwrap();
        assert_eq!(rest, b"0000");
    }

    #[tokio::test]
    async fn refuses_what_is_no_request() {
        assert!(matches!(read(b"").await, Err(RequestError::Incomplete(_))));
        assert!(matches!(
            read(b"00").await,
            Err(RequestError::Incomplete(_))
        ));
        assert!(matches!(
            read(b"0040git-upload-pack /a").await,
            Err(RequestError::Incomplete(_))
        ));
        assert!(matches!(
            read(b"GET / HTTP/1.1").await,
            Err(RequestError::NotGit)
        ));
        assert!(matches!(
            read(b"+010git-upload-p").await,
            Err(RequestError::NotGit)
        ));
        assert!(matches!(read(b"0000").await, Err(RequestError::NotGit)));
        assert!(matches!(read(b"0001").await, Err(RequestError::NotGit)));
        assert!(matches!(read(b"0004").await, Err(RequestError::NotGit)));
        assert!(matches!(
            read(b"ffff").await,
            Err(RequestError::TooLong(65535))
        ));
        assert!(matches!(
            read(&pkt_line(b"git-upload-pack")).await,
            Err(RequestError::NotGit)
        ));
        assert!(matches!(
            read(&pkt_line(b"git-upload-archive /a\0")).await,
            Err(RequestError::UnknownService)
        ));
        assert!(matches!(
            read(&pkt_line(b"git-upload-pack /\0")).await,
            Err(RequestError::BadName)
        ));
        assert!(matches!(
            read(&pkt_line(b"git-upload-pack /\xff\0")).await,
            Err(RequestError::BadName)
        ));
    }

    #[test]
    fn a_name_cannot_smuggle_parameters() {
        for name in ["", "a\0\0version=2", "a\nb"] {
            let request = Request {
                service: Service::UploadPack,
                name: name.into(),
                version: 2,
            };
            assert!(
                matches!(request.encode(), Err(RequestError::BadName)),
                "{name:?}"
            );
        }
        let request = Request {
            service: Service::UploadPack,
            name: "x".repeat(MAX_REQUEST),
            version: 2,
        };
        assert!(matches!(request.encode(), Err(RequestError::TooLong(_))));
    }

    #[tokio::test]
    async fn a_refusal_survives_the_wire() {
        let refusals = [
            Refusal::UnknownRepository { name: "a/b".into() },
            Refusal::PushNotAllowed { name: "a".into() },
            Refusal::TooBusy,
            Refusal::GitMissing,
            Refusal::BadRequest,
            Refusal::Other("fatal: something else".into()),
        ];
        for refusal in refusals {
            let mut wire = std::io::Cursor::new(Vec::new());
            refusal.send(&mut wire).await.unwrap();
            let wire = wire.into_inner();
            let length = parse_length(wire[..4].try_into().unwrap()).unwrap();
            assert_eq!(length, wire.len());
            let text = std::str::from_utf8(&wire[4..])
                .unwrap()
                .strip_prefix("ERR ")
                .unwrap();
            assert_eq!(Refusal::parse(text), refusal);
        }
    }

    #[tokio::test]
    async fn a_long_refusal_is_cut_between_characters() {
        let mut wire = std::io::Cursor::new(Vec::new());
        Refusal::Other("ü".repeat(MAX_REFUSAL))
            .send(&mut wire)
            .await
            .unwrap();
        let wire = wire.into_inner();
        assert!(wire.len() <= MAX_REFUSAL + LENGTH_FIELD);
        assert!(std::str::from_utf8(&wire).is_ok());
    }
}
