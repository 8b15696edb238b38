//! Building the Go programs, as far as Go and the modules can be had.

use crate::child::Program;
use crate::kind::Go;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

impl Go {
    /// What is asked of `go get`. UDX2 0: f41b4e8 is go-udx as it was before version 3; 434a083 is late version 2.
    fn module(self) -> &'static str {
        match self {
            Self::V3 => "github.com/stephanfeb/go-udx@latest",
            Self::V2Late => "github.com/stephanfeb/go-udx@434a0838a728",
            Self::V2Early => "github.com/stephanfeb/go-udx@f41b4e8dc0f8",
        }
    }
}

/// Builds the program against this version of go-udx. An error says which module failed, and how.
pub(crate) fn build(go: Go, name: &str) -> Result<Program> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go-udx");
    let target = target_directory()?.join("interop").join(name);
    std::fs::create_dir_all(&target)?;
    for file in ["go.mod", "go.sum"] {
        // The module file that names a version lies beside the program: the one in the tree compiles everywhere.
        match std::fs::copy(source.join(file), target.join(file)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.with_context(|| format!("copying {file}"))?),
        }
    }
    relocate(&source, &target.join("go.mod"))?;
    let modfile = format!("-modfile={}", target.join("go.mod").display());
    let program = target.join("peer");
    run(&source, &["get", &modfile, go.module()])
        .with_context(|| format!("the module {} cannot be had", go.module()))?;
    let output = program.display().to_string();
    run(&source, &["mod", "tidy", "-e", &modfile]).context("go mod tidy")?;
    run(
        &source,
        &["build", &modfile, "-tags", "udx", "-o", &output, "."],
    )
    .with_context(|| format!("building against {}", go.module()))?;
    Ok(Program {
        path: program,
        arguments: Vec::new(),
    })
}

/// A module file elsewhere still means the directory beside the program.
fn relocate(source: &Path, modfile: &Path) -> Result<()> {
    let text = std::fs::read_to_string(modfile)?;
    let shared = source.with_file_name("go-peer");
    let text = text.replace("=> ../go-peer", &format!("=> {}", shared.display()));
    std::fs::write(modfile, text)?;
    Ok(())
}

pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("go");
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::null());
    let output = command.output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("Go is not installed: there is no program `go` on the path")
        }
        output => output.context("starting go")?,
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        bail!("{}", lines.collect::<Vec<_>>().join("; "));
    }
    Ok(())
}

/// Where this program itself was built to.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let directory = program.parent().context("a program lies in a directory")?;
    Ok(directory.to_path_buf())
}
