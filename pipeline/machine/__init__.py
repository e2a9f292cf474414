"""What this machine decides and has: settings, executors, workers, doctor."""
