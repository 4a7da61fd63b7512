//! Who is let in, by what the wire carries.

use std::fmt::Write;

use prost::Message;
use sha2::{Digest, Sha256};

use super::*;
use crate::wire::online::{GetOnlineFeaturesRequest, LogPredictionRequest};

const NOW: i64 = 1_800_000_000_000_000;

fn key(id: &str) -> String {
    format!("skewless_{id}_{}", "5e".repeat(32))
}

fn hex(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn listed(
    id: &str,
    project: &str,
    services: &[&str],
    expires: Option<i64>,
    revoked: bool,
) -> serde_json::Value {
    serde_json::json!({
        "id": id, "project": project, "hash": hex(&key(id)), "feature_services": services,
        "expires_at_us": expires, "revoked": revoked,
    })
}

fn access(key_rate: u32, project_rate: u32) -> Access {
    let access = Access::new(AccessSettings {
        keys_required: true,
        key_rate,
        project_rate,
        queue_target: Duration::ZERO,
    });
    access.publish(&lists()).unwrap();
    access
}

fn lists() -> Vec<u8> {
    let document = serde_json::json!({"projects": ["shop", "bank"], "keys": [
        listed("whole", "shop", &[], None, false),
        listed("model", "shop", &["model"], Some(NOW + 1), false),
        listed("old", "shop", &[], Some(NOW), false),
        listed("revoked", "shop", &[], None, true),
        listed("bank", "bank", &[], None, false),
    ]});
    serde_json::to_vec(&document).unwrap()
}

fn with(text: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", text.parse().unwrap());
    metadata
}

fn of(id: &str) -> MetadataMap {
    with(&format!("Bearer {}", key(id)))
}

fn vector(project: &str, service: &str) -> Bytes {
    let request = GetOnlineFeaturesRequest {
        project: project.to_owned(),
        feature_service: service.to_owned(),
        min_revision: 7,
        ..Default::default()
    };
    request.encode_to_vec().into()
}

fn prediction(project: &str) -> Bytes {
    let request = LogPredictionRequest {
        request_id: "shop".to_owned(),
        project: project.to_owned(),
        scores: vec![1.0],
        ..Default::default()
    };
    request.encode_to_vec().into()
}

fn told(access: &Access, metadata: &MetadataMap, raw: &Bytes) -> Option<(Code, Reason)> {
    let admitted = access.admit(Rpc::GetOnlineFeatures, metadata, raw, NOW);
    admitted.err().map(|refusal| (refusal.code(), refusal.reason()))
}

#[test]
fn a_call_needs_a_key_that_is_known_and_holds() {
    let access = access(0, 0);
    let raw = vector("shop", "model@1.0.0");
    let refused = |reason| Some((Code::Unauthenticated, reason));
    assert_eq!(told(&access, &of("whole"), &raw), None);
    assert_eq!(told(&access, &of("model"), &raw), None);
    assert_eq!(
        told(&access, &with(&format!("bEARER {}", key("whole"))), &raw),
        None
    );
    assert_eq!(
        told(&access, &MetadataMap::new(), &raw),
        refused(Reason::ApiKeyMissing)
    );
    assert_eq!(told(&access, &of("old"), &raw), refused(Reason::ApiKeyExpired));
    assert_eq!(
        told(&access, &of("revoked"), &raw),
        refused(Reason::ApiKeyRevoked)
    );
    let whole = key("whole");
    for wrong in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        whole.clone(),
        format!("Basic {whole}"),
        format!("Bearer {}", key("nobody")),
        format!("Bearer {whole}0"),
        format!("Bearer {}", whole.replace("5e5e", "5e5f")),
        format!("Bearer {}", key("revoked").replace("5e5e", "5e5f")),
        format!("Bearer {whole}{}", "0".repeat(10_000)),
    ] {
        assert_eq!(
            told(&access, &with(&wrong), &raw),
            refused(Reason::ApiKeyUnknown),
            "{wrong}"
        );
    }
}

