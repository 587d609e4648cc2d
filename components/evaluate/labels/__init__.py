"""Labels that are likely wrong, and photographs that teach or judge a model badly."""
