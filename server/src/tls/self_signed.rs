//! A certificate of our own: browsers give no camera without HTTPS, and a phone on the same network has no other way to it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};

use super::files::Pair;
use super::{Names, TlsError};

/// Apple's systems take none that is valid for longer than 825 days, and from others than the user's own not more than 398.
const VALID: Duration = Duration::from_secs(397 * 86_400);
/// Made anew at a start when it would end so soon.
const RENEW: Duration = Duration::from_secs(30 * 86_400);
/// Clocks of clients may be behind.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// The kept one if it is for the same names and good for a while, else a new one: whoever has trusted it once need not do so again.
pub(super) fn pair(folder: &Path, names: &Names) -> Result<Pair, TlsError> {
    let pair = Pair::new(folder.join("certificate.pem"), folder.join("key.pem"));
    let about = folder.join("names.txt");
    let wanted = written(names);
    if !(fs::read_to_string(&about).is_ok_and(|kept| kept == wanted) && is_fresh(&about) && pair.load().is_ok()) {
        make(folder, names).map_err(TlsError::Own)?;
        // Last: half a pair is never taken for a kept one.
        fs::write(&about, wanted).map_err(|error| TlsError::Own(format!("{}: {error}", about.display())))?;
    }
    Ok(pair)
}

fn is_fresh(about: &Path) -> bool {
    let made = fs::metadata(about).and_then(|about| about.modified());
    made.is_ok_and(|made| SystemTime::now() < made + VALID - RENEW - BACKDATED)
}

fn written(names: &Names) -> String {
    let addresses = names.addresses.iter().map(ToString::to_string);
    names.host.iter().cloned().chain(addresses).map(|name| name + "\n").collect()
}

fn make(folder: &Path, names: &Names) -> Result<(), String> {
    let words = |error: rcgen::Error| error.to_string();
    let key = KeyPair::generate().map_err(words)?;
    let hosts: Vec<String> = names.host.iter().cloned().chain(["localhost".to_owned()]).collect();
    let mut params = CertificateParams::new(hosts).map_err(words)?;
    params.subject_alt_names.extend(names.addresses.iter().map(|address| SanType::IpAddress(*address)));
    params.distinguished_name.push(DnType::CommonName, "Minamo, made on this machine");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now - BACKDATED + VALID).into();
    let certificate = params.self_signed(&key).map_err(words)?;
    let io = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(io)?;
    let mut file = fs::OpenOptions::new();
    let file = file.create(true).truncate(true).write(true).mode(0o600).open(folder.join("key.pem"));
    file.and_then(|mut file| file.write_all(key.serialize_pem().as_bytes())).map_err(io)?;
    fs::write(folder.join("certificate.pem"), certificate.pem()).map_err(io)
}
