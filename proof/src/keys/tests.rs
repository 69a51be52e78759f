use super::{FileKey, InvalidKey, KeyError, KeyRole, PublicKey, Signer, Trust, TrustedKeys};
use crate::Digest;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Real keys come from OpenSSL, which every machine that builds this has.
fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn makes_a_private_file_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys/registry.pem");
    let made = FileKey::load_or_generate(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(FileKey::load_or_generate(&path).unwrap().hint(), made.hint());
    let names: Vec<_> =
        fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["registry.pem"]);
}

#[test]
fn many_at_once_get_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let hints: Vec<String> = std::thread::scope(|scope| {
        let load = || FileKey::load_or_generate(&path).unwrap().hint().to_owned();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(hints.iter().all(|hint| *hint == hints[0]), "{hints:?}");
}

#[test]
fn refuses_a_key_that_others_can_read_and_says_how_to_mend_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    FileKey::load_or_generate(&path).unwrap();
    for loose in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
        let error = FileKey::load_or_generate(&path).unwrap_err();
        assert!(matches!(error, KeyError::LooseMode { mode, .. } if mode == loose));
        let text = error.to_string();
        assert!(
            text.contains(&format!("chmod 600 {}", path.display())) && text.contains(&format!("{loose:04o}")),
            "{text}"
        );
    }
}

#[test]
fn names_a_damaged_file_and_what_was_expected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let good = FileKey::generate().unwrap().private_key_pem().unwrap().to_string();
    let damaged = [
        String::new(),
        "hello".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replacen("MIG", "MIF", 1),
        openssl(&["genpkey", "-algorithm", "ed25519"], ""),
        openssl(&["ecparam", "-name", "secp384r1", "-genkey", "-noout"], ""),
    ];
    for text in damaged {
        write(&path, &text, 0o600);
        let error = FileKey::load_or_generate(&path).unwrap_err();
        assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("P-256"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "a damaged key is never replaced");
    }
    let not_text = path.with_file_name("raw.pem");
    fs::write(&not_text, [0xff; 64]).unwrap();
    fs::set_permissions(&not_text, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(FileKey::load(&not_text), Err(KeyError::Damaged { .. })));
    assert!(matches!(
        FileKey::load_or_generate(directory.path()),
        Err(KeyError::Io { .. } | KeyError::LooseMode { .. })
    ));
}

#[test]
fn reads_the_forms_that_openssl_writes() {
    let with_parameters = openssl(&["ecparam", "-name", "prime256v1", "-genkey"], "");
    assert!(with_parameters.contains("BEGIN EC PARAMETERS"));
    let pkcs8 = openssl(&["pkcs8", "-topk8", "-nocrypt"], &with_parameters);
    assert!(pkcs8.contains("BEGIN PRIVATE KEY"));
    let public = openssl(&["pkey", "-pubout"], &pkcs8);
    let windows = pkcs8.replace('\n', "\r\n");
    for private in [&with_parameters, &pkcs8, &windows] {
        let key = FileKey::from_pem(private).unwrap();
        assert_eq!(key.public_key_pem(), public);
        assert_eq!(key.hint(), Digest::of(public.as_bytes()).hex());
        assert_eq!(key.public_key(), &PublicKey::from_pem(&public).unwrap());
    }
    let encrypted = openssl(&["pkcs8", "-topk8", "-passout", "pass:x"], &pkcs8);
    assert_eq!(FileKey::from_pem(&encrypted).unwrap_err(), InvalidKey::Encrypted);
    let encrypted = openssl(&["ec", "-aes128", "-passout", "pass:x"], &with_parameters);
    assert_eq!(FileKey::from_pem(&encrypted).unwrap_err(), InvalidKey::Encrypted);
}

#[test]
fn openssl_accepts_a_signature() {
    let directory = tempfile::tempdir().unwrap();
    let key = FileKey::generate().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("public.pem"), key.public_key_pem()).unwrap();
    fs::write(path("data"), "content").unwrap();
    fs::write(path("signature"), key.sign_digest(*Digest::of(b"content").as_bytes()).unwrap()).unwrap();
    let arguments =
        ["dgst", "-sha256", "-verify", &path("public.pem"), "-signature", &path("signature"), &path("data")];
    assert_eq!(openssl(&arguments, "").trim(), "Verified OK");
}

#[test]
fn verifies_only_its_own_signatures() {
    let (key, other) = (FileKey::generate().unwrap(), FileKey::generate().unwrap());
    let digest = Digest::of(b"content");
    let signature = key.sign_digest(*digest.as_bytes()).unwrap();
    assert!(key.public_key().verifies(&digest, &signature));
    assert!(!other.public_key().verifies(&digest, &signature));
    assert!(!key.public_key().verifies(&Digest::of(b"other"), &signature));
    assert!(!key.public_key().verifies(&digest, &[]));
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        assert!(!key.public_key().verifies(&digest, &changed), "byte {at}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let key = FileKey::generate().unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains(key.hint()) && shown.len() < 120, "{shown}");
}

#[test]
fn roles_narrow_a_set() {
    let keys: Vec<PublicKey> = (0..3).map(|_| FileKey::generate().unwrap().public_key().clone()).collect();
    let mut trusted = TrustedKeys::pinned([keys[0].clone()]);
    trusted.insert_for(keys[1].clone(), KeyRole::Registry);
    trusted.insert_for(keys[2].clone(), KeyRole::Deployer);
    let has =
        |trusted: &TrustedKeys| keys.iter().map(|key| trusted.get(key.hint()).is_some()).collect::<Vec<_>>();
    assert_eq!(has(&trusted), [true, true, true]);
    assert_eq!(has(&trusted.for_role(KeyRole::Registry)), [true, true, false]);
    assert_eq!(has(&trusted.for_role(KeyRole::Deployer)), [true, false, true]);
    trusted.insert_for(keys[1].clone(), KeyRole::Deployer);
    trusted.insert_for(keys[0].clone(), KeyRole::Deployer);
    assert_eq!(has(&trusted.for_role(KeyRole::Registry)), [true, true, false]);
    assert_eq!(has(&trusted.for_role(KeyRole::Deployer)), [true, true, true]);
    assert_eq!(trusted.trust(), Trust::Pinned);
    assert_eq!(TrustedKeys::from_registry([]).for_role(KeyRole::Registry).trust(), Trust::FromRegistry);
}
