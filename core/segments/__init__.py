"""
Segments: text to tree (`language`, `reader`, `words`), tree to SQL (`compile`), SQL to sets of people (`evaluate`).

What can be named is in `vocabulary`, what the config says in `definitions`, the store's side columns in `indexes`, and
what `tagalong fields` shows in `describe`.
"""
