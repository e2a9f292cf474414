"""The packaged image model: its weights sit where they belong, its vectors are those of a plain timm forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.architectures import to_timm
from stages.models.encoders.image.decoding import UndecodableImage
from stages.models.encoders.image.network import _from_pixels, _outputs
from stages.models.encoders.protocol import Placement
from store.errors import InputError

PALACE, DAISY = 698, 985  # classes of ImageNet


@pytest.fixture(scope="session")
def whole_network(lite0):
    """The network with its classifier, loaded by hand."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = torch.load(lite0.backbone.path, map_location="cpu", weights_only=True)
    network.load_state_dict(to_timm(state), strict=True)
    return network.eval()


def scaled(pixels: list[np.ndarray]) -> torch.Tensor:
    """To [n, 3, 224, 224] in [-1, 1], as the weights were trained with."""
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_photographs_are_recognised(lite0, whole_network, photographs, encode, png):
    pictures = [png(each) for each in photographs]
    with torch.inference_mode():
        assert whole_network(scaled(lite0.prepare(pictures))).argmax(dim=1).tolist() == [PALACE, DAISY]
    classifier = build_encoder("efficientnet-lite0", EncoderChoice(output="logits"))
    classifier.load(Placement())
    assert encode(classifier, pictures).argmax(axis=1).tolist() == [PALACE, DAISY]


def test_vectors_are_the_pooled_features(lite0, whole_network, photographs, encode, png):
    pictures = [png(each) for each in photographs]
    vectors = encode(lite0, pictures)
    assert vectors.dtype == np.float32
    with torch.inference_mode():
        features = whole_network.forward_features(scaled(lite0.prepare(pictures)))
    expected = features.mean(dim=(2, 3)).numpy()  # [2, 1280]
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_a_vector_does_not_depend_on_its_batch(lite0, photographs, encode, png):
    pictures = [png(each) for each in (*photographs, photographs[0][::-1], photographs[1][:40, :90])]
    together, alone = encode(lite0, pictures), encode(lite0, pictures, alone=True)
    cosines = (together * alone).sum(axis=1) / np.linalg.norm(together, axis=1) / np.linalg.norm(alone, axis=1)
    assert cosines.min() >= 0.99999


def test_the_input_is_the_middle_of_the_picture(lite0, png):
    pixels = np.zeros((300, 600, 3))
    pixels[:, 150:450] = 255  # only the middle half reaches the network
    white, black = lite0.prepare([png(pixels), png(np.zeros((10, 10, 3)))])
    assert white.dtype == np.uint8
    assert white.shape == black.shape == (224, 224, 3)
    assert white[:, 10:-10].min() == white.max() == 255
    assert not black.any()


def test_the_network_sees_the_pixels_in_the_range_of_its_weights(lite0):
    seen = []
    network = lite0.backbone.load()
    network.conv_stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    module = _from_pixels(_outputs(network, "pooled"), lite0.preprocessing, with_map=False)
    with torch.inference_mode():
        module(torch.stack([torch.full((224, 224, 3), value, dtype=torch.uint8) for value in (0, 255)]))
    assert seen[0].dtype == torch.float32
    assert seen[0][0].unique().tolist() == [-1]
    assert seen[0][1].unique().tolist() == [1]  # (1 - .5) / .5


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1)])
def test_pictures_of_odd_shape_have_a_vector(lite0, encode, png, shape):
    (vector,) = encode(lite0, [png(np.full((*shape, 3), 90))])
    assert np.isfinite(vector).all()
    assert vector.any()


def test_a_truncated_picture_is_refused(lite0, photographs, png):
    with pytest.raises(UndecodableImage):
        lite0.prepare([png(photographs[0])[:5000]])


def test_other_weights_are_refused(tmp_path, lite0):
    state = torch.load(lite0.backbone.path, map_location="cpu", weights_only=True)
    name, tensor = next(iter(state.items()))
    wrong = {
        "unknown.pth": {**state, "_extra.weight": tensor},
        "lacking.pth": {key: value for key, value in state.items() if key != name},
        "narrow.pth": {**state, name: tensor[:1]},
        "list.pth": [tensor],
    }
    for file, content in wrong.items():
        torch.save(content, tmp_path / file)
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "short.pth").write_bytes(lite0.backbone.path.read_bytes()[:5000])
    for file in (*wrong, "text.pth", "empty.pth", "short.pth"):
        encoder = build_encoder("efficientnet-lite0", EncoderChoice(model=str(tmp_path / file)))
        with pytest.raises(InputError, match="expected the weights of tf_efficientnet_lite0"):
            encoder.load(Placement())


def test_a_pickle_is_never_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"weights": Harmful()}, tmp_path / "harmful.pth")
    encoder = build_encoder("efficientnet-lite0", EncoderChoice(model=str(tmp_path / "harmful.pth")))
    with pytest.raises(InputError, match="expected the weights"):
        encoder.load(Placement())


def test_a_folder_without_weights_is_refused_before_any_are_loaded(tmp_path):
    encoder = build_encoder("efficientnet-lite0", EncoderChoice(model=str(tmp_path)))
    with pytest.raises(InputError, match=r"expected model\.safetensors or .*; found neither"):
        encoder.identity()
