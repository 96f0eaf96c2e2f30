"""The fit in one sentence for an admin: what fits, or what would. PURE."""

from msgspec import Struct

from orchestrator.library.engine_memory import GIB
from orchestrator.library.fit_types import Fit, FitQuestion


class Site(Struct, frozen=True, kw_only=True):
    """What is there for it. Bytes of one GPU, or of the host."""

    gpus_here: int
    """The most on one host."""
    memory_bytes: int
    """All that is there."""
    taken_bytes: int
    """What an engine takes of a GPU as soon as it starts."""
    free_bytes: int
    needed_gpu_bytes: int
    """Memory of each of the GPUs that are needed."""
    can_be_split: bool
    """Over the GPUs that are asked for."""
    splits: tuple[int, ...]
    """Numbers of GPUs over which the model can be split."""
    limit_tokens: int | None
    """The most that the model reads."""


def reason(fit: Fit, question: FitQuestion, site: Site) -> str:
    """The first of the reasons against it, each of which would remain if the later ones were not; else how it fits."""
    gpus = question.gpus_per_replica
    if site.limit_tokens and fit.context_tokens > site.limit_tokens:
        return f"The model reads at most {site.limit_tokens:,} tokens, and {fit.context_tokens:,} are asked for."
    if gpus and not site.gpus_here:
        return "It is to run on a GPU, and there is none."
    if not site.can_be_split:
        *others, last = map(str, site.splits)
        choices = f"{', '.join(others)} or {last}" if others else last
        return f"The model's attention heads cannot be split over {gpus:g} GPUs; take {choices}."
    if site.gpus_here < gpus:
        return _too_few_gpus(fit, gpus, site)
    if fit.fits:
        return _fitting(fit, question)
    if site.free_bytes < site.taken_bytes:
        return _occupied(fit, gpus, site)
    return _too_large(fit, gpus, site)


def _too_few_gpus(fit: Fit, gpus: float, site: Site) -> str:
    asked = f"{gpus:g} GPUs on one host are asked for; {_here(site)}"
    if fit.gpus_needed is None:
        return f"{asked}. It would not fit on 8 such GPUs either; take a smaller or more strongly quantised model."
    if fit.gpus_needed <= site.gpus_here:
        return f"{asked}. It fits on {fit.gpus_needed}."
    return _needs_gpus(fit.gpus_needed, gpus, site)


def _fitting(fit: Fit, question: FitQuestion) -> str:
    gpus, asked = question.gpus_per_replica, question.concurrency
    is_narrow = fit.needed_bytes + fit.error * fit.fixed_bytes > fit.room_bytes
    fits = f"Fits narrowly, and the estimate may be {fit.error:.0%} off" if is_narrow else "Fits"
    wanted = fit.fixed_bytes + fit.kv_cache_bytes if gpus else fit.needed_bytes
    memory = f"{_gib(min(wanted, fit.room_bytes))} of {_gib(fit.room_bytes)} {_where(gpus)}"
    tokens = f"{fit.context_tokens:,} tokens"
    if asked == 1:
        return f"{fits}: {memory}; one request with {tokens}."
    if fit.max_concurrency >= asked:
        return f"{fits}: {memory}; {asked:,} requests with {tokens} each."
    return (
        f"{fits}: {memory}; {fit.max_concurrency:,} of the {asked:,} requests with {tokens} run at once, "
        "the others wait."
    )


def _where(gpus: float) -> str:
    if not gpus:
        return "free on the host"
    if gpus > 1:
        return f"on each of {gpus:g} GPUs"
    return "on the GPU with most room" if gpus == 1 else f"in {gpus:g} of the GPU with most room"


def _occupied(fit: Fit, gpus: float, site: Site) -> str:
    gpu = "each GPU" if gpus > 1 else "the GPU"
    taken = f"An engine takes {_gib(site.taken_bytes)} of {gpu}, and {_gib(site.free_bytes)} are free"
    share = int(site.free_bytes / site.memory_bytes * 100) / 100
    if fit.needed_bytes <= share * site.memory_bytes:
        return f"{taken}. It fits with gpu_memory_utilization {share:g}, or once other programs have left."
    return f"{taken}, too little for it. Stop what runs there, or add a GPU."


def _too_large(fit: Fit, gpus: float, site: Site) -> str:
    """More than the room, or than the KV cache that was set."""
    ways = []
    if fit.longest_context_tokens:
        ways.append(f"with {fit.longest_context_tokens:,} tokens")
    if not gpus and fit.fixed_bytes + fit.kv_request_bytes <= fit.room_bytes:
        ways.append(f"with a KV cache of {_gib(fit.kv_request_bytes, up=True)}")
    more_gpus = fit.gpus_needed if fit.gpus_needed and fit.gpus_needed > gpus else None
    if ways and more_gpus:
        ways.append(f"on {_gpus(more_gpus, gpus, site)} ({_here(site)})")
    if ways:
        return f"Does not fit with {fit.context_tokens:,} tokens; it fits {', or '.join(ways)}."
    if more_gpus and gpus:
        return _needs_gpus(more_gpus, gpus, site)
    where = "the GPU with most room" if gpus else "the host"
    refusal = f"Does not fit: it needs {_gib(fit.needed_bytes)}, and {where} has {_gib(fit.room_bytes)} for it"
    if more_gpus:
        return f"{refusal}; it fits on {_gpus(more_gpus, gpus, site)} ({_here(site)})."
    return f"{refusal}. Take a smaller or more strongly quantised model."


def _needs_gpus(count: int, gpus: float, site: Site) -> str:
    return f"Needs {_gpus(count, gpus, site)}{' on one host' if count > 1 else ''}; {_here(site)}."


def _gpus(count: int, asked: float, site: Site) -> str:
    size = f"{site.needed_gpu_bytes / GIB:.0f} GiB"
    if count > 1:
        return f"{count} GPUs of {size}"
    return f"a whole GPU of {size}" if asked else f"a GPU of {size}"


def _here(site: Site) -> str:
    return "one is here" if site.gpus_here == 1 else f"{site.gpus_here} are here"


def _gib(size_bytes: float, up: bool = False) -> str:
    tenths = -(-size_bytes * 10 // GIB) if up else round(size_bytes * 10 / GIB)
    return f"{tenths / 10:.1f} GiB"
