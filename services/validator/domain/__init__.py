"""What the validator decides: which requests are due, what an answer means for each, what the profile says.

`positions` where reading starts again; `sampling` who is replayed; `queue` who waits, until when, in which batch;
`outcome` what an answer means; `profile` and `tally` what is counted. Instants are passed in, in seconds of a
clock that never goes back.
"""
