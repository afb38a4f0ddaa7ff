"""Models as packages for BioImage.IO, which Fiji, ilastik and others read."""

from napari_edsr.bioimageio.package import save_bioimageio

__all__ = ["save_bioimageio"]
