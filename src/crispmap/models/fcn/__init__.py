"""The fully convolutional networks of the two papers."""
