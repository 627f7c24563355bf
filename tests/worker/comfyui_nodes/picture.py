"""What previews show: red grows to the right, green downwards, blue with the progress."""
import numpy as np
from PIL import Image


def gradient(size, progress):
    """A square picture, and at a given progress always the same one."""
    ramp = (np.arange(size) * 255 // (size - 1)).astype(np.uint8)
    pixels = np.empty((size, size, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = ramp[None, :], ramp[:, None], int(255 * progress)
    return Image.fromarray(pixels)
