//! Secrets at rest.
//!
//! A secret must be there in the clear to sign with, so it is encrypted, not hashed. The key is
//! derived from the registry's own private key: whoever has only the database, a dump of it or the
//! tables of a backup, has no secret, and there is no further key to keep or to lose. Replicas that
//! share a database share that key already.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Okm, Prk, Salt},
    rand::{SecureRandom as _, SystemRandom},
};
use std::fmt;

const VERSION: &str = "v1";
const ID_BYTES: usize = 4;

/// A webhook's secret in the clear. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub fn chars(&self) -> usize {
        self.0.chars().count()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Why a sealed secret cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenSecretError {
    #[error(
        "the secret was encrypted with another registry key ({theirs}; this server has {ours}): set the secret again, or give this server the key that it was set under"
    )]
    OtherKey { theirs: String, ours: String },
    #[error("the stored secret is damaged: set it again")]
    Damaged,
}

/// Encrypts and decrypts webhooks' secrets.
pub struct SealKey {
    key: LessSafeKey,
    id: String,
    random: SystemRandom,
}

/// How many bytes to derive.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl SealKey {
    /// The key that belongs to the registry's private key.
    pub fn derive(private_key: &[u8]) -> Self {
        let prk = Salt::new(HKDF_SHA256, b"waybill").extract(private_key);
        let mut key = [0; 32];
        expand(&prk, b"webhook secrets v1", &mut key);
        let mut id = [0; ID_BYTES];
        expand(&prk, b"webhook secrets v1, id of the key", &mut id);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the algorithm's key has 32 bytes");
        Self { key: LessSafeKey::new(key), id: hex::encode(id), random: SystemRandom::new() }
    }

    /// `v1:<id of the key>:<base64>`; `webhook_id` is bound to it, so that a row's secret cannot be
    /// moved to another row.
    pub fn seal(&self, webhook_id: &str, secret: &Secret) -> String {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).expect("the system gives random bytes");
        let mut bytes = secret.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(webhook_id.as_bytes()),
                &mut bytes,
            )
            .expect("a secret is shorter than the cipher's limit of 256 GiB");
        let mut sealed = nonce.to_vec();
        sealed.append(&mut bytes);
        format!("{VERSION}:{}:{}", self.id, STANDARD_NO_PAD.encode(sealed))
    }

    pub fn open(&self, webhook_id: &str, sealed: &str) -> Result<Secret, OpenSecretError> {
        let mut parts = sealed.splitn(3, ':');
        let (Some(VERSION), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(OpenSecretError::Damaged);
        };
        if id != self.id {
            return Err(OpenSecretError::OtherKey { theirs: id.to_owned(), ours: self.id.clone() });
        }
        let damaged = OpenSecretError::Damaged;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| damaged.clone())?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or_else(|| damaged.clone())?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged.clone())?;
        let mut rest = rest.to_vec();
        let clear = self
            .key
            .open_in_place(nonce, Aad::from(webhook_id.as_bytes()), &mut rest)
            .map_err(|_| damaged.clone())?;
        String::from_utf8(clear.to_vec()).map(Secret).map_err(|_| damaged)
    }
}

fn expand(prk: &Prk, label: &[u8], out: &mut [u8]) {
    let info = [label];
    let okm: Okm<'_, Length> = prk.expand(&info, Length(out.len())).expect("few bytes are asked for");
    okm.fill(out).expect("the length that was asked for");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_opens_under_its_own_key_and_webhook_only() {
        let (key, other) = (SealKey::derive(b"one"), SealKey::derive(b"two"));
        let secret = Secret::new("grüße".to_owned());
        let sealed = key.seal("a", &secret);
        // Whole: two letters of it are in any base64 now and then.
        let bytes = STANDARD_NO_PAD.decode(sealed.rsplit(':').next().unwrap()).unwrap();
        assert!(
            !sealed.contains("grüße") && !bytes.windows(7).any(|part| part == secret.as_bytes()),
            "{sealed}"
        );
        assert_ne!(sealed, key.seal("a", &secret), "each sealing has its own nonce");
        assert_eq!(key.open("a", &sealed), Ok(secret.clone()));
        assert_eq!(SealKey::derive(b"one").open("a", &sealed), Ok(secret));
        assert_eq!(key.open("b", &sealed), Err(OpenSecretError::Damaged));
        assert!(matches!(other.open("a", &sealed), Err(OpenSecretError::OtherKey { .. })));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hush".to_owned())), "Secret(***)");
    }

    proptest! {
        #[test]
        fn any_stored_text_is_opened_or_refused(text in "\\PC{0,60}", flip in 0_usize..200) {
            let key = SealKey::derive(b"one");
            let _ = key.open("a", &text);
            let mut sealed = key.seal("a", &Secret::new("s".to_owned())).into_bytes();
            let at = flip % sealed.len();
            sealed[at] ^= 1;
            if let Ok(changed) = String::from_utf8(sealed) {
                prop_assert!(key.open("a", &changed).is_err());
            }
        }
    }
}
