"""The sections of the page: what each reads, says and draws."""
