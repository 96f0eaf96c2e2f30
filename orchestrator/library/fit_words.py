"""The fit in one sentence for an admin: what fits, or what would. PURE."""

from functools import reduce

from msgspec import Struct

from orchestrator.library.engine_memory import GIB
from orchestrator.library.fit_types import Fit, FitQuestion
from orchestrator.sentences import Saying, Sentence, say


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


def reason(fit: Fit, question: FitQuestion, site: Site) -> Sentence:
    """The first of the reasons against it, each of which would remain if the later ones were not; else how it fits."""
    gpus = question.gpus_per_replica
    if site.limit_tokens and fit.context_tokens > site.limit_tokens:
        return say(Saying.BEYOND_CONTEXT, limit=site.limit_tokens, asked=fit.context_tokens)
    if gpus and not site.gpus_here:
        return say(Saying.WITHOUT_GPU)
    if not site.can_be_split:
        return say(Saying.HEADS_NOT_SPLIT, gpus=gpus, choices=", ".join(map(str, site.splits)))
    if site.gpus_here < gpus:
        return _too_few_gpus(fit, gpus, site)
    if fit.fits:
        return _fitting(fit, question)
    if site.free_bytes < site.taken_bytes:
        return _occupied(fit, site)
    return _too_large(fit, gpus, site)


def _too_few_gpus(fit: Fit, gpus: float, site: Site) -> Sentence:
    if fit.gpus_needed is None:
        return say(Saying.FITS_ON_NONE, gpus=gpus, here=_here(site))
    if fit.gpus_needed <= site.gpus_here:
        return say(Saying.FITS_ON_FEWER, gpus=gpus, here=_here(site), fewer=fit.gpus_needed)
    return _needs_gpus(fit.gpus_needed, gpus, site)


def _fitting(fit: Fit, question: FitQuestion) -> Sentence:
    gpus = question.gpus_per_replica
    wanted = fit.fixed_bytes + fit.kv_cache_bytes if gpus else fit.needed_bytes
    used_bytes = min(wanted, fit.room_bytes)
    memory = say(_place(gpus), used_bytes=used_bytes, room_bytes=fit.room_bytes, gpus=gpus)
    requests = _requests(fit, question.concurrency)
    if fit.needed_bytes + fit.error * fit.fixed_bytes > fit.room_bytes:
        percent = round(100 * fit.error)
        return say(Saying.FITS_NARROWLY, percent=percent, memory=memory, requests=requests)
    return say(Saying.FITS, memory=memory, requests=requests)


def _requests(fit: Fit, asked: int) -> Sentence:
    if asked == 1:
        return say(Saying.ONE_REQUEST, tokens=fit.context_tokens)
    if fit.max_concurrency >= asked:
        return say(Saying.ALL_REQUESTS, asked=asked, tokens=fit.context_tokens)
    return say(Saying.SOME_REQUESTS, most=fit.max_concurrency, asked=asked, tokens=fit.context_tokens)


def _place(gpus: float) -> Saying:
    if not gpus:
        return Saying.ROOM_ON_HOST
    if gpus > 1:
        return Saying.ROOM_ON_GPUS
    return Saying.ROOM_ON_GPU if gpus == 1 else Saying.ROOM_ON_SHARE


def _occupied(fit: Fit, site: Site) -> Sentence:
    share = int(site.free_bytes / site.memory_bytes * 100) / 100
    fits = fit.needed_bytes <= share * site.memory_bytes
    saying = Saying.GPU_OCCUPIED if fits else Saying.GPU_FULL
    return say(saying, taken_bytes=site.taken_bytes, free_bytes=site.free_bytes, share=share)


def _too_large(fit: Fit, gpus: float, site: Site) -> Sentence:
    """More than the room, or than the KV cache that was set."""
    ways = []
    if fit.longest_context_tokens:
        ways.append(say(Saying.WITH_TOKENS, tokens=fit.longest_context_tokens))
    if not gpus and fit.fixed_bytes + fit.kv_request_bytes <= fit.room_bytes:
        ways.append(say(Saying.WITH_CACHE, size=_enough_gib(fit.kv_request_bytes)))
    more_gpus = fit.gpus_needed if fit.gpus_needed and fit.gpus_needed > gpus else None
    on_more = say(Saying.ON_GPUS, gpus=_gpus(more_gpus, gpus, site), here=_here(site)) if more_gpus else None
    if ways:
        way = reduce(_either, [*ways, on_more] if on_more else ways)
        return say(Saying.FITS_OTHERWISE, tokens=fit.context_tokens, way=way)
    if more_gpus and gpus:
        return _needs_gpus(more_gpus, gpus, site)
    where = say(Saying.BEST_GPU if gpus else Saying.THE_HOST)
    if on_more:
        return say(
            Saying.TOO_LARGE_HERE, needed_bytes=fit.needed_bytes, where=where, room_bytes=fit.room_bytes, way=on_more
        )
    return say(Saying.TOO_LARGE_FOR, needed_bytes=fit.needed_bytes, where=where, room_bytes=fit.room_bytes)


def _either(one: Sentence, other: Sentence) -> Sentence:
    return say(Saying.EITHER, one=one, other=other)


def _needs_gpus(count: int, gpus: float, site: Site) -> Sentence:
    saying = Saying.NEEDS_ON_ONE_HOST if count > 1 else Saying.NEEDS
    return say(saying, gpus=_gpus(count, gpus, site), here=_here(site))


def _gpus(count: int, asked: float, site: Site) -> Sentence:
    size = f"{site.needed_gpu_bytes / GIB:.0f} GiB"
    if count > 1:
        return say(Saying.GPUS_OF, number=count, size=size)
    return say(Saying.WHOLE_GPU_OF if asked else Saying.GPU_OF, size=size)


def _here(site: Site) -> Sentence:
    return say(Saying.ONE_HERE) if site.gpus_here == 1 else say(Saying.SO_MANY_HERE, number=site.gpus_here)


def _enough_gib(size_bytes: int) -> str:
    """Rounded up, so that it is enough."""
    return f"{-(-size_bytes * 10 // GIB) / 10:.1f} GiB"
