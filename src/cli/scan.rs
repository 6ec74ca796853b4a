//! `countersign scan`: finds secrets of ours that lie in files where they should not.
//!
//! Must never be done here: printing more of a secret than its beginning.

mod search;

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::Failure;
use search::Hit;

/// The longest file that is searched when it is not text, in bytes.
const BINARY_BYTES_MAX: u64 = 8 << 20;
/// Of a file, so much says whether it is text.
const HEAD_BYTES: u64 = 8192;
/// After so many places it is known that something is wrong.
const HITS_MAX: usize = 10_000;

/// Where to look.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folder or file to search; links are not followed, nor other file systems entered
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// What a search came to.
#[derive(Default)]
struct Findings {
    hits: Vec<(PathBuf, Hit)>,
    files: u64,
    unread: Vec<(PathBuf, io::Error)>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = fs::metadata(&arguments.dir)
        .map_err(|e| Failure::failed(format_args!("{}: {e}", arguments.dir.display())))?;
    let found = walk(&arguments.dir, &root);
    for (path, e) in &found.unread {
        eprintln!("countersign: {}: not searched: {e}", path.display());
    }
    if arguments.json {
        print_json(&found)?;
    } else {
        print_lines(&found)?;
    }
    if found.hits.is_empty() && found.unread.is_empty() { Ok(()) } else { Err(Failure::told()) }
}

/// Searches every plain file of a folder and those in it.
fn walk(root: &Path, metadata: &Metadata) -> Findings {
    let mut findings = Findings::default();
    let progress = progress();
    let mut ahead = vec![root.to_owned()];
    while let Some(path) = ahead.pop() {
        let most = HITS_MAX.saturating_sub(findings.hits.len());
        if most == 0 {
            break;
        }
        progress.set_message(path.display().to_string());
        match look(&path, path == root, metadata.dev(), most) {
            Ok(Found::Folder(mut inside)) => ahead.append(&mut inside),
            Ok(Found::File(hits)) => {
                findings.files += 1;
                progress.inc(1);
                findings.hits.extend(hits.into_iter().map(|hit| (path.clone(), hit)));
            }
            Ok(Found::Other) => {}
            // It went while the folder was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => findings.unread.push((path, e)),
        }
    }
    progress.finish_and_clear();
    findings
}

enum Found {
    /// What is in it, the first last.
    Folder(Vec<PathBuf>),
    File(Vec<Hit>),
    /// A link, a device, another file system, a long binary.
    Other,
}

fn look(path: &Path, is_root: bool, device: u64, most: usize) -> io::Result<Found> {
    let metadata = if is_root { fs::metadata(path) } else { fs::symlink_metadata(path) }?;
    if metadata.dev() != device {
        return Ok(Found::Other);
    }
    if metadata.is_dir() {
        let inside = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
        let mut inside = inside.collect::<io::Result<Vec<_>>>()?;
        inside.sort_unstable_by(|a, b| b.cmp(a));
        return Ok(Found::Folder(inside));
    }
    if !metadata.is_file() {
        return Ok(Found::Other);
    }
    let mut file = File::open(path)?;
    if metadata.len() > BINARY_BYTES_MAX {
        let mut head = Vec::new();
        (&file).take(HEAD_BYTES).read_to_end(&mut head)?;
        if head.contains(&0) {
            return Ok(Found::Other);
        }
        file.rewind()?;
    }
    Ok(Found::File(search::search(file, most)?))
}

/// On standard error, where that is a terminal.
fn progress() -> ProgressBar {
    let progress = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} files  {wide_msg}") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}

fn print_lines(found: &Findings) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for (path, Hit { line, column, leak, begins }) in &found.hits {
        let kind = leak.describe();
        writeln!(out, "{}:{line}:{column}: {kind}, {begins}…", path.display())?;
    }
    let (hits, files) = (found.hits.len(), found.files);
    match hits {
        0 => writeln!(out, "Nothing found in {files} files.")?,
        HITS_MAX.. => writeln!(out, "{hits} found, and there may be more; not all was searched.")?,
        _ => {
            writeln!(out, "{hits} found in {files} files. Rotate each: it is no secret any more.")?;
        }
    }
    Ok(())
}

fn print_json(found: &Findings) -> Result<(), Failure> {
    let hits: Vec<_> = found
        .hits
        .iter()
        .map(|(path, hit)| {
            json!({
                "file": path.to_string_lossy(),
                "line": hit.line,
                "column": hit.column,
                "kind": hit.leak.describe(),
                "begins": hit.begins,
            })
        })
        .collect();
    let unread: Vec<_> = found.unread.iter().map(|(path, _)| path.to_string_lossy()).collect();
    let all = json!({ "found": hits, "files": found.files, "not_searched": unread });
    writeln!(io::stdout(), "{all:#}")?;
    Ok(())
}
