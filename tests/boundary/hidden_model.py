"""Run in a fresh interpreter: every learner is imported and fitted while whatever could reach a
model's inside cannot be imported. Prints the fitted learners' names as JSON.

``python -m tests.boundary.hidden_model [MODULE ...]`` imports further modules, to be refused.
"""

import contextlib
import importlib
import importlib.abc
import inspect
import json
import pkgutil
import sys

HIDDEN = (
    "craft.blackbox",
    "craft.data",
    "craft.whitebox",
    "huggingface_hub",
    "open_clip",
    "timm",
    "torchvision",
    "transformers",
)


class Refuse(importlib.abc.MetaPathFinder):
    """Raises where a hidden module, or one below it, is about to be found."""

    def find_spec(self, fullname, path=None, target=None):
        if any(fullname == name or fullname.startswith(name + ".") for name in HIDDEN):
            raise ImportError(f"{fullname} lies behind the black box")


def learners():
    """Every concrete learner class defined below craft.learner."""
    import craft.learner
    from craft.learner.base import Learner

    found = set()
    for info in pkgutil.walk_packages(craft.learner.__path__, "craft.learner."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, Learner):
                found.add(value)
    return sorted((cls for cls in found if not inspect.isabstract(cls)), key=lambda c: c.__name__)


def toy_box(access):
    """A box of an access level, of eight images in two classes, that depends on the context."""
    import torch

    from craft.protocol import (
        BlackBox,
        FeatureBox,
        QueryMeter,
        TextBox,
        UploadBox,
        VisualBox,
        VisualSide,
    )

    class Box:
        context_length, context_width, embedding_std = 1, 2, 1.0
        class_names, image_sets, meter = ("cat", "dog"), {"train": 8}, QueryMeter()

        def predict(self, image_set, context_offsets, purpose="search"):
            self.meter.charge(purpose, len(context_offsets))
            side = torch.tensor([1.0, -1.0] * 4)[:, None] * torch.tensor([1.0, -1.0])
            yield side * context_offsets.sum(dim=(1, 2))[:, None, None]

    class Prompted(Box):
        visual = VisualSide(most_tokens=8, width=2)

        def predict(self, image_set, context_offsets, purpose="search", visual_prompts=None):
            yield from super().predict(image_set, context_offsets, purpose)

    class Service(Box):
        feature_width, logit_scale, predict = 2, 10.0, None

        def image_features(self, image_set, purpose="refine"):
            return torch.eye(2).repeat(4, 1)

        def text_features(self, context_offsets, purpose="search"):
            self.meter.charge(purpose, len(context_offsets))
            turned = torch.eye(2) + 0.1 * context_offsets.sum(dim=(1, 2))[:, None, None]
            yield torch.nn.functional.normalize(turned, dim=-1)

    class Uploads(Box):
        image_size, image_std = 8, (0.5, 0.5, 0.5)

        @contextlib.contextmanager
        def upload(self, images, purpose="search"):
            self.meter.charge(purpose, 0, len(images))
            self.shift = images.mean()
            yield "train"

        def predict(self, *question):
            for scores in super().predict(*question):
                yield scores + self.shift * torch.tensor([1.0, -1.0])

    class Texts(Box):
        templates_per_call, answers = None, "logits"

        def score(self, image_set, templates, purpose="search"):
            lengths = torch.tensor([float(len(template)) for template in templates])
            yield from super().predict(image_set, lengths[:, None, None], purpose)

    boxes = {"predictions": (Box(), BlackBox), "features": (Service(), FeatureBox)}
    boxes |= {"texts": (Texts(), TextBox)}
    boxes |= {"uploads": (Uploads(), UploadBox), "visual-prompts": (Prompted(), VisualBox)}
    box, kind = boxes[access]
    assert isinstance(box, kind)
    return box, torch.tensor([0, 1] * 4)


def own_side():
    """The user's own eight images, and codes of them."""
    import numpy as np
    import torch

    from craft.learner.own import Own

    class Pixels:
        def __len__(self):
            return 8

        def read(self, rows):
            return np.full((len(rows), 8, 8, 3), 128, dtype=np.uint8)

    return {"train": Own(Pixels(), torch.eye(8)[:, :4])}


#: What a learner needs besides to be quick.
QUICK = {
    "BlackVIP": {"steps": 2, "channels": "4", "trigger": 4},
    "ZIP": {"context_tokens": 2, "dimension": 2, "rank": 1},
}


def main():
    sys.meta_path.insert(0, Refuse())
    for module in sys.argv[1:]:
        importlib.import_module(module)
    fitted = []
    for cls in learners():
        options = {"budget": 40, "population": 8, "intrinsic_dim": 2, "hidden": 4}
        learner = cls(**options, **QUICK.get(cls.__name__, {}))
        box, labels = toy_box(learner.access)
        given = {"own": own_side()} if learner.options.own_codes else {}
        assert learner.fit(box, labels, seed=1, **given) is learner
        assert learner.predict(box, "train", **given).shape == (8, 2)
        fitted.append(cls.__name__)
    reached = [name for name in HIDDEN if name in sys.modules]
    assert not reached, f"{reached} were imported"
    print(json.dumps(fitted))


if __name__ == "__main__":
    main()
