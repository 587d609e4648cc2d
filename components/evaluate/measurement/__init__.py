"""One Beam pipeline over the test split: predictions, and what TFMA measures of them."""
