"""Speed of training beside transformers and torch's AdamW, on the same batches and from the same weights, in one run.

    python benchmarks/train.py

The peer trains one model on all cores. Ours trains one model a core, side by side, as the local executor does with the
trunks of a study. Both see float32. Rounds alternate; the machine may be shared, so the ratio is the median of ratios
of neighbouring rounds. Prints one JSON object: tokens a second, the ratio, the share of the machine's peak in matrix
products, and the losses of both after 200 steps.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

CORES = os.cpu_count() or 1
ROUNDS, PEER_STEPS, OUR_STEPS = 15, 10, 10
LOSS_STEPS = 200
WINDOWS, CONTEXT, VOCAB = 32, 256, 512
SHAPE = {"width": 64, "ffn": 128, "depth": 2, "heads": 1, "vocab_size": VOCAB, "context": CONTEXT}
PEAK_LR, BETAS, WEIGHT_DECAY = 3e-3, (0.9, 0.95), 0.1


def batches():
    """16 batches of windows from a random chain: there is something to learn, and it is the same for both."""
    import torch

    generator = torch.Generator().manual_seed(0)
    successors = torch.randint(VOCAB, (VOCAB, 4), generator=generator)
    tokens = torch.randint(VOCAB, (16, WINDOWS, 1), generator=generator)
    for _ in range(CONTEXT - 1):
        choice = torch.randint(4, (16, WINDOWS), generator=generator)
        tokens = torch.cat([tokens, successors[tokens[..., -1], choice][..., None]], dim=-1)
    return tokens


def our_model():
    from isoloss.models import build
    from isoloss.runs.spec import ModelSpec, Numerics

    return build(ModelSpec(**SHAPE), Numerics(), seed=0)


class Peer:
    """transformers' LlamaForCausalLM and torch's AdamW, as a script would use them."""

    def __init__(self, threads):
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        from isoloss.models.exchange import to_transformers

        torch.set_num_threads(threads)
        config = LlamaConfig(
            vocab_size=VOCAB, hidden_size=SHAPE["width"], intermediate_size=SHAPE["ffn"],
            num_hidden_layers=SHAPE["depth"], num_attention_heads=SHAPE["heads"], max_position_embeddings=CONTEXT,
            tie_word_embeddings=False,
        )  # fmt: skip
        self.model = LlamaForCausalLM(config)
        self.model.load_state_dict(to_transformers(our_model()))
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

    def __init__(self):
        from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec, Schedule
        from isoloss.training.loop import Trainer

        optimiser = Optimiser(peak_lr=PEAK_LR, beta1=BETAS[0], beta2=BETAS[1], weight_decay=WEIGHT_DECAY)
        batch_tokens = WINDOWS * CONTEXT
        self.spec = RunSpec(
            corpus="benchmark", model=ModelSpec(**SHAPE), train_tokens=100_000 * batch_tokens,
            batch_tokens=batch_tokens, optimiser=optimiser, schedule=Schedule(kind="constant"),
        )  # fmt: skip
        self.trainer = Trainer(self.spec, self)

    def batch(self, step):
        return self.tokens

    def step(self, tokens):
        self.tokens = tokens
        self.trainer.advance(self.spec)
        return self.trainer.step_losses[-1]


def serve(contestant):
    """Answer each line, a number of steps, with the seconds they took; 'loss' with the loss after the first 200."""
    tokens = batches()
    first = [contestant.step(tokens[i % 16]) for i in range(LOSS_STEPS)]
    for line in sys.stdin:
        if line.strip() == "loss":
            print(statistics.fmean(first[-16:]), flush=True)
            continue
        started = time.perf_counter()
        for i in range(int(line)):
            contestant.step(tokens[i % 16])
        print(time.perf_counter() - started, flush=True)


class Child:
    """A contestant in a process of its own."""

    def __init__(self, role, threads):
        from isoloss.execution.crew import environment

        self.process = subprocess.Popen(
            [sys.executable, __file__, "--role", role, "--threads", str(threads)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environment(threads)},
        )  # fmt: skip

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self):
        return float(self.process.stdout.readline())


def gemm_peak():
    """FLOP/s of a large float32 product on all cores: best of ten."""
    import torch

    torch.set_num_threads(CORES)
    square = torch.randn(2048, 2048)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        square @ square
        best = min(best, time.perf_counter() - started)
    return 2 * 2048**3 / best


def product_flops_per_token():
    """Products of the linear layers, forward and backward, and those of attention below the diagonal."""
    from isoloss.runs.shapes import count
    from isoloss.runs.spec import ModelSpec

    counts = count(ModelSpec(**SHAPE))
    return 6 * counts.params("with_head") + 6 * counts.attention


def rate(children, steps):
    """Tokens a second of children that work side by side."""
    for child in children:
        child.ask(steps)
    return sum(steps * WINDOWS * CONTEXT / child.answer() for child in children)


def main():
    peer, ours = [Child("peer", CORES)], [Child("ours", 1) for _ in range(CORES)]
    losses = []
    for child in (peer[0], ours[0]):
        child.ask("loss")
        losses.append(child.answer())
    rounds = [(rate(peer, PEER_STEPS), rate(ours, OUR_STEPS)) for _ in range(ROUNDS)]
    our_rate = statistics.median(r[1] for r in rounds)
    result = {
        "peer_tokens_per_second": round(statistics.median(r[0] for r in rounds)),
        "our_tokens_per_second": round(our_rate),
        "ratio": round(statistics.median(b / a for a, b in rounds), 2),
        "ratios": [round(b / a, 2) for a, b in rounds],
        "peak_gflops": round(gemm_peak() / 1e9),
        "share_of_peak": round(our_rate * product_flops_per_token() / gemm_peak(), 2),
        "peer_loss": losses[0],
        "our_loss": losses[1],
        "steps": LOSS_STEPS,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", choices=["peer", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role is None:
        main()
    else:
        serve(Peer(arguments.threads) if arguments.role == "peer" else Ours())
