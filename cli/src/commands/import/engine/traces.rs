use super::{Engine, PARALLEL, Stopped, complete, runs::Artifacts};
use crate::commands::import::{
    error::SourceError,
    model::SourceTrace,
    report::Became,
    trace::{self, Spans},
};
use futures::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use waybill_client::api::{
    ImportExperiment, ImportObject, ImportSpans, ImportTrace, ImportedKind, ImportedState,
};

const KIND: &str = "trace";
/// Bytes of spans in one batch; as text in JSON they grow.
const BYTES: usize = 4 << 20;

impl Engine {
    /// Brings the traces of experiments over, linked to those of `runs` that they were linked to.
    pub(super) async fn traces(
        &self,
        experiments: &[ImportExperiment],
        runs: &[String],
    ) -> Result<(), Stopped> {
        self.watch.about("traces");
        let ids: Vec<&str> = experiments.iter().map(|experiment| experiment.id.as_str()).collect();
        let mut links = self.source.links_of_traces(&ids, runs).await?;
        for experiment in experiments {
            self.watch.about(&format!("traces of {}", experiment.name));
            self.traces_of(&experiment.id, &mut links).await?;
        }
        Ok(())
    }

    async fn traces_of(
        &self,
        experiment_id: &str,
        links: &mut HashMap<String, Vec<String>>,
    ) -> Result<(), Stopped> {
        let mut token: Option<String> = None;
        loop {
            let mut page = self.source.traces(experiment_id, token.as_deref()).await?;
            self.journal.found(KIND, page.rows.len());
            for found in &mut page.rows {
                found.trace.runs.extend(links.remove(&found.trace.id).unwrap_or_default());
                found.trace.runs.sort();
            }
            let asked = page.rows.iter().map(|found| (found.trace.id.clone(), found.fingerprint())).collect();
            let states = self.look_up(ImportedKind::Trace, asked).await?;
            let mut pending = Vec::new();
            for (found, known) in page.rows.into_iter().zip(states) {
                if known.state == ImportedState::Complete {
                    self.journal.became(KIND, Became::Unchanged);
                } else {
                    pending.push(found);
                }
            }
            self.watch.ahead(pending.len());
            let brought = pending.into_iter().map(|found| self.trace_of(found));
            futures::stream::iter(brought).buffer_unordered(PARALLEL).try_collect::<()>().await?;
            token = page.next;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    async fn trace_of(&self, found: SourceTrace) -> Result<(), Stopped> {
        let id = found.trace.id.clone();
        match self.one_trace(found).await {
            Err(Stopped::Source(SourceError::Object(why))) => self.journal.failed(KIND, &id, why),
            outcome => outcome?,
        }
        self.watch.done(1);
        Ok(())
    }

    async fn one_trace(&self, found: SourceTrace) -> Result<(), Stopped> {
        let fingerprint = found.fingerprint();
        let mut brought = found.trace;
        let id = brought.id.clone();
        let (spans, artifacts) = self.parts_of_trace(&mut brought).await?;
        let mut objects = vec![ImportObject::Trace(Box::new(brought))];
        let mut first = None;
        for spans in chunks(spans) {
            objects.push(ImportObject::Spans(ImportSpans { trace_id: id.clone(), spans }));
            match self.send(std::mem::take(&mut objects)).await? {
                Ok(became) => first = first.or(Some(became)),
                Err(why) => return self.refused_trace(&id, &why),
            }
        }
        let artifacts = artifacts.filter(|artifacts| !artifacts.is_empty());
        let done = complete(ImportedKind::Trace, &id, &fingerprint);
        if artifacts.is_none() {
            objects.push(done.clone());
        }
        if !objects.is_empty() {
            match self.send(objects).await? {
                Ok(became) => first = first.or(Some(became)),
                Err(why) => return self.refused_trace(&id, &why),
            }
        }
        if let Some(artifacts) = artifacts
            && self.bring(&artifacts).await?
            && let Err(why) = self.send(vec![done]).await?
        {
            return self.refused_trace(&id, &why);
        }
        self.journal.became(KIND, first.unwrap_or(Became::Unchanged));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "it ends whoever calls it")]
    fn refused_trace(&self, id: &str, why: &str) -> Result<(), Stopped> {
        self.journal.failed(KIND, id, why);
        Ok(())
    }

    /// The spans and files of a trace; its tags then say where both are here.
    async fn parts_of_trace(
        &self,
        brought: &mut ImportTrace,
    ) -> Result<(Vec<String>, Option<Artifacts>), Stopped> {
        let uri = brought.tags.get(trace::ARTIFACT_LOCATION).cloned().unwrap_or_default();
        let place = trace::spans_of(brought);
        let (spans, names) = if place == Spans::File {
            (Vec::new(), vec![trace::DATA_FILE.to_owned()])
        } else {
            let spans = self.source.spans(brought).await?;
            let names = trace::attachments(&spans);
            (spans, names)
        };
        let (mut artifacts, has_files) = (None, !names.is_empty());
        if !uri.is_empty() && has_files {
            let at = self.source.place_of_trace(&brought.id, &uri, names);
            artifacts = self.listed(KIND, &brought.id, &uri, at).await?;
        }
        if place == Spans::File && artifacts.as_ref().is_some_and(Artifacts::is_empty) {
            self.journal.note(KIND, &brought.id, "it has no spans there");
        }
        // Files that could not be read stay, and so does the tag that says where they are.
        let moved = artifacts.is_some() || !has_files;
        if let Some(directory) = self.mapping.target(&uri).filter(|_| moved) {
            let location = format!("mlflow-artifacts:/{directory}");
            brought.tags.insert(trace::ARTIFACT_LOCATION.to_owned(), location);
        }
        if place == Spans::Archive {
            brought.tags.insert(trace::SPANS_LOCATION.to_owned(), trace::IN_DATABASE.to_owned());
            brought.tags.remove(trace::ARCHIVE_LOCATION);
        }
        brought.tags.remove(trace::ARCHIVAL_FAILURE);
        Ok((spans, artifacts))
    }
}

/// Spans that are sent together.
fn chunks(spans: Vec<String>) -> Vec<Vec<String>> {
    let mut chunks: Vec<Vec<String>> = Vec::new();
    let mut bytes = BYTES;
    for span in spans {
        bytes += span.len();
        match chunks.last_mut() {
            Some(chunk) if bytes <= BYTES => chunk.push(span),
            _ => {
                bytes = span.len();
                chunks.push(vec![span]);
            }
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_all_spans_in_their_order() {
        let spans: Vec<String> = (0..9).map(|n| n.to_string().repeat(n * BYTES / 8)).collect();
        let chunks = chunks(spans.clone());
        assert_eq!(chunks.concat(), spans);
        let bytes = |chunk: &Vec<String>| chunk.iter().map(String::len).sum::<usize>();
        assert!(chunks.len() > 4 && chunks.iter().all(|chunk| chunk.len() == 1 || bytes(chunk) <= BYTES));
        assert!(super::chunks(Vec::new()).is_empty());
    }
}
