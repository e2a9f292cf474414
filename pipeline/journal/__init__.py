"""What a run tells while it runs and leaves behind: console, log, times, status."""
