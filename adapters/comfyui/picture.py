"""A picture encoded as ComfyUI's own server encodes it for its clients, byte for byte with the same Pillow."""
from io import BytesIO

from PIL import Image, ImageOps

BILINEAR = getattr(Image, "Resampling", Image).BILINEAR


def encoded(form, image, max_size):
    """The image file: fitted into max_size by max_size pixels unless that is None, JPEG of quality 95, PNG of
    compression 1. `form` is Pillow's name of a format. Raises what Pillow raises (JPEG has no transparency, ...)."""
    if max_size is not None:
        image = ImageOps.contain(image, (max_size, max_size), BILINEAR)
    out = BytesIO()
    image.save(out, format=form, quality=95, compress_level=1)
    return out.getvalue()
