"""Region phrases and objects of Visual Genome."""
