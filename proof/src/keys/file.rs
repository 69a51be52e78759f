//! A signing key in a PEM file.

use super::{InvalidKey, KeyError, PublicKey, SignError, Signer, pem_block};
use p256::{
    SecretKey,
    ecdsa::{DerSignature, SigningKey, signature::hazmat::PrehashSigner},
    elliptic_curve::{Generate, zeroize::Zeroizing},
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use std::{
    fmt,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const EXPECTED: &str = "a P-256 private key as `-----BEGIN PRIVATE KEY-----` (PKCS#8) or `-----BEGIN EC PRIVATE KEY-----` (SEC1)";
/// A P-256 key in PEM has some 240 bytes; parameters and comments may stand around it.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A P-256 key held in memory, read from or kept in a file.
pub struct FileKey {
    key: SigningKey,
    secret: SecretKey,
    public: PublicKey,
}

impl FileKey {
    /// Makes a key from the operating system's randomness.
    pub fn generate() -> Result<Self, InvalidKey> {
        Self::new(SecretKey::generate())
    }

    /// Reads an unencrypted PKCS#8 or SEC1 PEM key.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let content = |label: &str, reason: String| InvalidKey::Content {
            label: label.to_owned(),
            reason,
            expected: EXPECTED,
        };
        if let Some(block) = pem_block(text, "PRIVATE KEY") {
            let block = Zeroizing::new(block);
            let secret =
                SecretKey::from_pkcs8_pem(&block).map_err(|e| content("PRIVATE KEY", e.to_string()))?;
            return Self::new(secret);
        }
        if let Some(block) = pem_block(text, "EC PRIVATE KEY") {
            let block = Zeroizing::new(block);
            if block.contains("Proc-Type: 4,ENCRYPTED") {
                return Err(InvalidKey::Encrypted);
            }
            let secret =
                SecretKey::from_sec1_pem(&block).map_err(|e| content("EC PRIVATE KEY", e.to_string()))?;
            return Self::new(secret);
        }
        if text.contains("ENCRYPTED") && text.contains("PRIVATE KEY-----") {
            return Err(InvalidKey::Encrypted);
        }
        Err(InvalidKey::NoPem { expected: EXPECTED })
    }

    /// Reads the key at `path`. Refuses a file that others may read or write.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        // The opened file is what is asked, so that it cannot be exchanged in between.
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(io(io::Error::other("it is not a regular file")));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(KeyError::LooseMode { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(io)?;
        // What is not UTF-8 is no PEM, and is reported as such.
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Self::from_pem(text).map_err(|source| KeyError::Damaged { path: path.to_owned(), source })
    }

    /// Reads the key at `path`, or makes one there with mode 0600, durably, when nothing is there.
    /// Of several processes that do this at once, all get the same key.
    pub fn load_or_generate(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let key = Self::generate()?;
        match key.create(path) {
            Ok(()) => Ok(key),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(KeyError::Io { action: "create", path: path.to_owned(), source }),
        }
    }

    /// Unencrypted PKCS#8 PEM of the private key; wiped from memory when dropped.
    pub fn private_key_pem(&self) -> Result<Zeroizing<String>, InvalidKey> {
        self.secret.to_pkcs8_pem(LineEnding::LF).map_err(|error| InvalidKey::Content {
            label: "PRIVATE KEY".to_owned(),
            reason: error.to_string(),
            expected: EXPECTED,
        })
    }

    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn new(secret: SecretKey) -> Result<Self, InvalidKey> {
        let key = SigningKey::from(&secret);
        let public = PublicKey::new(*key.verifying_key()).map_err(|error| InvalidKey::Content {
            label: "PRIVATE KEY".to_owned(),
            reason: error.to_string(),
            expected: EXPECTED,
        })?;
        Ok(Self { key, secret, public })
    }

    /// Writes beside `path` and links into place: the name appears whole, once, or not at all.
    fn create(&self, path: &Path) -> io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let draft = draft_path(path, self.public.hint());
        let written = write_private(&draft, self.private_key_pem().map_err(io::Error::other)?.as_bytes())
            .and_then(|()| std::fs::hard_link(&draft, path));
        let removed = std::fs::remove_file(&draft);
        written?;
        removed?;
        // The directory may be new itself: a key that is lost with it could not be made again.
        for changed in directory.ancestors().take(2).filter(|path| !path.as_os_str().is_empty()) {
            File::open(changed)?.sync_all()?;
        }
        Ok(())
    }
}

fn draft_path(path: &Path, hint: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", &hint[..16]));
    path.with_file_name(name)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl Signer for FileKey {
    fn sign_digest(&self, digest: [u8; 32]) -> Result<Vec<u8>, SignError> {
        let signature: DerSignature = self
            .key
            .sign_prehash(&digest)
            .map_err(|error| SignError { hint: self.hint().to_owned(), reason: error.to_string() })?;
        Ok(signature.as_bytes().to_vec())
    }

    fn public_key_pem(&self) -> &str {
        self.public.pem()
    }

    fn hint(&self) -> &str {
        self.public.hint()
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey").field("public", &self.public).finish_non_exhaustive()
    }
}
