"""Results on disk: OME-Zarr that is written part by part, and taken up again."""
