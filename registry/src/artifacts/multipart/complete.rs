//! Parts put together.

use super::{
    no_upload, remove_objects,
    store::{self, Part, State, Upload},
};
use crate::artifacts::{ArtifactError, ArtifactPath, BlobInfo, Body, ContentStore, Expected};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// A part as whoever sent it names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPart {
    pub part_number: i64,
    /// What the answer to its upload said, with or without quotes.
    pub etag: String,
}

/// Puts the parts together and binds `path` to the whole. Runs to its end even when the caller
/// goes away; repeated, it waits for that end and gives the same answer.
///
/// `parts` must name every part of the upload, in order, by the tags that they were given. Fails
/// with [`ArtifactError::NoUpload`] where there is no such upload to `path`.
pub async fn complete(
    content: &ContentStore,
    upload_id: &str,
    path: &ArtifactPath,
    parts: Vec<SentPart>,
) -> Result<(), ArtifactError> {
    let (content, upload_id, path) = (content.clone(), upload_id.to_owned(), path.clone());
    let completing = tokio::spawn(async move {
        let lock = content.completing().lock_of(&upload_id);
        let _alone = lock.lock().await;
        complete_alone(&content, &upload_id, &path, &parts).await
    });
    completing.await.unwrap_or_else(|panic| Err(ArtifactError::io("complete", std::io::Error::other(panic))))
}

async fn complete_alone(
    content: &ContentStore,
    upload_id: &str,
    path: &ArtifactPath,
    sent: &[SentPart],
) -> Result<(), ArtifactError> {
    let mut conn = content.db().read().await?;
    let upload = store::find(&mut conn, upload_id).await?.filter(|upload| upload.path == path.as_str());
    let upload = match upload {
        Some(upload) if upload.state == State::Complete => return Ok(()),
        Some(upload) if upload.state == State::Open && content.now_ms() < upload.expires_at_ms => upload,
        _ => return Err(no_upload(upload_id)),
    };
    let parts = store::parts(&mut conn, upload_id).await?;
    drop(conn);
    check(&upload, &parts, sent)?;
    put_together(content, path, &parts).await?;
    let done = content
        .db()
        .write(upload_id.to_owned(), |tx, upload_id| {
            Box::pin(async move {
                Ok::<_, ArtifactError>(store::set_state(tx, upload_id, State::Complete).await?)
            })
        })
        .await?;
    if done {
        remove_objects(content, parts.into_iter().map(|part| part.blob.key)).await;
        content
            .db()
            .write(upload_id.to_owned(), |tx, upload_id| {
                Box::pin(async move { Ok::<_, ArtifactError>(store::delete_parts(tx, upload_id).await?) })
            })
            .await?;
    }
    Ok(())
}

fn check(upload: &Upload, parts: &[Part], sent: &[SentPart]) -> Result<(), ArtifactError> {
    let invalid = |detail: String| Err(ArtifactError::Invalid { field: "parts", detail });
    if sent.len() as i64 != upload.num_parts {
        return invalid(format!("{} parts are named; the upload has {}", sent.len(), upload.num_parts));
    }
    let mut here = parts.iter().peekable();
    for (number, named) in (1..).zip(sent) {
        if named.part_number != number {
            return invalid(format!("part {} is named where part {number} is expected", named.part_number));
        }
        let Some(part) = here.next_if(|part| part.part_number == number) else {
            return invalid(format!("part {number} was never sent"));
        };
        let etag: String = named.etag.trim_matches('"').chars().take(100).collect();
        if etag != part.blob.digest.hex() {
            let stored = part.blob.digest.hex();
            return invalid(format!("part {number} has the tag {stored:?}, not {etag:?}"));
        }
    }
    Ok(())
}

async fn put_together(
    content: &ContentStore,
    path: &ArtifactPath,
    parts: &[Part],
) -> Result<BlobInfo, ArtifactError> {
    let size_bytes = parts.iter().map(|part| part.blob.size_bytes).sum();
    let (reader, parts) = (content.clone(), parts.to_vec());
    let pieces = stream::iter(parts)
        .then(move |part| {
            let content = reader.clone();
            async move {
                let number = part.part_number;
                let lost = move |error| match error {
                    ArtifactError::Damaged { .. } => ArtifactError::PartLost { number },
                    other => other,
                };
                let pieces = content.open_blob(part.blob, None).await.map_err(lost)?;
                Ok::<_, ArtifactError>(pieces.map_err(lost))
            }
        })
        .try_flatten();
    let mut body = Body::of(pieces);
    content.put_file(path, &mut body, Expected { digest: None, size_bytes: Some(size_bytes) }).await
}
