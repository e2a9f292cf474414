"""What an owner does with a whole store: look, verify, repair, tidy up, carry."""
