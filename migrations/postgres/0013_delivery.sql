-- What each interval really ran; a restored container may run another revision than the rollout.
ALTER TABLE serving_intervals ADD COLUMN revision TEXT;
UPDATE serving_intervals SET revision =
    (SELECT r.revision FROM rollouts r WHERE r.rollout_id = serving_intervals.rollout_id);
CREATE INDEX serving_intervals_version ON serving_intervals (version_uid, id);

-- Times within an interval in which nothing answered; at most one is open per interval.
CREATE TABLE serving_outages (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    serving_interval BIGINT NOT NULL REFERENCES serving_intervals (id),
    from_ms          BIGINT NOT NULL,
    to_ms            BIGINT,
    reason           TEXT
);
CREATE INDEX serving_outages_interval ON serving_outages (serving_interval, id);
CREATE UNIQUE INDEX serving_outages_open ON serving_outages (serving_interval) WHERE to_ms IS NULL;
