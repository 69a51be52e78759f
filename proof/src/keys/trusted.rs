//! The keys that a verifier believes, and why.

use super::PublicKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// Versions: model signatures, registration statements, provenance.
    Registry,
    /// Lockfiles.
    Deployer,
}

/// What the verdict of a verification rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The verifier had the keys from its own configuration: proves origin.
    Pinned,
    /// The registry under test supplied the keys: proves integrity only.
    FromRegistry,
}

/// A set of trusted keys by hint.
#[derive(Debug, Clone)]
pub struct TrustedKeys {
    trust: Trust,
    keys: BTreeMap<String, (PublicKey, Option<KeyRole>)>,
}

impl TrustedKeys {
    /// Keys from the verifier's own configuration, trusted for every role.
    pub fn pinned(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self::collect(Trust::Pinned, keys)
    }

    /// Keys that the registry under test handed out, trusted for every role.
    pub fn from_registry(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self::collect(Trust::FromRegistry, keys)
    }

    fn collect(trust: Trust, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let mut set = Self { trust, keys: BTreeMap::new() };
        keys.into_iter().for_each(|key| set.insert(key));
        set
    }

    /// Trusts `key` for every role.
    pub fn insert(&mut self, key: PublicKey) {
        self.keys.insert(key.hint().to_owned(), (key, None));
    }

    /// Trusts `key` for `role` only; a key that is already there for another role is then
    /// trusted for both.
    pub fn insert_for(&mut self, key: PublicKey, role: KeyRole) {
        let role = match self.keys.get(key.hint()) {
            Some((_, known)) if *known != Some(role) => None,
            _ => Some(role),
        };
        self.keys.insert(key.hint().to_owned(), (key, role));
    }

    /// The keys that may sign as `role`.
    #[must_use]
    pub fn for_role(&self, role: KeyRole) -> Self {
        let keys = self.keys.iter().filter(|(_, (_, of))| of.is_none_or(|of| of == role));
        Self { trust: self.trust, keys: keys.map(|(hint, entry)| (hint.clone(), entry.clone())).collect() }
    }

    pub fn trust(&self) -> Trust {
        self.trust
    }

    pub fn get(&self, hint: &str) -> Option<&PublicKey> {
        self.keys.get(hint).map(|(key, _)| key)
    }

    /// The keys, ordered by hint.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values().map(|(key, _)| key)
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
