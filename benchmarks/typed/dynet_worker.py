"""The tagger with characters in DyNet, run by DyNet's own interpreter at the end of two pipes.

Usage: dynet_worker.py FOLDER AUTOBATCH RATE. FOLDER holds state.npz (weights by name) and
samples.json (of each sample, of each vertex, children first: type, children, ids by input).
Requests and answers are a line each: ``loss N ...``, ``infer N ...``, ``train N ...`` (forward and
backward), ``step N ...`` (with an update), over the samples of these numbers.
"""

import json
import sys
from pathlib import Path

import dynet_config
import numpy as np

dynet_config.set(mem=2048, autobatch=int(sys.argv[2]), random_seed=1)
import dynet as dy  # noqa: E402  (its settings come first)


class Model:
    """Parameters and declarations."""

    def __init__(self, state, rate):
        self.collection = dy.ParameterCollection()
        self.tables, self.parameters = {}, {}
        for name, value in state.items():
            value = np.ascontiguousarray(value, np.float32)
            if name.endswith("embedding.weight"):
                self.tables[name] = self.collection.lookup_parameters_from_numpy(value)
            else:
                self.parameters[name] = self.collection.parameters_from_numpy(value)
        self.trainer = dy.AdagradTrainer(self.collection, learning_rate=rate, eps=1e-20)
        self.trainer.set_clip_threshold(-1)

    def affine(self, layer, x):
        bias = self.e.get(f"{layer}.bias")
        weight = self.e[f"{layer}.weight"]
        return weight * x if bias is None else dy.affine_transform([bias, weight, x])

    def lstm(self, gates, last):
        size = gates.dim()[0][0] // 4
        i, f, new, o = (dy.pick_range(gates, k * size, (k + 1) * size) for k in range(4))
        c = dy.cmult(dy.logistic(i), dy.tanh(new))
        if last is not None:
            c = c + dy.cmult(dy.logistic(f), last[1])
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c

    def losses(self, sample):
        states = []
        for kind, below, ids in sample:
            last = next((states[k] for k in below if sample[k][0] == kind), None)
            if kind in ("word", "spelled"):
                ways = ("before", "after")
                if kind == "word":
                    xs = dict.fromkeys(ways, self.tables["word.embedding.weight"][ids["word"]])
                else:
                    both = dy.concatenate([states[k][0] for k in below])
                    xs = {way: self.affine(f"spelled.join_{way}", both) for way in ways}
                states.append({way: self.affine(f"word.to_{way}", x) for way, x in xs.items()})
            elif kind == "tag":
                x = dy.concatenate([states[k][0] for k in below])
                states.append(None)
                yield dy.pickneglogsoftmax(self.affine("tag.classifier", x), ids["label"])
            elif kind in ("before", "after"):
                read = next(states[k][kind] for k in below if isinstance(states[k], dict))
                own = (
                    self.e[f"{kind}.u.bias"] if last is None else self.affine(f"{kind}.u", last[0])
                )
                states.append(self.lstm(read + own, last))
            else:
                x = self.tables[f"{kind}.embedding.weight"][ids["letter"]]
                gates = [self.e[f"{kind}.w.bias"], self.e[f"{kind}.w.weight"], x]
                if last is not None:
                    gates += [self.e[f"{kind}.u.weight"], last[0]]
                states.append(self.lstm(dy.affine_transform(gates), last))

    def loss(self, samples):
        dy.renew_cg()
        self.e = {name: parameter.expr(update=True) for name, parameter in self.parameters.items()}
        return dy.esum([x for sample in samples for x in self.losses(sample)])


def main():
    folder = Path(sys.argv[1])
    with np.load(folder / "state.npz") as arrays:
        model = Model({name: arrays[name] for name in arrays.files}, float(sys.argv[3]))
    samples = json.loads((folder / "samples.json").read_text())
    print("ready", flush=True)
    for line in sys.stdin:
        verb, *numbers = line.split()
        loss = model.loss([samples[int(i)] for i in numbers])
        value = loss.value()
        if verb in ("train", "step"):
            loss.backward()
        if verb == "step":
            model.trainer.update()
        print(value, flush=True)


if __name__ == "__main__":
    main()
