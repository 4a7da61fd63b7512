"""One file per step, never changed once it has left this repository: databases out there were made by it."""
