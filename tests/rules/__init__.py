"""What all is held to: bounds of computed numbers, layouts of arrays, safe loading, the table of cases."""