#[test]
fn a_key_is_for_its_project_and_its_feature_services() {
    let access = access(0, 0);
    let denied = (Code::PermissionDenied, Reason::ApiKeyForbidden);
    let forbidden = Some(denied);
    assert_eq!(told(&access, &of("bank"), &vector("bank", "")), None);
    assert_eq!(told(&access, &of("whole"), &vector("shop", "")), None);
    for (id, raw) in [
        ("bank", vector("shop", "model@1.0.0")),
        ("whole", vector("bank", "model@1.0.0")),
        ("whole", vector("", "model@1.0.0")),
        ("model", vector("shop", "")),
        ("model", vector("shop", "other@1.0.0")),
        ("model", vector("shop", "model2@1.0.0")),
        ("model", vector("bank", "model@1.0.0")),
    ] {
        assert_eq!(told(&access, &of(id), &raw), forbidden, "{id}");
    }
    // Of a field that is there twice the last one counts, as for who reads the request.
    let twice: Bytes = [vector("shop", "model@1.0.0"), vector("bank", "")]
        .concat()
        .into();
    assert_eq!(told(&access, &of("model"), &twice), forbidden);
    let refused = access
        .admit(Rpc::LogPrediction, &of("bank"), &prediction("shop"), NOW)
        .unwrap_err();
    assert_eq!((refused.code(), refused.reason()), denied);
    assert!(
        access
            .admit(Rpc::LogPrediction, &of("model"), &prediction("shop"), NOW)
            .is_ok()
    );
    assert_eq!(
        told(&access, &of("whole"), &Bytes::from_static(&[0xff])),
        Some((Code::InvalidArgument, Reason::InvalidArgument))
    );
}

#[test]
fn keys_are_revoked_while_serving_and_keep_what_they_used() {
    let access = access(1, 0);
    let raw = vector("shop", "model@1.0.0");
    assert_eq!(told(&access, &of("whole"), &raw), None);
    let limited = Some((Code::ResourceExhausted, Reason::RateLimited));
    assert_eq!(told(&access, &of("whole"), &raw), limited);
    access.publish(&lists()).unwrap();
    assert_eq!(told(&access, &of("whole"), &raw), limited);
    assert_eq!(access.drain_uses(), [("whole".to_owned(), NOW)]);
    assert_eq!(access.drain_uses(), []);
    let revoked = serde_json::json!({"projects": [], "keys": [listed("whole", "shop", &[], None, true)]});
    access.publish(&serde_json::to_vec(&revoked).unwrap()).unwrap();
    let refused = |reason| Some((Code::Unauthenticated, reason));
    assert_eq!(told(&access, &of("whole"), &raw), refused(Reason::ApiKeyRevoked));
    assert_eq!(told(&access, &of("model"), &raw), refused(Reason::ApiKeyUnknown));
    assert!(access.publish(b"{}").is_err());
    assert_eq!(told(&access, &of("whole"), &raw), refused(Reason::ApiKeyRevoked));
}

#[test]
fn nobody_is_let_in_before_the_keys_are_known() {
    let access = Access::new(AccessSettings {
        keys_required: true,
        ..AccessSettings::default()
    });
    let raw = vector("shop", "");
    assert_eq!(
        told(&access, &of("whole"), &raw),
        Some((Code::Unavailable, Reason::NotReady))
    );
}

#[test]
fn a_project_has_a_rate_of_its_own_with_and_without_keys() {
    for required in [true, false] {
        let access = Access::new(AccessSettings {
            keys_required: required,
            project_rate: 2,
            ..AccessSettings::default()
        });
        access.publish(&lists()).unwrap();
        let shop = vector("shop", "model@1.0.0");
        let ids = ["whole", "model", "whole"];
        let told: Vec<_> = ids.map(|id| told(&access, &of(id), &shop)).to_vec();
        assert_eq!(told[..2], [None, None]);
        assert_eq!(told[2], Some((Code::ResourceExhausted, Reason::RateLimited)));
        assert!(
            access
                .admit(Rpc::GetOnlineFeatures, &of("bank"), &vector("bank", ""), NOW)
                .is_ok()
        );
    }
}
