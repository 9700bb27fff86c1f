from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten


def define(path):  # what a script defines before its training loop, and that loop, 10 steps of it
    before, after = Path(path).read_text().split("for step in range(num_steps):")
    script = {"__name__": "port", "__file__": path}
    exec(before, script)
    script["loop"] = "for step in range(10):" + after.split("# --- Inference ---")[0]
    return script


def compare(what, ours, theirs):
    ours, theirs = mx.array(ours.tolist()), mx.array(theirs.tolist())
    print(f"{mx.abs(ours - theirs).max().item() / mx.abs(theirs).max().item():.0e} {what}")


mx.set_default_device(mx.cpu)
ours, theirs = define("main.py"), define("tests/pytorch_batched.py")
weights = dict(theirs["model"].named_parameters())
ours["model"].load_weights([(name, mx.array(p.tolist())) for name, p in weights.items()])

ids, targets, *masks = ours["make_batch"](ours["docs"], 0, 32)
batch = theirs["make_batch"](theirs["docs"], 0, 32)
compare("logits", ours["model"](ids, masks[0]), theirs["model"](batch[0], batch[2]))

loss, grads = ours["loss_and_grad"](ours["model"], ids, targets, *masks)
theirs["loss_fn"](theirs["model"], *batch).backward()
for name, grad in tree_flatten(grads):
    compare(f"gradient of {name}", grad, weights[name].grad)

exec(ours["loop"], ours)  # each prints its losses of steps 1 and 10
exec(theirs["loop"], theirs)
