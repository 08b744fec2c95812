"""Maps and models as items of STAC catalogues."""
