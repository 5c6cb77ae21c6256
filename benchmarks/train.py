"""Speed of training against transformers and torch's AdamW, on the same batches and from the same weights, in one run.

    python benchmarks/train.py                      # four settings, about three minutes on an idle machine
    python benchmarks/train.py --cpu-seconds        # on a busy machine: per CPU second, the peer on one thread
    python benchmarks/train.py --losses             # the losses of both after 200 steps, which takes longer

The peer trains one model in float32 on all cores, as a script would. Ours trains one model a core, side by side, as the
local executor does with the trunks of a study: in bfloat16 products, and for comparison in float32; on a processor
without AVX512-BF16 in float32 alone, and says so. Rounds alternate; the machine may be shared, so a ratio is the median
of ratios of neighbouring rounds. Prints one JSON object a setting: tokens a second, ratios, useful FLOP/s in products
over the machine's peak of that precision, and peak memory.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

CORES = os.cpu_count() or 1
ROUNDS = 5
LOSS_STEPS = 200
WINDOWS, CONTEXT = 32, 256
# (width, FFN, layers, heads), vocabulary; steps a round of the peer and of ours. The last one is the demo's.
SETTINGS = {
    "large vocabulary": ((64, 128, 2, 1), 32_001, 1, 2),
    "small": ((64, 128, 2, 1), 512, 6, 10),
    "wider": ((256, 512, 6, 4), 512, 1, 2),
    "one window": ((16, 44, 2, 1), 256, 100, 400),
}
WINDOWS_OF = {"one window": 1}  # a step, where not WINDOWS
PEAK_LR, BETAS, WEIGHT_DECAY = 3e-3, (0.9, 0.95), 0.1


def precisions():
    """What ours trains in here: bfloat16 where the processor multiplies pairs of it, and float32."""
    from isoloss.core.machine import multiplies_bfloat16

    return ("bfloat16", "float32") if multiplies_bfloat16() else ("float32",)


def spec_of(setting):
    from isoloss.runs.spec import ModelSpec

    (width, ffn, depth, heads), vocab_size, _, _ = SETTINGS[setting]
    return ModelSpec(width=width, ffn=ffn, depth=depth, heads=heads, vocab_size=vocab_size, context=CONTEXT)


def batches(vocab_size, windows):
    """16 batches of windows from a random chain: there is something to learn, and it is the same for both."""
    import torch

    generator = torch.Generator().manual_seed(0)
    successors = torch.randint(vocab_size, (vocab_size, 4), generator=generator)
    tokens = torch.randint(vocab_size, (16, windows, 1), generator=generator)
    for _ in range(CONTEXT - 1):
        choice = torch.randint(4, (16, windows), generator=generator)
        tokens = torch.cat([tokens, successors[tokens[..., -1], choice][..., None]], dim=-1)
    return tokens


class Peer:
    """transformers' LlamaForCausalLM and torch's AdamW, as a script would use them."""

    def __init__(self, spec, threads):
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        from isoloss.models import build
        from isoloss.models.exchange import to_transformers
        from isoloss.runs.spec import Numerics

        torch.set_num_threads(threads)
        config = LlamaConfig(
            vocab_size=spec.vocab_size, hidden_size=spec.width, intermediate_size=spec.ffn,
            num_hidden_layers=spec.depth, num_attention_heads=spec.heads, max_position_embeddings=CONTEXT,
            tie_word_embeddings=False,
        )  # fmt: skip
        self.model = LlamaForCausalLM(config)
        self.model.load_state_dict(to_transformers(build(spec, Numerics(), seed=0)))
        self.adamw = torch.optim.AdamW(self.model.parameters(), lr=PEAK_LR, betas=BETAS, weight_decay=WEIGHT_DECAY)

    def step(self, tokens):
        import torch

        loss = self.model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.adamw.step()
        self.adamw.zero_grad()
        return float(loss.detach())


class Ours:
    """The loop of `isoloss.training`, fed with batches instead of a corpus."""

    def __init__(self, model, dtype, windows):
        from isoloss.runs.spec import Numerics, Optimiser, RunSpec, Schedule
        from isoloss.training.loop import Trainer

        optimiser = Optimiser(peak_lr=PEAK_LR, beta1=BETAS[0], beta2=BETAS[1], weight_decay=WEIGHT_DECAY)
        batch_tokens = windows * CONTEXT
        self.spec = RunSpec(
            corpus="benchmark", model=model, train_tokens=100_000 * batch_tokens, batch_tokens=batch_tokens,
            optimiser=optimiser, schedule=Schedule(kind="constant"), numerics=Numerics(dtype=dtype),
        )  # fmt: skip
        self.trainer = Trainer(self.spec, self)

    def batch(self, step):
        return self.tokens

    def step(self, tokens):
        self.tokens = tokens
        self.trainer.advance(self.spec)
        return self.trainer.step_losses[-1]


def serve(contestant, tokens):
    """Answer each line, a number of steps: their seconds, CPU seconds, mean loss of the last 16, memory in MiB."""
    losses = []
    for line in sys.stdin:
        started, cpu = time.perf_counter(), time.process_time()
        losses += [contestant.step(tokens[(len(losses) + i) % 16]) for i in range(int(line))]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = time.perf_counter() - started, time.process_time() - cpu
        print(*seconds, statistics.fmean(losses[-16:]), memory, flush=True)


class Child:
    """A contestant in a process of its own."""

    def __init__(self, role, setting, windows, threads=1):
        from isoloss.execution.work import environment

        self.process = subprocess.Popen(
            [sys.executable, __file__, "--role", role, "--setting", setting, "--windows", str(windows),
             "--threads", str(threads)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environment(threads)},
        )  # fmt: skip

    def ask(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()

    def answer(self):
        """Return (seconds, CPU seconds, loss, MiB)."""
        return tuple(float(x) for x in self.process.stdout.readline().split())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def gemm_peak(dtype, cores):
    """FLOP/s of a large product on so many cores: best of ten."""
    import torch

    torch.set_num_threads(cores)
    square = torch.randn(2048, 2048).to(getattr(torch, dtype))
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        square @ square
        best = min(best, time.perf_counter() - started)
    return 2 * 2048**3 / best


def product_flops_per_token(spec):
    """Products of the linear layers, forward and backward, and those of attention below the diagonal."""
    from isoloss.runs.shapes import count

    counts = count(spec)
    return 6 * counts.params("with_head") + 6 * counts.attention


def rate(children, steps, windows, *, cpu):
    """Tokens a second of children that work side by side; with `cpu`, a CPU second."""
    for child in children:
        child.ask(steps)
    return sum(steps * windows * CONTEXT / child.answer()[cpu] for child in children)


def speeds(setting, *, cpu):
    cores, windows = 1 if cpu else CORES, WINDOWS_OF.get(setting, WINDOWS)
    spec, (_, _, peer_steps, our_steps) = spec_of(setting), SETTINGS[setting]
    teams = {
        "peer": [Child("peer", setting, windows, cores)],
        **{dtype: [Child(dtype, setting, windows) for _ in range(cores)] for dtype in precisions()},
    }
    memory = {}
    for name, team in teams.items():  # a step to load and compile
        for child in team:
            child.ask(1)
            memory[name] = child.answer()[3]
    steps = {name: peer_steps if name == "peer" else our_steps for name in teams}
    rounds = [{name: rate(team, steps[name], windows, cpu=cpu) for name, team in teams.items()} for _ in range(ROUNDS)]
    for team in teams.values():
        for child in team:
            child.end()
    result = {
        "setting": setting, "cores": cores, "shape": SETTINGS[setting][0], "vocabulary": spec.vocab_size,
        "peer": {
            "tokens_per_second": round(statistics.median(r["peer"] for r in rounds)),
            "MiB": round(memory["peer"]),
        },
    }  # fmt: skip
    for name in precisions():
        ours, peak = statistics.median(r[name] for r in rounds), gemm_peak(name, cores)
        result[name] = {
            "tokens_per_second": round(ours), "ratio": round(statistics.median(r[name] / r["peer"] for r in rounds), 2),
            "ratios": [round(r[name] / r["peer"], 2) for r in rounds],
            "gflops": round(ours * product_flops_per_token(spec) / 1e9), "peak_gflops": round(peak / 1e9),
            "share_of_peak": round(ours * product_flops_per_token(spec) / peak, 2), "MiB a run": round(memory[name]),
        }  # fmt: skip
    return result


def losses(setting, windows):
    found = {}
    for name in ("peer", *precisions()):
        child = Child(name, setting, windows, CORES if name == "peer" else 1)
        child.ask(LOSS_STEPS)
        found[name] = child.answer()[2]
        child.end()
    ours = precisions()[0]
    found[f"{ours} over peer"] = found[ours] / found["peer"]
    return {"setting": setting, "steps": LOSS_STEPS, "windows": windows, "loss": found}


def main(arguments):
    if "bfloat16" not in precisions():
        print("this processor has no AVX512-BF16: float32 is measured", file=sys.stderr, flush=True)
    for setting in [arguments.setting] if arguments.setting else SETTINGS:
        print(
            json.dumps(
                losses(setting, arguments.loss_windows)
                if arguments.losses
                else speeds(setting, cpu=arguments.cpu_seconds),
                indent=1,
            ),
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=list(SETTINGS))
    parser.add_argument("--cpu-seconds", action="store_true", help="rates by CPU seconds, everybody on one thread")
    parser.add_argument("--losses", action="store_true", help="losses after 200 steps, in place of speeds")
    parser.add_argument("--role", choices=["peer", "float32", "bfloat16"], help=argparse.SUPPRESS)
    parser.add_argument("--loss-windows", type=int, default=8, help="windows a step for --losses")
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--windows", type=int, default=WINDOWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role is None:
        main(arguments)
    else:
        model, tokens = spec_of(arguments.setting), batches(SETTINGS[arguments.setting][1], arguments.windows)
        peer = arguments.role == "peer"
        serve(Peer(model, arguments.threads) if peer else Ours(model, arguments.role, arguments.windows), tokens)
