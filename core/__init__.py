"""The hub: pull, store, resolve, evaluate, plan, push, record. No vendor is named in here."""
