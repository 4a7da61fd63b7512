"""Protobuf messages as payloads of streams: descriptors become the part of a meaning that the kernel decodes by."""
