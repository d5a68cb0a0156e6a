"""One folder a vendor. The folder's name is the connector's name; `core.registry` finds it."""

FIRST = ("hubspot", "stripe", "mailchimp", "files")
"""Those that `tagalong init` begins a config with, and that the demo plays with unless it is told others."""
