//! Puts the files of `web/` into the page function: a table of names, types, hashes and bytes, plain and compressed.
//!
//! The files are named by one hash over all of them (`/assets/{version}/…`), so that a browser may keep them for ever
//! and never mixes two versions; `index.html`, which is always asked for, names the version.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

/// Files of `web/` that are for people who work on it.
const NOT_SERVED: [&str; 2] = ["package.json", "openapi.json"];

fn main() -> io::Result<()> {
    // Cargo runs this in the package's directory; a path of compile time would outlive a moved workspace.
    let web = Path::new("../web");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    println!("cargo::rerun-if-changed={}", web.display());
    println!("cargo::rerun-if-changed=page/build.rs");

    let mut files = BTreeMap::new();
    collect(web, "", &mut files)?;
    let mut version = Sha256::new();
    for (name, bytes) in &files {
        version.update(name.as_bytes());
        version.update(Sha256::digest(bytes));
    }
    let version = hexadecimal(&version.finalize()[..6]);

    let mut assets = String::new();
    for (name, bytes) in &files {
        if name != "index.html" {
            writeln!(assets, "    {},", asset(&out, name, bytes)?).map_err(io::Error::other)?;
        }
    }
    let index = String::from_utf8_lossy(files.get("index.html").map_or(&[][..], Vec::as_slice)).into_owned();
    let index = index.replace("\"/assets/", &format!("\"/assets/{version}/"));
    let openapi = match fs::read(web.join("openapi.json")) {
        Ok(bytes) => format!("Some({})", asset(&out, "openapi.json", &bytes)?),
        Err(_) => "None".to_owned(),
    };
    let table = format!(
        "pub const VERSION: &str = \"{version}\";\n\
         pub const INDEX: Asset = {};\n\
         pub const OPENAPI: Option<Asset> = {openapi};\n\
         pub const ASSETS: &[Asset] = &[\n{assets}];\n",
        asset(&out, "index.html", index.as_bytes())?,
    );
    fs::write(out.join("assets.rs"), table)
}

fn collect(directory: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // A build of the other functions alone does not need the page.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "node_modules" {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if !NOT_SERVED.contains(&path.as_str()) && !path.ends_with(".d.ts") {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// The asset as an expression; its bytes are files beside the table.
fn asset(out: &Path, name: &str, bytes: &[u8]) -> io::Result<String> {
    let hash = hexadecimal(&Sha256::digest(bytes)[..12]);
    let plain = out.join(format!("{hash}.plain"));
    fs::write(&plain, bytes)?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    let compressed = encoder.finish()?;
    let smaller = compressed.len() < bytes.len();
    let zipped = out.join(format!("{hash}.gz"));
    fs::write(&zipped, &compressed)?;
    let zipped = if smaller { format!("Some(include_bytes!({zipped:?}))") } else { "None".to_owned() };
    Ok(format!(
        "Asset {{ name: {name:?}, content_type: {:?}, hash: {hash:?}, bytes: include_bytes!({plain:?}), gzip: {zipped} }}",
        content_type(name)
    ))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
