"""Stage `fit`: train an encoder on train rows before `embed`; its catalogue is empty until the fitted encoders land."""
