"""
Recipes: segments, partitions and traits that fit most SaaS, as data in `shipped/*.toml`, to be copied into a config.

`model` reads one, `fill` puts a person's own events and plans into it, `needs` says what it takes, `write` puts it into a
config. Nothing here is used once it is in a config: what was added is the person's own text.
"""
