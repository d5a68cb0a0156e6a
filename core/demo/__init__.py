"""`tagalong demo`: everything, against the built-in sandboxes, with made-up people; and a comparison that can fail."""
