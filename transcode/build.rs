//! Without nasm openh264's build goes on in silence and its encoder becomes three times slower; here that is an error.

use std::process::{Command, Stdio};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=NASM");
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if arch != "x86" && arch != "x86_64" {
        return; // only the x86 assembly is written for nasm
    }
    let nasm = std::env::var("NASM").unwrap_or_else(|_| "nasm".to_owned());
    let found =
        Command::new(&nasm).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        println!(
            "cargo:error=nasm is not installed: openh264 would be built without its assembly and be three times slower. \
             Install it (Debian: apt install nasm), then `cargo clean -p openh264-sys2` and build again."
        );
        std::process::exit(1);
    }
}
