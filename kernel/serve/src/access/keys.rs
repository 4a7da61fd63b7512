//! API keys: `skewless_<id>_<secret>` in the header `authorization: Bearer ...`.
//!
//! Only the SHA-256 of a key is known here. A secret has 256 random bits: nobody finds it by trying, however fast a hash
//! is, so one that is slow on purpose, as for passwords, would cost milliseconds a call and protect from nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::rates::Bucket;
use crate::counters::Rpc;
use crate::refusal::{Refusal, quoted};
use crate::wire::Reason;

const PREFIX: &str = "skewless_";
const LONGEST: usize = 256;
/// A use is noted again when so much time has passed, so that threads do not fight over it.
const COARSE_US: i64 = 1_000_000;

/// A key as the host writes it.
#[derive(Debug, Deserialize)]
pub(super) struct KeyDocument {
    pub(super) id: Box<str>,
    project: Box<str>,
    /// SHA-256 of the whole key, in hexadecimal.
    hash: String,
    /// Names of the feature services that it may ask for; empty: all of the project, and single features.
    feature_services: Vec<Box<str>>,
    /// When it ends, in microseconds since 1970.
    expires_at_us: Option<i64>,
    revoked: bool,
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    project: Box<str>,
    hash: [u8; 32],
    feature_services: Vec<Box<str>>,
    expires_at_us: Option<i64>,
    revoked: bool,
    pub(super) bucket: Arc<Bucket>,
    used: Arc<Use>,
}

/// When a key was used last, and whether the host does not know it yet.
#[derive(Debug, Default)]
struct Use {
    at_us: AtomicI64,
    fresh: AtomicBool,
}

impl Key {
    /// before: the same key in the list before, which has been used.
    pub(super) fn read(document: KeyDocument, before: Option<&Self>) -> Result<Self, String> {
        let hash = from_hex(&document.hash).ok_or_else(|| {
            format!(
                "the hash of API key {} is not SHA-256 in hexadecimal",
                document.id
            )
        })?;
        Ok(Self {
            project: document.project,
            hash,
            feature_services: document.feature_services,
            expires_at_us: document.expires_at_us,
            revoked: document.revoked,
            bucket: before.map(|key| Arc::clone(&key.bucket)).unwrap_or_default(),
            used: before.map(|key| Arc::clone(&key.used)).unwrap_or_default(),
        })
    }

    /// Whether it may ask for this.
    pub(super) fn permit(&self, rpc: Rpc, project: &str, feature_service: &[u8]) -> Result<(), Refusal> {
        let forbidden = |field: &str, text: String| {
            Err(Refusal::at(
                Code::PermissionDenied,
                Reason::ApiKeyForbidden,
                field.to_owned(),
                &text,
            ))
        };
        if *self.project != *project {
            return forbidden(
                "project",
                format!(
                    "this API key is not of project {}; take one of that project",
                    quoted(project)
                ),
            );
        }
        if self.feature_services.is_empty() || rpc != Rpc::GetOnlineFeatures {
            return Ok(());
        }
        let asked = std::str::from_utf8(feature_service).unwrap_or_default();
        let name = asked.split_once('@').map_or(asked, |(name, _)| name);
        if self.feature_services.iter().any(|known| **known == *name) {
            return Ok(());
        }
        let text = if name.is_empty() {
            "this API key is for feature services, not for single features; ask for one of its services"
                .to_owned()
        } else {
            format!("this API key is not for feature service {}", quoted(name))
        };
        forbidden("feature_service", text)
    }

    pub(super) fn note_use(&self, now_us: i64) {
        if now_us - self.used.at_us.load(Ordering::Relaxed) >= COARSE_US {
            self.used.at_us.store(now_us, Ordering::Relaxed);
            self.used.fresh.store(true, Ordering::Release);
        }
    }

    pub(super) fn take_use(&self) -> Option<i64> {
        let fresh = self.used.fresh.swap(false, Ordering::Acquire);
        fresh.then(|| self.used.at_us.load(Ordering::Relaxed))
    }
}

/// The key that a call comes with. Which of several things is wrong with an unknown one is not told.
pub(super) fn authenticate<'a>(
    keys: &'a HashMap<Box<str>, Arc<Key>>,
    metadata: &MetadataMap,
    now_us: i64,
) -> Result<&'a Key, Refusal> {
    let Some(header) = metadata.get("authorization") else {
        return Err(unauthenticated(
            Reason::ApiKeyMissing,
            "an API key is needed: send it as the header `authorization: Bearer KEY`",
        ));
    };
    let unknown = || {
        unauthenticated(
            Reason::ApiKeyUnknown,
            "the API key is not known here; a new one is, some seconds after it was made",
        )
    };
    let text = header
        .to_str()
        .ok()
        .and_then(|text| text.split_at_checked(7))
        .filter(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer ") && key.len() <= LONGEST)
        .map(|(_, key)| key)
        .ok_or_else(unknown)?;
    let id = text
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('_'))
        .map_or("", |(id, _)| id);
    // Also of a key that is not there: an answer takes as long.
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let key = keys.get(id).ok_or_else(unknown)?;
    if !bool::from(key.hash.ct_eq(&hash)) {
        return Err(unknown());
    }
    if key.revoked {
        return Err(unauthenticated(
            Reason::ApiKeyRevoked,
            "the API key was revoked; make another one",
        ));
    }
    if key.expires_at_us.is_some_and(|end| end <= now_us) {
        return Err(unauthenticated(
            Reason::ApiKeyExpired,
            "the API key has expired; make another one",
        ));
    }
    Ok(key)
}

fn unauthenticated(reason: Reason, text: &str) -> Refusal {
    Refusal::new(Code::Unauthenticated, reason, text)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}
