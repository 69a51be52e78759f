-- The run that made an assessment, out of its metadata: a run that is deleted takes its own along.
ALTER TABLE trace_assessments ADD COLUMN source_run_id TEXT COLLATE "C";
UPDATE trace_assessments SET source_run_id = metadata_json::json ->> 'mlflow.assessment.sourceRunId'
    WHERE metadata_json LIKE '%mlflow.assessment.sourceRunId%'
        AND length(metadata_json::json ->> 'mlflow.assessment.sourceRunId') <= 256;
CREATE INDEX trace_assessments_source_run ON trace_assessments (source_run_id);
