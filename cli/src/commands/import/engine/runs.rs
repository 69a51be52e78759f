use super::{Engine, PARALLEL, Stopped, complete};
use crate::commands::import::{
    error::SourceError,
    model::SourceRun,
    places::{Listing, Place},
    report::Became,
};
use futures::{StreamExt, TryStreamExt};
use waybill_client::api::{
    ImportExperiment, ImportMetrics, ImportObject, ImportPoint, ImportRun, ImportedKind,
};

const KIND: &str = "run";
/// Values of metrics in one batch.
const POINTS: usize = 5_000;

/// Artifacts that are to be brought: where they are, the directory here, what there is.
pub(super) struct Artifacts {
    pub place: Place,
    pub directory: String,
    pub listing: Listing,
}

impl Engine {
    /// Brings the runs of an experiment over, with metrics and artifacts; the ids of those that are
    /// not deleted.
    pub(super) async fn runs(&self, experiment: &ImportExperiment) -> Result<Vec<String>, Stopped> {
        let mut ids = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.source.runs(&experiment.id, token.as_deref()).await?;
            self.journal.found(KIND, page.rows.len());
            let mut active = Vec::new();
            for run in page.rows {
                if run.deleted {
                    self.journal.left_out(KIND, &run.run.id, "it is deleted there");
                } else {
                    active.push(run);
                }
            }
            ids.extend(active.iter().map(|run| run.run.id.clone()));
            let asked = active.iter().map(|run| (run.run.id.clone(), run.fingerprint())).collect();
            let states = self.look_up(ImportedKind::Run, asked).await?;
            self.watch.ahead(active.len());
            let pairs = active.into_iter().zip(states);
            let brought = pairs.map(|(run, known)| self.run_of(run, self.is_whole(&known)));
            futures::stream::iter(brought).buffer_unordered(PARALLEL).try_collect::<()>().await?;
            token = page.next;
            if token.is_none() {
                return Ok(ids);
            }
        }
    }

    async fn run_of(&self, run: SourceRun, is_whole: bool) -> Result<(), Stopped> {
        let id = run.run.id.clone();
        let outcome = if is_whole { self.new_files_of_run(&run).await } else { self.one_run(run).await };
        match outcome {
            // One run that cannot be read keeps the others from nothing.
            Err(Stopped::Source(SourceError::Object(why))) => self.journal.failed(KIND, &id, why),
            outcome => outcome?,
        }
        self.watch.done(1);
        Ok(())
    }

    /// Nothing about a run tells whether files were logged to it since.
    async fn new_files_of_run(&self, run: &SourceRun) -> Result<(), Stopped> {
        let artifacts = self.artifacts_of_run(run).await?;
        if let Some(became) = self.bring_new(artifacts.as_ref()).await? {
            self.journal.became(KIND, became);
        }
        Ok(())
    }

    async fn one_run(&self, mut run: SourceRun) -> Result<(), Stopped> {
        let (id, fingerprint) = (run.run.id.clone(), run.fingerprint());
        self.source.complete_run(&mut run).await?;
        let artifacts = self.artifacts_of_run(&run).await?;
        let artifact_uri = match &artifacts {
            Some(artifacts) => Some(format!("mlflow-artifacts:/{}", artifacts.directory)),
            None => run.run.artifact_uri.clone(),
        };
        let brought = ImportRun { artifact_uri, ..run.run.clone() };
        let mut pages = self.source.history(&run);
        let mut objects = vec![ImportObject::Run(Box::new(brought))];
        let mut first = None;
        while let Some(points) = pages.recv().await {
            let mut points: Vec<ImportPoint> = points?;
            while !points.is_empty() {
                let rest = points.split_off(points.len().min(POINTS));
                objects.push(ImportObject::Metrics(ImportMetrics { run_id: id.clone(), points }));
                points = rest;
                match self.send(std::mem::take(&mut objects)).await? {
                    Ok(became) => first = first.or(Some(became)),
                    Err(why) => return self.refused_run(&id, &why),
                }
            }
        }
        let whole = artifacts.as_ref().is_none_or(Artifacts::is_empty);
        let done = complete(ImportedKind::Run, &id, &fingerprint);
        if whole {
            objects.push(done.clone());
        }
        if !objects.is_empty() {
            match self.send(objects).await? {
                Ok(became) => first = first.or(Some(became)),
                Err(why) => return self.refused_run(&id, &why),
            }
        }
        if !whole
            && let Some(artifacts) = artifacts
            && self.bring(&artifacts).await?
            && let Err(why) = self.send(vec![done]).await?
        {
            return self.refused_run(&id, &why);
        }
        self.journal.became(KIND, first.unwrap_or(Became::Unchanged));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "it ends whoever calls it")]
    fn refused_run(&self, id: &str, why: &str) -> Result<(), Stopped> {
        self.journal.failed(KIND, id, why);
        Ok(())
    }

    /// What there is of a run's artifacts; `None` where they stay where they are.
    async fn artifacts_of_run(&self, run: &SourceRun) -> Result<Option<Artifacts>, Stopped> {
        let (id, uri) = (&run.run.id, run.run.artifact_uri.as_deref().unwrap_or_default());
        if uri.is_empty() {
            return Ok(None);
        }
        let place = self.source.place_of_run(id, uri, "");
        self.listed(KIND, id, uri, place).await
    }

    /// Lists a place. Artifacts outside the old server's own store, which cannot be read, stay there.
    pub(super) async fn listed(
        &self,
        kind: &'static str,
        id: &str,
        uri: &str,
        place: Option<Place>,
    ) -> Result<Option<Artifacts>, Stopped> {
        let outside = |why: &str| {
            self.journal.outside(kind, id, &format!("its artifacts stay at {uri}: {why}"));
            Ok(None)
        };
        let (Some(directory), Some(place)) = (self.mapping.target(uri), place) else {
            return outside("they lie outside the store that is read");
        };
        let proxied = uri.starts_with("mlflow-artifacts:");
        match place.list().await {
            Ok(listing) => Ok(Some(Artifacts { place, directory, listing })),
            Err(SourceError::Object(why)) if !proxied => outside(&why),
            Err(error) => Err(error.into()),
        }
    }
}

impl Artifacts {
    pub fn is_empty(&self) -> bool {
        self.listing.files.is_empty() && self.listing.refused.is_empty()
    }
}
