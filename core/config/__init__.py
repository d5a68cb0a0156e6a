"""The config file: read, checked, and given to everybody else as plain values (`model`)."""
