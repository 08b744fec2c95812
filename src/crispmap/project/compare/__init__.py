"""Methods compared on one project: each trained once, scored on one test ground, shown in one table and one report."""
