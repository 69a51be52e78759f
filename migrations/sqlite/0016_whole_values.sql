-- Indexes on text hold whole values: of an index on an expression SQLite reads the row as well, so that
-- looking at all values of a key took thirty times as long.
DROP INDEX params_value;
CREATE INDEX params_value ON params (experiment_id, key, value);
DROP INDEX tags_value;
CREATE INDEX tags_value ON tags (experiment_id, key, value);
DROP INDEX logged_model_params_value;
CREATE INDEX logged_model_params_value ON logged_model_params (experiment_id, key, value);
DROP INDEX logged_model_tags_value;
CREATE INDEX logged_model_tags_value ON logged_model_tags (experiment_id, key, value);
DROP INDEX trace_tags_value;
CREATE INDEX trace_tags_value ON trace_tags (experiment_id, key, value);
DROP INDEX trace_metadata_value;
CREATE INDEX trace_metadata_value ON trace_metadata (experiment_id, key, value);
DROP INDEX spans_name;
CREATE INDEX spans_name ON spans (experiment_id, name);
DROP INDEX spans_type;
CREATE INDEX spans_type ON spans (experiment_id, type);
DROP INDEX registered_model_tags_value;
CREATE INDEX registered_model_tags_value ON registered_model_tags (key, value, model_id);
DROP INDEX model_version_tags_value;
CREATE INDEX model_version_tags_value ON model_version_tags (key, value, version_id);
DROP INDEX runs_named;
CREATE INDEX runs_named ON runs (experiment_id, lifecycle_stage, name);
DROP INDEX runs_user;
CREATE INDEX runs_user ON runs (experiment_id, lifecycle_stage, user_id);
DROP INDEX experiment_tags_value;
CREATE INDEX experiment_tags_value ON experiment_tags (key, value, experiment_id);
