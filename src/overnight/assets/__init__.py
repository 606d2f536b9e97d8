"""Files that a job sends along: what they are, how a job names them, and how a picture is scaled.

The manifest looks at them before a job is loaded, and the artifacts room publishes them before the
job is submitted. Both must mean the same, so what both need stands here. No database, no network.
"""
