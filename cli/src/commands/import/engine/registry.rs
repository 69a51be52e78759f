use super::{Engine, Stopped, complete, named};
use crate::commands::import::{model::SourceModel, report::Became};
use std::collections::BTreeMap;
use waybill_client::api::{ImportAliases, ImportObject, ImportVersion, ImportedKind, ImportedState};

const KIND: &str = "registered model";

/// A model whose versions are on their way.
struct Begun {
    model: SourceModel,
    fingerprint: String,
    /// Numbers that are here.
    here: Vec<i64>,
    /// Versions made from others, which may have to come first, and what is here of them.
    waiting: Vec<(ImportVersion, ImportedState)>,
    /// Whether a version could not be taken.
    lacking: bool,
    became: Became,
}

impl Engine {
    /// Brings registered models and prompts over, with versions and aliases.
    pub(super) async fn registered_models(&self) -> Result<(), Stopped> {
        self.watch.about("registered models");
        let mut waiting = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.source.registered_models(token.as_deref()).await?;
            self.journal.found(KIND, page.rows.len());
            let asked = page.rows.iter().map(|model| named(&model.model.name, model)).collect();
            let states = self.look_up(ImportedKind::RegisteredModel, asked).await?;
            self.watch.ahead(page.rows.len());
            for (model, known) in page.rows.into_iter().zip(states) {
                self.watch.about(&model.model.name);
                if let Some(mut begun) = self.begin_model(model, known.state).await? {
                    self.versions_of(&mut begun).await?;
                    if begun.waiting.is_empty() {
                        self.finish_model(begun).await?;
                    } else {
                        waiting.push(begun);
                    }
                }
                self.watch.done(1);
            }
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        // Each round brings versions over whose own sources came in the round before.
        while !waiting.is_empty() {
            let before: usize = waiting.iter().map(|begun| begun.waiting.len()).sum();
            for begun in &mut waiting {
                self.waiting_versions(begun, false).await?;
            }
            let after: usize = waiting.iter().map(|begun| begun.waiting.len()).sum();
            if after == before || after == 0 {
                for mut begun in std::mem::take(&mut waiting) {
                    self.waiting_versions(&mut begun, true).await?;
                    self.finish_model(begun).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes the model itself; `None` when it is refused.
    async fn begin_model(&self, model: SourceModel, state: ImportedState) -> Result<Option<Begun>, Stopped> {
        let (_, fingerprint) = named(&model.model.name, &model);
        let became = if state == ImportedState::Complete {
            Became::Unchanged
        } else {
            match self.send(vec![ImportObject::RegisteredModel(model.model.clone())]).await? {
                Ok(became) => became,
                Err(why) => {
                    self.journal.failed(KIND, &model.model.name, why);
                    return Ok(None);
                }
            }
        };
        let (here, waiting) = (Vec::new(), Vec::new());
        Ok(Some(Begun { model, fingerprint, here, waiting, lacking: false, became }))
    }

    async fn versions_of(&self, begun: &mut Begun) -> Result<(), Stopped> {
        let name = begun.model.model.name.clone();
        let mut token: Option<String> = None;
        loop {
            let page = self.source.versions(&begun.model, token.as_deref()).await?;
            self.journal.found(super::versions::KIND, page.rows.len());
            let mut versions = Vec::new();
            for mut found in page.rows {
                found.version.fingerprint = named("", &found.version).1;
                versions.push(found.version);
            }
            let id = |version: &ImportVersion| format!("{name}/{}", version.version);
            let asked = versions.iter().map(|version| (id(version), version.fingerprint.clone())).collect();
            let states = self.look_up(ImportedKind::ModelVersion, asked).await?;
            for (version, known) in versions.into_iter().zip(states) {
                match known.state {
                    ImportedState::Complete => {
                        self.journal.became(super::versions::KIND, Became::Unchanged);
                        begun.here.push(version.version);
                    }
                    // Its files are those of another version, which may not be here yet.
                    _ if version.source.starts_with("models:/") => begun.waiting.push((version, known.state)),
                    _ => self.version_of(begun, version, known.state).await?,
                }
            }
            token = page.next;
            if token.is_none() {
                return self.waiting_versions(begun, false).await;
            }
        }
    }

    async fn version_of(
        &self,
        begun: &mut Begun,
        version: ImportVersion,
        known: ImportedState,
    ) -> Result<(), Stopped> {
        let number = version.version;
        let Some(became) = self.version(version, known).await? else {
            begun.lacking = true;
            return Ok(());
        };
        begun.here.push(number);
        // Files that come late change nothing about the model.
        let changed = became != Became::Unchanged && known != ImportedState::Incomplete;
        if changed && begun.became == Became::Unchanged {
            begun.became = Became::Updated;
        }
        Ok(())
    }

    /// Tries versions that are made from others; with `last` there is no other try.
    async fn waiting_versions(&self, begun: &mut Begun, last: bool) -> Result<(), Stopped> {
        for (version, known) in std::mem::take(&mut begun.waiting) {
            if last || self.source_is_settled(&version.source).await? {
                self.version_of(begun, version, known).await?;
            } else {
                begun.waiting.push((version, known));
            }
        }
        Ok(())
    }

    /// Aliases and the model's own time, once its versions are here.
    async fn finish_model(&self, begun: Begun) -> Result<(), Stopped> {
        let name = begun.model.model.name.clone();
        if begun.became == Became::Unchanged {
            self.journal.became(KIND, Became::Unchanged);
            return Ok(());
        }
        let mut aliases: BTreeMap<String, i64> = begun.model.aliases;
        aliases.retain(|alias, number| {
            let here = begun.here.contains(number);
            if !here {
                self.journal.failed("alias", &format!("{name}@{alias}"), "its version was not taken");
            }
            here
        });
        let updated_at_ms = begun.model.model.updated_at_ms;
        let mut objects =
            vec![ImportObject::Aliases(ImportAliases { name: name.clone(), aliases, updated_at_ms })];
        if !begun.lacking {
            objects.push(complete(ImportedKind::RegisteredModel, &name, &begun.fingerprint));
        }
        match self.send(objects).await? {
            Ok(_) => self.journal.became(KIND, begun.became),
            Err(why) => self.journal.failed(KIND, &name, why),
        }
        Ok(())
    }
}
