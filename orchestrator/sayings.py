"""Every sentence that both the English API and pages in other languages say: its code, and its words in English. PURE.

Pages look the code up in a dictionary of their own language, and show the English where they do not know it.
"""

from enum import StrEnum
from typing import Self

from replicas.doing import Doing


class Saying(StrEnum):
    """Code of a sentence. In its `english`, times and sizes stand by their names without the unit."""

    english: str

    def __new__(cls, code: str, english: str) -> Self:
        made = str.__new__(cls, code)
        made._value_ = code
        made.english = english
        return made

    TEXT = "text", "{said}"

    # --- what a replica does ---
    STARTING = "starting", Doing.STARTING
    CHECKING_FILES = "checking_files", Doing.CHECKING_FILES
    LOADING_VLLM = "loading_vllm", Doing.LOADING_VLLM
    STARTING_ENGINE = "starting_engine", Doing.STARTING_ENGINE
    OPENING_SURFACE = "opening_surface", Doing.OPENING_SURFACE
    SIMULATING_START = "simulating_start", Doing.SIMULATING_START
    WARMING_UP = "warming_up", Doing.WARMING_UP
    FALLING_ASLEEP = "falling_asleep", Doing.FALLING_ASLEEP
    WAKING_UP = "waking_up", Doing.WAKING_UP
    STARTING_AGAIN = "starting_again", Doing.STARTING_AGAIN
    FINISHING = "finishing", Doing.FINISHING
    FETCHING_WEIGHTS = "fetching_weights", Doing.FETCHING_WEIGHTS
    READING_WEIGHTS = "reading_weights", Doing.READING_WEIGHTS
    DRAINING = "draining", Doing.DRAINING
    LOADING_WEIGHTS = "loading_weights", Doing.LOADING_WEIGHTS
    SO_FAR = "so_far", "{doing}: {amount}"
    REPLICA_SAYS = "replica_says", "{said}"
    RAY_SAYS = "ray_says", "{said}"

    # --- states of deployments ---
    JUST_DEPLOYED = "just_deployed", "just deployed"
    REPLICAS_READY = "replicas_ready", "{ready} of {wanted} replicas ready"
    REPLICAS_READY_BUT = "replicas_ready_but", "{ready} of {wanted} replicas ready: {why}"
    SERVED_OUTSIDE = "served_outside", "served outside by {urls}"
    MEANWHILE_OUTSIDE = "meanwhile_outside", "{reason}. Meanwhile requests go to {urls}"
    ASLEEP = "asleep", "nobody asks for it; the next request starts it"
    ASLEEP_IN_MEMORY = "asleep_in_memory", "nobody asks for it; its weights are in memory, the next request wakes it"
    STOPPED = "stopped", "scaled to zero; scale it up to serve it"
    ENGINE_STARTS = "engine_starts", "the engine is starting"
    WAITS_FOR_RAY = "waits_for_ray", "waiting for Ray to start the replica"
    WAITS_FOR_ROOM = "waits_for_room", "waiting for room: {why}"
    SWAPPING = "swapping", "other weights are being loaded, requests wait"
    SWAPPING_NOW = "swapping_now", "other weights are being loaded, requests wait ({doing})"
    SERVE_GAVE_UP = "serve_gave_up", "Ray Serve gave up starting it; see the replica's log"
    NO_TARGET = "no_target", "none of its deployments is there"

    # --- shortages ---
    NEEDS_LABELS = "needs_labels", "a replica needs a node labelled {labels}; there is none"
    ALL_CORDONED = "all_cordoned", "every node that could take a replica is cordoned"
    NEEDS_GPU = "needs_gpu", "a replica needs {needed} GPU; free: {free}"
    NEEDS_GPUS = "needs_gpus", "a replica needs {needed} GPUs on one node; free: {free}"
    NO_GPU = "no_gpu", "a replica needs {needed} GPU, and no node has that"
    TOO_FEW_GPUS = "too_few_gpus", "a replica needs {needed} GPUs on one node; the largest has {largest}"
    NEEDS_CPUS = "needs_cpus", "a replica needs {needed} CPUs on one node; free: {free}"
    TOO_FEW_CPUS = "too_few_cpus", "a replica needs {needed} CPUs on one node; the largest has {largest}"
    GAVE_WAY = "gave_way", "it gave way to {name}"
    ROOM_IS_MADE = "room_is_made", "room is being made: a replica drains"

    # --- why a swap goes which way ---
    ASKED_FOR = "asked_for", "asked for"
    SAME_BUT_NUMBERS = "same_but_numbers", "same architecture, tokenizer and chat template"
    FILES_UNKNOWN = "files_unknown", "the files of a revision are not in the library"
    CONFIG_DIFFERS = "config_differs", "config.json differs ({setting})"
    FILE_DIFFERS = "file_differs", "{file} differs"
    ONE_REPLICA = "one_replica", "there is one replica alone"
    NO_REPLICA = "no_replica", "there is no replica to compare it with"
    ROOM_BESIDE = "room_beside", "{why}, and there is room for new replicas beside the old ones"
    NO_ROOM_BESIDE = "no_room_beside", "{why}, and there is no room for new replicas beside the old ones"
    NO_ROOM_FOR_CANARY = "no_room_for_canary", "{why}, and there is no room for another one beside it"

    # --- what a swap does ---
    LOOKING = "looking", "Looking at the replicas"
    NO_REPLICA_WANTED = "no_replica_wanted", "No replica is wanted"
    TAKES_WEIGHTS = "takes_weights", "{replica} takes the new weights"
    PROVED_WEIGHTS = "proved_weights", "{replica} has proved them"
    REPLICA_DOES = "replica_does", "{replica}: {doing}"
    STARTING_NEW = "starting_new", "Starting replicas of the new revision"
    NEW_REPLICAS_READY = "new_replicas_ready", "{ready} of {wanted} replicas of the new revision ready"
    REPLICAS_READY_NEXT = "replicas_ready_next", "{ready} of {wanted} replicas ready; {doing}"
    REPLACING = "replacing", "Replacing the replicas"
    REPLACING_LOST = "replacing_lost", "No replica is ready; replacing them"
    WAITS_FOR_OTHERS = "waits_for_others", "Waiting for replicas that are on their way"
    RESTARTED_WITH_NEW = "restarted_with_new", "{replica} is started again with the new weights"
    PROMOTED = "promoted", "Promoted"
    GOING_BACK = "going_back", "Going back to the old weights"

    # --- why a swap failed ---
    CANCELLED = "cancelled", "It was cancelled."
    ROLLED_BACK = "rolled_back", "It was rolled back."
    SERVED_ALREADY = "served_already", "These weights are served already."
    NOT_TAKEN = "not_taken", "{replica} does not take the weights: {said}."
    KEPT_OLD = "kept_old", "{replica} kept the old weights: {said}."
    NOT_PREPARED = "not_prepared", "The weights were not ready on every host within {time}."
    LOST_IN_SWAP = (
        "lost_in_swap",
        "{replica} was lost while it took the new weights. The old ones start in its place; try again.",
    )
    SWAP_TOO_SLOW = (
        "swap_too_slow",
        "{replica} did not take the new weights in time. It is started again with the old ones.",
    )
    NOT_SERVABLE = "not_servable", "The new weights cannot be served: {why}."
    NOT_STARTED = "not_started", "they did not start within {time}"
    SERVE_GAVE_THEM_UP = "serve_gave_them_up", "Ray Serve gave up starting them; see the replicas' logs"
    CANARY_ALONE = (
        "canary_alone",
        "A canary needs a replica that keeps the old weights, and there was none. Try again once the deployment is "
        "ready.",
    )
    CANARY_LOST = "canary_lost", "The canary was lost: no replica of the new revision is ready any more."
    CANARY_WORSE = "canary_worse", "The canary was rolled back: {why}."

    # --- how a canary fares ---
    MORE_FAILED = (
        "more_failed",
        "{new} of {new_total} attempts failed with the new revision, {old} of {old_total} with the old one",
    )
    MORE_REFUSED = (
        "more_refused",
        "{new} of {new_total} requests were refused with the new revision, {old} of {old_total} with the old one",
    )
    MORE_EMPTY = (
        "more_empty",
        "{new} of {new_total} answers were empty with the new revision, {old} of {old_total} with the old one",
    )
    MORE_CUT = (
        "more_cut",
        "{new} of {new_total} answers were cut at the length limit with the new revision, {old} of {old_total} with "
        "the old one",
    )
    FIRST_TOKEN_LATER = (
        "first_token_later",
        "first tokens took {new} in the middle with the new revision, {old} with the old one, of {new_total} and "
        "{old_total} measured",
    )
    ANSWERS_SLOWER = (
        "answers_slower",
        "whole answers took {new} in the middle with the new revision, {old} with the old one, of {new_total} and "
        "{old_total} measured",
    )
    ASKED_TOO_LITTLE = "asked_too_little", "too little was asked in {time} to judge it: {why}"
    TOO_FEW_ANSWERS = (
        "too_few_answers",
        "{new} answers by the new revision and {old} by the old one, {needed} of each are needed",
    )
    TOO_FEW_TO_TELL = (
        "too_few_to_tell",
        "{new} answers by the new revision and {old} by the old one are too few to rule out that it fails more often "
        "({failed} of {attempts} did)",
    )
    TIME_LEFT = "time_left", "{left} left; {fared}"
    FARED = "fared", "{new} of {new_total} failed, {old} of {old_total} with the old revision"
    FARED_IN_TIME = "fared_in_time", "{fared}; first token after {new} in the middle, {old} with the old one"

    # --- how weights get into the library, or why not ---
    FINDING_WEIGHTS = "finding_weights", "looking for the weights"
    DOWNLOADING = "downloading", "downloading from {hub}"
    COPYING = "copying", "copying and hashing"
    HASHING = "hashing", "hashing"
    CONVERTING = "converting", "converting {file} to safetensors"
    VERIFYING = "verifying", "verifying"
    IMPORT_CANCELLED = "import_cancelled", "The import was cancelled."
    IMPORT_BROKE = "import_broke", "The import failed in a way that was not foreseen: {said}."
    FILES_UNREADABLE = (
        "files_unreadable",
        "The files could not be read or written: {said}. Check disk and permissions, then try again.",
    )
    REVISION_REMOVED = "revision_removed", "Its revision was removed. Push or import it again."
    NO_DISK_FOR_COPY = (
        "no_disk_for_copy",
        "{folder} has {size} and the library's disk {free} free. Free some space, or import with --link: then the "
        "files are shared and must not be written to any more.",
    )
    TOO_LARGE_FOR_GPUS = (
        "too_large_for_gpus",
        "Its weights alone take {needed}, and the GPUs of one host have {room}. Take a smaller or more strongly "
        "quantised model.",
    )
    TOO_LARGE_FOR_HOST = (
        "too_large_for_host",
        "Its weights alone take {needed}, and this machine has {room}. Take a smaller or more strongly quantised "
        "model.",
    )
    FETCH_ALL_THE_SAME = "fetch_all_the_same", "{why}. Or fetch it all the same, for larger machines, with --anyway."
    REJECTED = "rejected", "{said}"
    REJECTED_CODE = "rejected_code", "{said}"
    REJECTED_CONFIG = "rejected_config", "{said}"
    REJECTED_FILES = "rejected_files", "{said}"
    REJECTED_LIMIT = "rejected_limit", "{said}"
    REJECTED_NUMBERS = "rejected_numbers", "{said}"
    REJECTED_TENSORS = "rejected_tensors", "{said}"
    REJECTED_TOKENIZER = "rejected_tokenizer", "{said}"
    REJECTED_WEIGHTS = "rejected_weights", "{said}"

    # --- whether a model fits ---
    FITS = "fits", "Fits: {memory}; {requests}."
    FITS_NARROWLY = "fits_narrowly", "Fits narrowly, and the estimate may be {percent}% off: {memory}; {requests}."
    ROOM_ON_HOST = "room_on_host", "{used} of {room} free on the host"
    ROOM_ON_GPU = "room_on_gpu", "{used} of {room} on the GPU with most room"
    ROOM_ON_SHARE = "room_on_share", "{used} of {room} in {gpus} of the GPU with most room"
    ROOM_ON_GPUS = "room_on_gpus", "{used} of {room} on each of {gpus} GPUs"
    ONE_REQUEST = "one_request", "one request with {tokens} tokens"
    ALL_REQUESTS = "all_requests", "{asked} requests with {tokens} tokens each"
    SOME_REQUESTS = "some_requests", "{most} of the {asked} requests with {tokens} tokens run at once, the others wait"
    BEYOND_CONTEXT = "beyond_context", "The model reads at most {limit} tokens, and {asked} are asked for."
    WITHOUT_GPU = "without_gpu", "It is to run on a GPU, and there is none."
    HEADS_NOT_SPLIT = "heads_not_split", "The model's attention heads cannot be split over {gpus} GPUs; take {choices}."
    FITS_ON_FEWER = "fits_on_fewer", "{gpus} GPUs on one host are asked for; {here}. It fits on {fewer}."
    FITS_ON_NONE = (
        "fits_on_none",
        "{gpus} GPUs on one host are asked for; {here}. It would not fit on 8 such GPUs either; take a smaller or more "
        "strongly quantised model.",
    )
    NEEDS = "needs", "Needs {gpus}; {here}."
    NEEDS_ON_ONE_HOST = "needs_on_one_host", "Needs {gpus} on one host; {here}."
    ONE_HERE = "one_here", "one is here"
    SO_MANY_HERE = "so_many_here", "{number} are here"
    GPUS_OF = "gpus_of", "{number} GPUs of {size}"
    WHOLE_GPU_OF = "whole_gpu_of", "a whole GPU of {size}"
    GPU_OF = "gpu_of", "a GPU of {size}"
    GPU_OCCUPIED = (
        "gpu_occupied",
        "An engine takes {taken} of the GPU, and {free} are free. It fits with gpu_memory_utilization {share}, or once "
        "other programs have left.",
    )
    GPU_FULL = (
        "gpu_full",
        "An engine takes {taken} of the GPU, and {free} are free, too little for it. Stop what runs there, or add a "
        "GPU.",
    )
    FITS_OTHERWISE = "fits_otherwise", "Does not fit with {tokens} tokens; it fits {way}."
    WITH_TOKENS = "with_tokens", "with {tokens} tokens"
    WITH_CACHE = "with_cache", "with a KV cache of {size}"
    ON_GPUS = "on_gpus", "on {gpus} ({here})"
    EITHER = "either", "{one}, or {other}"
    TOO_LARGE_FOR = (
        "too_large_for",
        "Does not fit: it needs {needed}, and {where} has {room} for it. Take a smaller or more strongly quantised "
        "model.",
    )
    TOO_LARGE_HERE = "too_large_here", "Does not fit: it needs {needed}, and {where} has {room} for it; it fits {way}."
    BEST_GPU = "best_gpu", "the GPU with most room"
    THE_HOST = "the_host", "the host"

    # --- refusals: deployments ---
    NOT_DEPLOYED = "not_deployed", "Nothing is deployed as '{name}'. `roundhouse status` shows the deployments."
    NO_SUCH_MODEL = (
        "no_such_model",
        "The library has no model '{name}'. `roundhouse model list` shows what it has, `roundhouse model import` "
        "brings one in.",
    )
    NO_SUCH_REVISION = (
        "no_such_revision",
        "Model '{name}' has no ready revision {revision}. `roundhouse model revisions {name}` shows what there is.",
    )
    NO_READY_REVISION = "no_ready_revision", "Model '{name}' has no ready revision."
    MODEL_NOT_NAMED = "model_not_named", "Say which model of the library to deploy: `roundhouse model list` shows them."
    MODEL_NOT_READY = "model_not_ready", "Model '{name}' cannot be deployed yet: {why}."
    MODEL_ARRIVES = "model_arrives", "it is on its way into the library"
    MODEL_IS_VERIFIED = "model_is_verified", "it is being verified"
    DEPLOYMENT_IS_SWAPPED = (
        "deployment_is_swapped",
        "'{name}' is being swapped. Wait until that is done, or end it with `roundhouse rollback {name}`.",
    )
    NAME_IS_ALIAS = (
        "name_is_alias",
        "'{name}' is an alias. Choose another name, or remove the alias first: `roundhouse alias rm {name}`.",
    )
    NAME_IS_DEPLOYMENT = "name_is_deployment", "A deployment is called '{name}'. Give the alias another name."
    NAMED_BY_ALIAS = (
        "named_by_alias",
        "The alias '{alias}' sends requests to '{name}'. Give it other models (`roundhouse alias set {alias} "
        "NAME=WEIGHT`) or remove it (`roundhouse alias rm {alias}`) first.",
    )
    ALIAS_NAMES_NOTHING = (
        "alias_names_nothing",
        "Nothing is deployed as '{name}'. `roundhouse status` shows the deployments; an alias names these, not other "
        "aliases.",
    )
    OUTSIDE_HAS_NO_REPLICAS = (
        "outside_has_no_replicas",
        "'{name}' has engines outside alone. Deploy a model under this name to give it replicas here.",
    )
    NOTHING_TO_GO_BACK_TO = (
        "nothing_to_go_back_to",
        "The number of replicas of '{name}' is fixed, so there is nothing to go back to. Leave the time out, or deploy "
        "it with a minimum and a maximum.",
    )
    NUMBER_IS_FIXED = (
        "number_is_fixed",
        "The number of replicas of '{name}' is fixed. Deploy it with a minimum and a maximum (`--min-replicas`, "
        "`--max-replicas`), and it follows the load.",
    )
    ENGINE_ARGS = "engine_args", "engine_args may not hold {refused}. Allowed are {allowed}."
    ENGINE_ARGS_OUTSIDE = (
        "engine_args_outside",
        "engine_args may not hold {refused}. Engines outside have settings of their own.",
    )
    OUTSIDE_NOT_NAMED = (
        "outside_not_named",
        "Without an engine of our own, name at least one outside, with its URL, in external.",
    )
    OUTSIDE_ALONE = (
        "outside_alone",
        "Engines outside alone need no model and no replicas. Leave both out, or choose the engine of the replicas.",
    )
    NO_SLEEP_MODE = "no_sleep_mode", "Sleep mode cannot be: {why}. Or leave it out (`--no-sleep-mode`)."
    SLEEP_OUTSIDE = "sleep_outside", "engines outside are not ours to put to sleep"
    SLEEP_WITHOUT_GPU = (
        "sleep_without_gpu",
        "what a replica that sleeps gives up is its GPUs, and these have none; give them some (`--gpus`)",
    )
    SLEEP_WHERE_IT_GROWS = (
        "sleep_where_it_grows",
        "this cluster grows by itself: Ray assigns GPUs there, and takes them from no replica that lives",
    )

    # --- refusals: swaps ---
    SWAP_RUNNING = (
        "swap_running",
        "'{name}' is being swapped to {revision} already. Wait until that is done, or queue behind it (`--queue`).",
    )
    ALREADY_SERVED = "already_served", "'{name}' serves {revision} already."
    NEVER_SWAPPED = "never_swapped", "'{name}' was not swapped before: there is nothing to go back to."
    SERVES_NO_WEIGHTS = "serves_no_weights", "'{name}' serves no weights of the library. Deploy a model first."
    NOT_IN_PLACE = "not_in_place", "This cannot be done in place: {why}. Leave the strategy out, or take another one."
    RESTART_WITH_CANARY = (
        "restart_with_canary",
        "A restart has no canary: the old replicas end before the new ones start. Leave the strategy out.",
    )
    NO_CANARY = (
        "no_canary",
        "A canary needs both revisions side by side, and this cannot be: {why}. Give '{name}' another replica first "
        "(`roundhouse scale {name} {more}`), free room for one, or swap without a canary.",
    )

    # --- refusals: the library, replicas, nodes, keys, chats ---
    MODEL_IS_DEPLOYED = "model_is_deployed", "Model '{name}' is deployed as {deployments}. Undeploy it first."
    REVISION_UNKNOWN = "revision_unknown", "Model '{name}' has no revision {revision}."
    REVISION_IN_USE = "revision_in_use", "{revision} is deployed. Deploy another revision, or undeploy it first."
    REVISION_IS_VERIFIED = "revision_is_verified", "{revision} is being verified. Try again in a moment."
    DOES_NOT_FIT = "does_not_fit", "{why}. To try it all the same, deploy it with --anyway."
    SOURCE_IS_FILE = "source_is_file", "'{source}' is a file. Give the folder that holds the model, or a .gguf file."
    SOURCE_MISSING = (
        "source_missing",
        "There is no folder or .gguf file '{source}' on the orchestrator's host. Check the path.",
    )
    SOURCE_UNKNOWN = (
        "source_unknown",
        "'{source}' is neither a folder here nor a model's id. An id has the form OWNER/NAME, optionally after `hf:` "
        "or `modelscope:` and before `@REVISION`.",
    )
    NO_HUB_REVISION = (
        "no_hub_revision",
        "'{revision}' is no revision. After OWNER/NAME@ stands a branch, a tag or a commit of the repository.",
    )
    NO_BUCKET = "no_bucket", "'{bucket}' is no bucket. Give s3://BUCKET/FOLDER, with the folder of one model."
    IMPORT_RUNNING = "import_running", "{source} is being imported as '{name}'. Wait until it is done."
    NAME_STANDS_FOR_OTHER = (
        "name_stands_for_other",
        "'{name}' already stands for {standing}. Give `--name {name}` to make {source} its new revision, or another "
        "name.",
    )
    NO_SUCH_REPLICA = "no_such_replica", "There is no replica '{replica}'. `roundhouse status` shows those that run."
    REPLICA_IS_ASLEEP = (
        "replica_is_asleep",
        "'{replica}' is asleep, and its GPUs may be in use. Wake it first: `roundhouse scale {name} 1`.",
    )
    NO_SUCH_NODE = "no_such_node", "There is no node '{address}'. `roundhouse node list` shows the addresses."
    NO_SUCH_KEY = "no_such_key", "There is no key '{key}'. `roundhouse key list` shows the keys."
    KEYS_OF_ONE_NAME = "keys_of_one_name", "{number} keys are named '{key}'. Revoke by id instead."
    KEY_INVALID = "key_invalid", "This key is not valid. Check it, or ask an admin for a new one."
    LOGIN_LINK_USED = (
        "login_link_used",
        "This login link was used already or has expired. `roundhouse login` makes a new one.",
    )
    NO_SUCH_CHAT = "no_such_chat", "This chat is not there any more."
    CHAT_CHANGED = "chat_changed", "This chat was changed elsewhere meanwhile. Read it again."
    CHAT_TOO_LONG = "chat_too_long", "This chat is too long to be kept. Go on in a new one."
    TOO_MANY_CHATS = "too_many_chats", "At most {most} chats are kept. Export and delete some."
    CHATS_TOO_LARGE = "chats_too_large", "Your chats would take more than {mib} MiB. Export and delete some."
    NO_SUCH_TEMPLATE = "no_such_template", "This template is not there any more."
    TOO_MANY_TEMPLATES = "too_many_templates", "At most {most} templates are kept. Delete some first."
    FIELD_INVALID = "field_invalid", "{field}: {said}"
