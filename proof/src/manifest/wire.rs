//! JSON of the manifest and of its config blob.

use super::{LayerKind, ManifestError, ModelFile};
use crate::{Digest, json, media_type};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireManifest {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Layer>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Layer {
    media_type: String,
    digest: Digest,
    size: u64,
    annotations: Annotations,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotations {
    /// Layer annotation key of the CNCF ModelPack model-spec.
    #[serde(rename = "org.cncf.model.filepath")]
    file_path: String,
}

#[derive(Serialize)]
struct WireConfig {
    descriptor: Empty,
    config: Empty,
    modelfs: ModelFs,
}

/// Written `{}`: name, number and time would make equal files unequal.
#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelFs {
    r#type: &'static str,
    diff_ids: Vec<Digest>,
}

/// Config blob of `files`.
pub(super) fn config(files: &[ModelFile]) -> Result<Vec<u8>, ManifestError> {
    let diff_ids = files.iter().map(|file| file.digest).collect();
    let config = WireConfig {
        descriptor: Empty {},
        config: Empty {},
        modelfs: ModelFs { r#type: "layers", diff_ids },
    };
    Ok(json::canonical(&config)?)
}

/// Manifest of `files`, whose layers are `kinds`.
pub(super) fn manifest(
    files: &[ModelFile],
    kinds: &[LayerKind],
    config: &[u8],
) -> Result<Vec<u8>, ManifestError> {
    let layer = |(file, kind): (&ModelFile, &LayerKind)| Layer {
        media_type: kind.media_type().to_owned(),
        digest: file.digest,
        size: file.size_bytes,
        annotations: Annotations { file_path: file.path.clone() },
    };
    Ok(json::canonical(&WireManifest {
        schema_version: 2,
        media_type: media_type::MANIFEST.to_owned(),
        artifact_type: media_type::MODEL_MANIFEST.to_owned(),
        config: Descriptor {
            media_type: media_type::MODEL_CONFIG.to_owned(),
            digest: Digest::of(config),
            size: config.len() as u64,
        },
        layers: files.iter().zip(kinds).map(layer).collect(),
    })?)
}

/// Files and kinds of a manifest, in the order in which it lists them.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<ModelFile>, Vec<LayerKind>), ManifestError> {
    let wire: WireManifest = serde_json::from_slice(bytes)?;
    expect("mediaType", &wire.media_type, media_type::MANIFEST)?;
    expect("artifactType", &wire.artifact_type, media_type::MODEL_MANIFEST)?;
    expect("config.mediaType", &wire.config.media_type, media_type::MODEL_CONFIG)?;
    let mut files = Vec::with_capacity(wire.layers.len());
    let mut kinds = Vec::with_capacity(wire.layers.len());
    for layer in wire.layers {
        kinds.push(LayerKind::from_media_type(&layer.media_type).ok_or(ManifestError::Field {
            field: "layers[].mediaType",
            value: layer.media_type,
            expected: "application/vnd.cncf.model.{weight,weight.config,doc,code,dataset}.v1.raw",
        })?);
        files.push(ModelFile {
            path: layer.annotations.file_path,
            digest: layer.digest,
            size_bytes: layer.size,
        });
    }
    Ok((files, kinds))
}

fn expect(field: &'static str, value: &str, expected: &'static str) -> Result<(), ManifestError> {
    if value == expected {
        return Ok(());
    }
    Err(ManifestError::Field { field, value: value.chars().take(200).collect(), expected })
}
