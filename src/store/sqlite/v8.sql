-- Only `prune` by age used it, which goes along the runs themselves now: one tree less to write at the end of every run.
DROP INDEX run_ended;
