use super::{BundleError, claimed_hint, open, sign};
use crate::{
    keys::{FileKey, Signer, TrustedKeys},
    media_type::IN_TOTO,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

const PAYLOAD: &[u8] = br#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"00"}}],"predicateType":"https://example.org/p","predicate":{"a": 1}}"#;

fn signed() -> (FileKey, TrustedKeys, Value) {
    let key = FileKey::generate().unwrap();
    let trusted = TrustedKeys::pinned([key.public_key().clone()]);
    let bundle = sign(&key, IN_TOTO, PAYLOAD).unwrap();
    (key, trusted, serde_json::from_slice(&bundle).unwrap())
}

fn open_json(bundle: &Value, trusted: &TrustedKeys) -> Result<super::Opened, BundleError> {
    open(&serde_json::to_vec(bundle).unwrap(), trusted)
}

#[test]
fn writes_the_specified_form() {
    let (key, trusted, bundle) = signed();
    let expected = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": key.hint() }, "tlogEntries": [] },
        "dsseEnvelope": {
            "payloadType": "application/vnd.in-toto+json",
            "payload": STANDARD.encode(PAYLOAD),
            "signatures": [{ "sig": bundle["dsseEnvelope"]["signatures"][0]["sig"], "keyid": "" }],
        },
    });
    assert_eq!(bundle, expected);
    let opened = open_json(&bundle, &trusted).unwrap();
    assert_eq!(opened.payload, PAYLOAD);
    assert_eq!(opened.signed_by_hint, key.hint());
    assert_eq!(opened.statement.predicate, json!({ "a": 1 }));
}

#[test]
fn accepts_what_other_signers_add() {
    let (key, trusted, bundle) = signed();
    let mut logged = bundle.clone();
    logged["verificationMaterial"]["tlogEntries"] = json!([{ "logIndex": "1" }]);
    logged["verificationMaterial"]["timestampVerificationData"] = json!({ "rfc3161Timestamps": [] });
    assert!(open_json(&logged, &trusted).is_ok());
    let mut without_hint = bundle;
    without_hint["verificationMaterial"]["publicKey"] = json!({});
    assert_eq!(open_json(&without_hint, &trusted).unwrap().signed_by_hint, key.hint());
    let stranger = TrustedKeys::pinned([FileKey::generate().unwrap().public_key().clone()]);
    assert!(matches!(open_json(&without_hint, &stranger), Err(BundleError::BadSignature { .. })));
}

#[test]
fn names_the_key_that_is_not_trusted() {
    let (key, _, bundle) = signed();
    let other = FileKey::generate().unwrap();
    let error = open_json(&bundle, &TrustedKeys::pinned([other.public_key().clone()])).unwrap_err();
    assert!(matches!(error, BundleError::UnknownKey { .. }));
    let text = error.to_string();
    assert!(text.contains(key.hint()) && text.contains(other.hint()), "{text}");
    let text = open_json(&bundle, &TrustedKeys::pinned([])).unwrap_err().to_string();
    assert!(text.ends_with("trusted: none"), "{text}");
    assert_eq!(claimed_hint(&serde_json::to_vec(&bundle).unwrap()).unwrap(), key.hint());
}

#[test]
fn refuses_every_other_form() {
    let (_, trusted, bundle) = signed();
    let signature = bundle["dsseEnvelope"]["signatures"][0].clone();
    let replacements: Vec<(&str, Value)> = vec![
        ("/mediaType", json!("application/vnd.dev.sigstore.bundle.v0.2+json")),
        ("/dsseEnvelope/payloadType", json!("application/json")),
        ("/dsseEnvelope/payload", json!(STANDARD.encode(b"{}"))),
        ("/dsseEnvelope/payload", json!("not base64!")),
        ("/dsseEnvelope/payload", json!(STANDARD.encode(PAYLOAD).trim_end_matches('='))),
        ("/dsseEnvelope/signatures", json!([])),
        ("/dsseEnvelope/signatures", json!([signature, signature])),
        ("/dsseEnvelope/signatures/0/sig", json!("")),
        ("/dsseEnvelope/signatures/0/sig", json!(STANDARD.encode([0_u8; 64]))),
        ("/verificationMaterial", json!({ "tlogEntries": [] })),
        ("/verificationMaterial", json!({ "publicKey": { "hint": "" } })),
        ("/verificationMaterial", json!({ "certificate": {}, "tlogEntries": [] })),
        ("/verificationMaterial/publicKey/hint", json!("00")),
    ];
    for (pointer, value) in replacements {
        let mut changed = bundle.clone();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        assert!(open_json(&changed, &trusted).is_err(), "{pointer} {value}");
    }
    let mut unknown_field = bundle.clone();
    unknown_field["more"] = json!(1);
    assert!(matches!(open_json(&unknown_field, &trusted), Err(BundleError::Json(_))));
    let keyless = json!({ "certificate": {}, "tlogEntries": [] });
    let mut certificate = bundle;
    certificate["verificationMaterial"] = keyless;
    assert!(matches!(open_json(&certificate, &trusted), Err(BundleError::Certificate)));
}

#[test]
fn refuses_signed_bytes_that_are_no_statement() {
    let key = FileKey::generate().unwrap();
    let trusted = TrustedKeys::pinned([key.public_key().clone()]);
    for payload in [&b"hello"[..], b"{}", &[0xff], &PAYLOAD.to_ascii_uppercase()] {
        let bundle = sign(&key, IN_TOTO, payload).unwrap();
        assert!(matches!(open(&bundle, &trusted), Err(BundleError::Statement(_))));
    }
    let old = String::from_utf8(PAYLOAD.to_vec()).unwrap().replace("Statement/v1", "Statement/v0.1");
    let bundle = sign(&key, IN_TOTO, old.as_bytes()).unwrap();
    assert!(matches!(open(&bundle, &trusted), Err(BundleError::Field { field: "payload._type", .. })));
    assert!(matches!(
        open(&vec![b' '; super::MAX_BUNDLE_BYTES + 1], &trusted),
        Err(BundleError::TooLarge(_))
    ));
}

proptest! {
    #[test]
    fn opening_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let key = FileKey::generate().unwrap();
        prop_assert!(open(&bytes, &TrustedKeys::pinned([key.public_key().clone()])).is_err());
    }

    /// Whatever single byte changes, either nothing that was signed changes or it is refused.
    #[test]
    fn a_damaged_bundle_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (_, trusted, bundle) = signed();
        let mut bytes = serde_json::to_vec(&bundle).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(opened) = open(&bytes, &trusted) {
            prop_assert_eq!(opened.payload, PAYLOAD);
        }
    }
}
