"""One folder a vendor. The folder's name is the connector's name; `core.registry` finds it."""
