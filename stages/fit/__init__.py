"""Stage `fit`: train an encoder on train rows before `embed`."""
