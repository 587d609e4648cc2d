"""A new model beside the champion: the same photographs, the difference, and its interval."""
