"""The word to retrain: when, how, with which photographs, and that it is said once."""
