//! What the samples seal is opened by PHP, as a service would that was written with PayKun's kit.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::language::Language;
use crate::sending::bodies;

const SECRET: &str = "6B3C9E0F4D1A7C25E8B90A1F3D5C7E92";

/// MAC first, then the cipher, then PHP's own reading of the value.
const OPEN: &str = r#"
$secret = getenv('COUNTERSIGN_SECRET');
$box = json_decode(base64_decode(stream_get_contents(STDIN), true), true);
if (array_keys($box) !== ['iv', 'value', 'mac']) exit(3);
$mac = hash_hmac('sha256', $box['iv'] . $box['value'], $secret);
if (!hash_equals($mac, $box['mac'])) exit(4);
$iv = base64_decode($box['iv'], true);
$text = openssl_decrypt($box['value'], 'aes-256-cbc', $secret, 0, $iv);
if ($text === false) exit(5);
$body = unserialize($text, ['allowed_classes' => false]);
if (!is_string($body) || serialize($body) !== $text) exit(6);
echo $body;
"#;

pub(crate) fn all_of(language: &Language) {
    let folder = tempfile::tempdir().unwrap();
    for (name, body) in bodies() {
        let file = folder.path().join(name);
        fs::write(&file, &body).unwrap();
        let case = format!("{} {name}", language.name);
        let sealed = sealed(language, &file, &case);
        assert!(opened(&sealed) == Ok(body), "{case}: another body");
        let mut other = sealed.clone();
        let middle = other.len() / 2;
        other[middle] = if other[middle] == b'A' { b'B' } else { b'A' };
        assert!(opened(&other).is_err(), "{case}: changed");
    }
    let file = folder.path().join("letters");
    let [first, second] = [(); 2].map(|()| sealed(language, &file, language.name));
    assert_ne!(first, second, "{}: one iv for two bodies", language.name);
    let short = language.seals(&file, &SECRET[1..]);
    let said = String::from_utf8_lossy(&short.stderr);
    assert!(!short.status.success() && short.stdout.is_empty(), "{}: 31 bytes", language.name);
    assert!(said.contains("the secret must have 32 bytes"), "{}: {said}", language.name);
}

fn sealed(language: &Language, file: &Path, case: &str) -> Vec<u8> {
    let output = language.seals(file, SECRET);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {said}");
    output.stdout
}

/// The body inside, or the status with which PHP refused it.
fn opened(sealed: &[u8]) -> Result<Vec<u8>, Option<i32>> {
    let mut command = Command::new("php");
    command.args(["-r", OPEN]).env("COUNTERSIGN_SECRET", SECRET).stdin(Stdio::piped());
    let mut php = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|fault| panic!("php: {fault}; install it: apt-get install php-cli"));
    php.stdin.take().unwrap().write_all(sealed).unwrap();
    let output = php.wait_with_output().unwrap();
    if output.status.success() { Ok(output.stdout) } else { Err(output.status.code()) }
}

/// The opener itself, by a text that another program sealed.
#[test]
fn the_opener_opens_what_another_program_sealed() {
    let sealed = concat!(
        "eyJpdiI6IitcL1wvXC9cL3hZRm1BTTFHY1FMV2o0U2h3PT0iLCJ2YWx1ZSI6IlJmaEtcLzB1YUozMXZ2WnEraitO",
        "SEpkWlwvdkkxdGNPbWJoYkQyRm5HRm5XN3ZCMkNEcTNvN3pPVFgram4ydFJwZjdrQUVybmdmbjRzc29PaFV2Nk9E",
        "VFFQVnBlQ2JpUWtOMkpSUm9CbHJsQkhMelQzNDUyTUtRV3ljc3Bsc1RvTDBiZG5ZREROMFdXRzFFblwvSlNNVWdZ",
        "M2ZOeHFiVWNSRVwvXC9LZStqUW1Ebm5SYlwvOUVGajdsY29lalwvazZiSjN2cGFlUkZKMG5DNVA2dTVUZ2o3c09L",
        "MDRHT2sySllicDdXdXU2dVVMUmdseWI0PSIsIm1hYyI6IjUwNzZjMDZkMGJlODhmMDEyODUxNDZiOGNhZmZjM2Yy",
        "ZGY3MWVlN2I1ZWNmMDUwMTljMTc3ZDM0ODdjZDYzZDIifQ=="
    );
    let plain = "amount::10.00;currency::INR;customer_name::Zoë Ñúñez;\
                 failure_url::https://shop.example/f;order_no::ORD1001;product_name::Tea;\
                 success_url::https://shop.example/s";
    assert_eq!(opened(sealed.as_bytes()), Ok(plain.as_bytes().to_vec()));
}
