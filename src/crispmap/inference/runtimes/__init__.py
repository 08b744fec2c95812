"""Models that travel: network and refiner as one graph in a file that other runtimes read."""
