"""What an answer teaches of its model and its replica, for the next requests. PURE."""

from router.answer import Learnt
from router.estimates import ModelEstimates
from router.job import Job
from router.replica_view import Reservation, tokens_seen


def learn(job: Job, reservation: Reservation, learnt: Learnt, estimates: ModelEstimates, now: float) -> None:
    """Takes over what is known of an answer in full. `now`: monotonic seconds of its end."""
    size_bytes, output_tokens = job.chain.size_bytes, learnt.output_tokens
    if not size_bytes or not output_tokens:
        return
    estimates.output_measured(output_tokens)
    if learnt.prompt_tokens:
        estimates.prompt_measured(size_bytes, learnt.prompt_tokens)
    view = reservation.view
    if learnt.text and job.chain.hashes:
        extended = job.chain.extended(job.answered_as(learnt.text))
        if len(extended.hashes) > len(job.chain.hashes):
            view.cache.insert(extended)
    if reservation.first_token_at and output_tokens > 1:
        tokens_seen(reservation, output_tokens, now)
        mean_s = (now - reservation.first_token_at) / (output_tokens - 1)
        estimates.inter_token_measured(view.in_flight + view.others_in_flight, mean_s)
