"""Weights to start from: files, hubs, and those that come along."""
