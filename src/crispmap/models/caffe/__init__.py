"""Networks trained with Caffe, imported layer by layer."""
