"""Who may be believed, and what need not be read twice; nothing here changes a result."""
