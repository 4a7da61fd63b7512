"""Container images: from the locked dependencies and this checkout to image tars; see docs/operations/images.md."""
