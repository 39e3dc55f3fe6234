//! `tryon completions` and `tryon man`: the commands as shells and `man` know them.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder that the pages are written to, such as `/usr/local/share/man/man1`
    folder: PathBuf,
}

/// Prints what has a shell complete these commands.
pub(crate) fn complete(args: &CompletionsArgs, mut command: Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "tryon", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
}

/// Writes a page for each command.
pub(crate) fn write_pages(args: &ManArgs, command: Command) -> Result<(), Failure> {
    let folder = &args.folder;
    let written =
        std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| {
        let what = format!("the pages cannot be written to `{}`", folder.display());
        Failure::from_error(&what, &error).hint("name a folder that you may write to")
    })
}
