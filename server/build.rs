//! Collects the pages to embed: `web/dist` as the web build left it, or one page that says how to build them.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const PLACEHOLDER: &str = "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
<title>Minamo</title><body><h1>Minamo is running, without its pages</h1>\
<p>The pages were not built when this binary was. Build them and the binary again:</p>\
<pre>make web\ncargo build --release -p minamo</pre>\
<p>The API, signaling and HLS work all the same.</p>";

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let pages = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("pages");
    let dist = root.join("../web/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    println!("cargo:rerun-if-changed=build.rs");
    if pages.exists() {
        fs::remove_dir_all(&pages)?;
    }
    if dist.join("index.html").exists() {
        return copy(&dist, &pages);
    }
    fs::create_dir_all(&pages)?;
    for page in ["index.html", "studio.html", "watch.html"] {
        fs::write(pages.join(page), PLACEHOLDER)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
