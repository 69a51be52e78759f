-- A page of traces by id, or by state from the last one on, begins at its first row.
CREATE INDEX traces_identified ON traces (experiment_id, trace_id);
CREATE INDEX traces_state_down ON traces (experiment_id, state DESC, timestamp_ms DESC, trace_id);
