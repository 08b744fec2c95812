"""Areas of classes by region and date, corrected by a sample of reference, and the samples for that."""
