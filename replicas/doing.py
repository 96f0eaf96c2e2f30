"""What a replica says that it is doing, where it says it in words of ours. PURE."""

from enum import StrEnum


class Doing(StrEnum):
    """A phrase of `Endpoint.detail` or `SwapReport.detail`; what follows it after a colon is an amount."""

    STARTING = "Starting"
    CHECKING_FILES = "Checking the model's files"
    LOADING_VLLM = "Loading vLLM"
    STARTING_ENGINE = "Starting the engine and loading the weights"
    OPENING_SURFACE = "Opening the engine's HTTP surface"
    SIMULATING_START = "Simulating the start of an engine"
    WARMING_UP = "Warming up"
    FALLING_ASLEEP = "Falling asleep"
    WAKING_UP = "Waking up"
    STARTING_AGAIN = "Told to start again"
    FINISHING = "Finishing the requests in flight"
    FETCHING_WEIGHTS = "Fetching the weights"
    READING_WEIGHTS = "Reading the weights"
    DRAINING = "Requests in flight may end"
    LOADING_WEIGHTS = "Loading the new weights"
