"""Files: addresses, writes that are whole or absent, GDAL handles and memory, vector files."""
