"""What has changed in photographs and answers, with no labels needed."""
