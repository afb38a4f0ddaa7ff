"""A folder of image files, upscaled from the dock into another folder."""
