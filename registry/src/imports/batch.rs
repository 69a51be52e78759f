//! Objects that are written together, each of them whole or not at all.

use super::{ImportsError, check, experiments, logged_models, registered_models, runs, store, traces};
use crate::{
    app::App,
    audit::{self, Cause},
    db::Conn,
};
use std::collections::BTreeMap;
use store::Mark;
use waybill_client::api::{
    IMPORT_OBJECTS_MAX, ImportComplete, ImportObject, ImportOutcome, ImportResult, ImportedKind,
};

/// What every object of a batch is written with.
pub struct Bringing {
    pub import_rid: i64,
    /// Where experiments put their artifacts that say nothing else.
    pub root: Option<String>,
    pub cause: Cause,
}

impl Bringing {
    pub async fn mark_of(
        &self,
        tx: &mut Conn,
        kind: ImportedKind,
        id: &str,
    ) -> Result<Option<Mark>, ImportsError> {
        Ok(store::mark_of(tx, self.import_rid, kind, id).await?)
    }

    /// Notes what an object of the source is here.
    pub async fn begin(
        &self,
        tx: &mut Conn,
        kind: ImportedKind,
        id: &str,
        local_id: &str,
    ) -> Result<(), ImportsError> {
        let mark = Mark { local_id: local_id.to_owned(), fingerprint: None };
        Ok(store::mark(tx, self.import_rid, kind, id, &mark, self.cause.at_ms).await?)
    }
}

struct Input {
    import_id: String,
    objects: Vec<ImportObject>,
    root: Option<String>,
    cause: Cause,
}

/// Writes the objects of a batch. Those that are refused write nothing; the others are written,
/// all of them in one transaction.
pub async fn write(
    app: &App,
    cause: Cause,
    import_id: &str,
    objects: Vec<ImportObject>,
) -> Result<Vec<ImportOutcome>, ImportsError> {
    if objects.len() > IMPORT_OBJECTS_MAX {
        return Err(ImportsError::TooMany(objects.len()));
    }
    let root = app.config.default_artifact_root.clone();
    let input = Input { import_id: import_id.to_owned(), objects, root, cause };
    app.db.write(input, |tx, input| Box::pin(write_all(tx, input))).await
}

async fn write_all(tx: &mut Conn, input: &Input) -> Result<Vec<ImportOutcome>, ImportsError> {
    let bringing = Bringing {
        import_rid: store::rid(tx, &input.import_id).await?,
        root: input.root.clone(),
        cause: input.cause.clone(),
    };
    let mut outcomes = Vec::with_capacity(input.objects.len());
    let mut made: BTreeMap<&'static str, usize> = BTreeMap::new();
    for object in &input.objects {
        let outcome = match write_one(tx, &bringing, object).await {
            Ok(outcome) => outcome,
            Err(error) => error.refusal()?,
        };
        if outcome.result == ImportResult::Created {
            *made.entry(noun(object)).or_default() += 1;
        }
        outcomes.push(outcome);
    }
    if !made.is_empty() {
        let what = made.iter().map(|(noun, count)| format!("{count} {noun}")).collect::<Vec<_>>().join(", ");
        let event = bringing.cause.event("import.objects_added", input.import_id.clone());
        audit::record(tx, &event.change(None, Some(&what))).await?;
    }
    Ok(outcomes)
}

fn noun(object: &ImportObject) -> &'static str {
    match object {
        ImportObject::Experiment(_) => "experiments",
        ImportObject::Run(_) => "runs",
        ImportObject::Metrics(_) => "runs' metrics",
        ImportObject::LoggedModel(_) => "logged models",
        ImportObject::Trace(_) => "traces",
        ImportObject::Spans(_) => "traces' spans",
        ImportObject::RegisteredModel(_) => "registered models",
        ImportObject::Aliases(_) => "models' aliases",
        ImportObject::Complete(_) => "objects",
    }
}

async fn write_one(
    tx: &mut Conn,
    bringing: &Bringing,
    object: &ImportObject,
) -> Result<ImportOutcome, ImportsError> {
    match object {
        ImportObject::Experiment(experiment) => experiments::write(tx, bringing, experiment).await,
        ImportObject::Run(run) => runs::write(tx, bringing, run).await,
        ImportObject::Metrics(metrics) => runs::metrics(tx, bringing, metrics).await,
        ImportObject::LoggedModel(model) => logged_models::write(tx, bringing, model).await,
        ImportObject::Trace(trace) => traces::write(tx, bringing, trace).await,
        ImportObject::Spans(spans) => traces::spans(tx, bringing, spans).await,
        ImportObject::RegisteredModel(model) => registered_models::write(tx, bringing, model).await,
        ImportObject::Aliases(aliases) => registered_models::aliases(tx, bringing, aliases).await,
        ImportObject::Complete(complete) => finish(tx, bringing, complete).await,
    }
}

/// Notes that all of an object is here.
async fn finish(
    tx: &mut Conn,
    bringing: &Bringing,
    complete: &ImportComplete,
) -> Result<ImportOutcome, ImportsError> {
    check::id("id", &complete.id)?;
    check::fingerprint(&complete.fingerprint)?;
    let found = bringing.mark_of(tx, complete.of, &complete.id).await?;
    let what = complete.of.as_str();
    let found = found.ok_or_else(|| ImportsError::NotImported { what, id: complete.id.clone() })?;
    let fingerprint = Some(complete.fingerprint.clone());
    if found.fingerprint == fingerprint {
        return Ok(outcome(ImportResult::Unchanged, &found.local_id));
    }
    let mark = Mark { local_id: found.local_id, fingerprint };
    let at_ms = bringing.cause.at_ms;
    store::mark(tx, bringing.import_rid, complete.of, &complete.id, &mark, at_ms).await?;
    Ok(outcome(ImportResult::Updated, &mark.local_id))
}

pub fn outcome(result: ImportResult, local_id: &str) -> ImportOutcome {
    ImportOutcome { result, local_id: Some(local_id.to_owned()), code: None, detail: None }
}
