"""The shared code that knows Beam: options, runners, workers' errors."""
