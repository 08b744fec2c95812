"""Pictures from arrays: photos, maps, heat maps and strips of them."""
