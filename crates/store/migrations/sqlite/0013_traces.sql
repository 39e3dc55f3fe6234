-- Where the trace goes on that a job's submission is in: a `traceparent` and, after a space, a
-- `tracestate`; nothing where it was not traced.
ALTER TABLE jobs ADD COLUMN trace TEXT;
