//! The configurations of the published model, Qwen-Image-Edit-2511.

use std::{fs, io, path::Path};

/// Where each lies in a checkpoint, and what it says.
const FILES: [(&str, &str); 5] = [
    (
        "processor/preprocessor_config.json",
        include_str!("published/processor/preprocessor_config.json"),
    ),
    (
        "scheduler/scheduler_config.json",
        include_str!("published/scheduler/scheduler_config.json"),
    ),
    (
        "text_encoder/config.json",
        include_str!("published/text_encoder/config.json"),
    ),
    (
        "transformer/config.json",
        include_str!("published/transformer/config.json"),
    ),
    ("vae/config.json", include_str!("published/vae/config.json")),
];

/// Puts the configurations in a folder, where they lie in a checkpoint.
///
/// # Errors
///
/// Those of the folder.
pub fn write_published(folder: &Path) -> io::Result<()> {
    for (name, text) in FILES {
        let path = folder.join(name);
        let above = path.parent().expect("BUG: a file is in a folder");
        fs::create_dir_all(above)?;
        fs::write(&path, text)?;
    }
    Ok(())
}
