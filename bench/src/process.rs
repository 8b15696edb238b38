//! Processes of this program that are told what to do, and tell, line by line.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A process from outside; it ends with this value.
pub(crate) struct Process {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// This program once more, kept to one core where there is another for the other side.
    pub(crate) fn start(core: usize, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        if std::thread::available_parallelism()?.get() > 1 {
            command.args(["--core", &core.to_string()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = child.stdout.take().context("no output")?;
        Ok(Process {
            _child: child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    pub(crate) async fn tell(&mut self, command: &str) -> Result<()> {
        let line = format!("{command}\n");
        Ok(self.input.write_all(line.as_bytes()).await?)
    }

    /// What follows `word` in the next line, which must begin so.
    pub(crate) async fn line(&mut self, word: &str) -> Result<String> {
        let line = self.output.next_line().await?;
        let line = line.with_context(|| format!("ended before {word:?}"))?;
        match line.strip_prefix(word) {
            Some(rest) => Ok(rest.trim_start().to_owned()),
            None => bail!("said {line:?} instead of {word:?}"),
        }
    }

    pub(crate) async fn report<T: DeserializeOwned>(&mut self, word: &str) -> Result<T> {
        Ok(serde_json::from_str(&self.line(word).await?)?)
    }
}

/// What the process that started this one tells it.
pub(crate) struct Commands {
    lines: Lines<BufReader<Stdin>>,
}

impl Commands {
    pub(crate) fn new() -> Self {
        Commands {
            lines: BufReader::new(tokio::io::stdin()).lines(),
        }
    }

    pub(crate) async fn expect(&mut self, command: &str) -> Result<()> {
        match self.lines.next_line().await? {
            Some(line) if line == command => Ok(()),
            other => bail!("expected {command:?}, not {other:?}"),
        }
    }
}
