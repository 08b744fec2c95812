"""Labels held against the scores of a map: objects that they lack, and those that are probably gone."""
