"""The models' answers to the test photographs, computed by Beam."""
