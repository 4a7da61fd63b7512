"""Python functions as on-demand features, run in processes of their own.

`worker` is the program of such a process, `process` one of them as its host sees it, `pool` several of them, and
`environment` what their values depend on besides source and arguments. No text of a definition is ever run: a process
imports modules by the names that a setting allows, and a function whose module has another source is refused.
"""
