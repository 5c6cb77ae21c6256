"""The verbs about models: `export` gives a trained one to others, `count` says how large one is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isoloss.cli.app import Json, app
from isoloss.cli.output import print_json, say
from isoloss.core.errors import InputError, UnknownName, did_you_mean

if TYPE_CHECKING:
    from isoloss.runs.spec import ModelSpec


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A results folder whose study says keep_weights = true.")],
    run: Annotated[str, typer.Argument(help="Fingerprint of a run, or its beginning. `isoloss runs` lists them.")],
    out: Annotated[Path, typer.Option(help="Folder for config.json and model.safetensors.")],
    json: Json = False,
) -> None:
    """Write a trained model as a folder that transformers loads as LlamaForCausalLM.

    Example: `isoloss export results/mine run1-0a1b --out my_llama`. For families other than llama, only isoloss reads
    the folder.
    """
    from isoloss.models.folder import read_folder, write_folder
    from isoloss.runs.archive import Archive

    archive = Archive.reopen(folder)
    record = archive.find_run(run)
    kept = archive.weights_folder(record.fingerprint)
    if not kept.is_dir():
        fix = "set keep_weights = true under [training] and train into a new folder: finished runs are not repeated"
        raise InputError(f"the weights of run {record.fingerprint} were not kept", place=str(folder), fix=fix)
    model = read_folder(kept)
    write_folder(model, out)
    if json:
        spec = model.spec.model_dump(mode="json")
        print_json({"run": record.fingerprint, "model": spec, "counts": record.counts.model_dump(), "path": str(out)})
    else:
        say(f"{record.fingerprint} ({model.spec.family}, {record.counts.total:,} weights) → {out}")


@app.command()
def count(
    model: Annotated[str, typer.Argument(help="A published shape, such as gzip-4M or porian-5M, or a model's folder.")],
    vocab_size: Annotated[int | None, typer.Option(min=2, help="Vocabulary size. Default: the published one.")] = None,
    context: Annotated[
        int | None, typer.Option(min=2, help="Context length in tokens. Default: the published one.")
    ] = None,
    tied: Annotated[bool, typer.Option(help="Use one matrix for embedding and head.")] = False,
    json: Json = False,
) -> None:
    """Count a model's parameters and FLOPs by every convention, from its shape alone.

    Example: `isoloss count gzip-4M --vocab-size 512`. A folder is one that transformers or `isoloss export` wrote.
    """
    from isoloss.cli import tables
    from isoloss.runs.shapes import EXACT, PARAMS_CONVENTIONS, forward_flops
    from isoloss.runs.shapes import count as count_weights

    asked = {"vocab_size": vocab_size, "context": context, "tied": tied or None}
    spec = _shape(model).model_copy(update={name: value for name, value in asked.items() if value is not None})
    counts = count_weights(spec)
    params: dict[str, int] = {convention: counts.params(convention) for convention in PARAMS_CONVENTIONS}
    flops: dict[str, float] = {c: counts.flops_per_token(c) for c in (*PARAMS_CONVENTIONS, EXACT)}
    layers = forward_flops(spec)._asdict()
    if json:
        print_json({"model": spec.model_dump(mode="json"), "counts": counts.model_dump(), "params": params,
                    "flops_per_token": flops, "forward_flops_per_token": layers})  # fmt: skip
    else:
        tables.show_counts(spec, params, flops, layers)


def _shape(name: str) -> "ModelSpec":
    from isoloss.runs.presets import published

    if Path(name).is_dir():
        from isoloss.models.folder import read_spec

        return read_spec(Path(name))
    known = published("gzip") | published("porian")
    if name not in known:
        raise UnknownName(f"{name!r} is neither a known shape nor a folder", fix=did_you_mean(name, known))
    return known[name]
