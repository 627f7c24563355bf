"""Pictures are encoded as ComfyUI's own server encodes them."""
import io

import numpy
import pytest
from extension import module
from PIL import Image
from stand_in import encode

picture = module("picture")


def gradient(mode, size):
    noise = numpy.random.default_rng(5).integers(0, 255, (size[1], size[0], len(mode) if mode != "L" else 1), dtype="uint8")
    return Image.fromarray(noise if mode != "L" else noise[:, :, 0], mode)


@pytest.mark.parametrize("max_size", [None, 16, 64, 500])
@pytest.mark.parametrize("size", [(64, 48), (48, 64), (1, 1)])
@pytest.mark.parametrize("form,mode", [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB")])
def test_bytes_are_those_that_the_server_sends(form, mode, size, max_size):
    image = gradient(mode, size)
    assert picture.encoded(form, image, max_size) == encode((form, image, max_size))


@pytest.mark.parametrize("max_size,size", [(None, (64, 48)), (32, (32, 24)), (128, (128, 96))])
def test_picture_is_fitted_into_max_size(max_size, size):
    encoded = picture.encoded("PNG", gradient("RGB", (64, 48)), max_size)
    assert Image.open(io.BytesIO(encoded)).size == size


def test_quality_is_that_of_stock():
    image = gradient("RGB", (64, 64))
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=95)
    assert picture.encoded("JPEG", image, None) == out.getvalue()


def test_image_that_was_given_is_not_changed():
    image = gradient("RGB", (64, 48))
    before = image.tobytes()
    picture.encoded("JPEG", image, 16)
    assert (image.size, image.tobytes()) == ((64, 48), before)
