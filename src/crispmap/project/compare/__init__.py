"""Methods compared on one project: trained once, scored on the same test areas, shown in one table and report."""
