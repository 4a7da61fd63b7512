"""Reads logs, folds them into states, and keeps account: one `LogWorker` per input log."""
