-- What searches need so that a page costs the same in a small and in a large database.
--
-- Prompts are registered models that carry a tag, and searches leave them out: `is_prompt` keeps
-- the answer in the row, of a version for all versions of its model. Indexes on text hold a prefix.
ALTER TABLE registered_models ADD COLUMN is_prompt BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE registered_models ADD COLUMN has_prompts BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE model_versions ADD COLUMN is_prompt BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE registered_models SET is_prompt = TRUE WHERE model_id IN (
    SELECT model_id FROM registered_model_tags WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true');
UPDATE registered_models SET has_prompts = TRUE WHERE model_id IN (
    SELECT v.model_id FROM model_version_tags t JOIN model_versions v ON v.version_id = t.version_id
    WHERE t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true');
UPDATE model_versions SET is_prompt = TRUE WHERE model_id IN (
    SELECT model_id FROM registered_models WHERE has_prompts);
DROP INDEX registered_model_tags_prompt;
DROP INDEX model_version_tags_prompt;

CREATE INDEX registered_models_listed ON registered_models (is_prompt, name) WHERE deleted_at_ms IS NULL;
CREATE INDEX registered_models_updated ON registered_models (is_prompt, updated_at_ms, name)
    WHERE deleted_at_ms IS NULL;
CREATE INDEX registered_model_tags_value ON registered_model_tags (key, substr(value, 1, 200), model_id);

-- Over all models, then within one.
DROP INDEX model_versions_updated;
CREATE INDEX model_versions_updated ON model_versions (is_prompt, updated_at_ms) WHERE deleted_at_ms IS NULL;
CREATE INDEX model_versions_created ON model_versions (is_prompt, created_at_ms) WHERE deleted_at_ms IS NULL;
CREATE INDEX model_versions_numbered ON model_versions (is_prompt, version) WHERE deleted_at_ms IS NULL;
CREATE INDEX model_versions_of_run ON model_versions (is_prompt, (COALESCE(run_id, ''))) WHERE deleted_at_ms IS NULL;
CREATE INDEX model_versions_own_updated ON model_versions (model_id, updated_at_ms DESC, version DESC)
    WHERE deleted_at_ms IS NULL;
CREATE INDEX model_versions_own_created ON model_versions (model_id, created_at_ms DESC, version DESC)
    WHERE deleted_at_ms IS NULL;
CREATE INDEX model_versions_manifest ON model_versions (model_id, manifest_digest) WHERE deleted_at_ms IS NULL;
-- The newest version of a stage: deleted ones are in none.
DROP INDEX model_versions_stage;
CREATE INDEX model_versions_stage ON model_versions (model_id, stage, version) WHERE deleted_at_ms IS NULL;
CREATE INDEX model_version_tags_value ON model_version_tags (key, substr(value, 1, 200), version_id);

-- Few runs have a given name, user or state, or are asked for in that order.
CREATE INDEX runs_named ON runs (experiment_id, lifecycle_stage, substr(name, 1, 200));
CREATE INDEX runs_user ON runs (experiment_id, lifecycle_stage, substr(user_id, 1, 200));
CREATE INDEX runs_status ON runs (experiment_id, lifecycle_stage, status);

CREATE INDEX experiments_listed ON experiments (lifecycle_stage, creation_time_ms DESC, experiment_id);
CREATE INDEX experiments_updated ON experiments (lifecycle_stage, last_update_time_ms);
CREATE INDEX experiment_tags_value ON experiment_tags (key, substr(value, 1, 200), experiment_id);
DROP INDEX experiments_created;

CREATE INDEX logged_models_named ON logged_models (experiment_id, lifecycle_stage, name);
CREATE INDEX logged_models_run ON logged_models (experiment_id, lifecycle_stage, source_run_id);
CREATE INDEX logged_models_updated ON logged_models (experiment_id, lifecycle_stage, last_update_time_ms);
