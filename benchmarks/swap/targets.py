"""The figures of changing between models that must be reached; what is missed is explained on the page."""

from __future__ import annotations

from benchmarks.figures import Target

ROUTER, LIMIT = "llama-server-router", "limit"
WITHOUT_STATE = "without-saved-state"
COLD, WARM, RAM_DISK = "cold-disk", "warm-cache", "ram-disk"
RESIZE, RELOAD = "resize", "reload"
SMOLLM2, GEMMA, BIG = "smollm2", "gemma", "big"
SPELLED = {SMOLLM2: "SmolLM2-135M", GEMMA: "Gemma-3-270M"}
SWAPS = 50
EARLY_SWAPS = 5

SWAP_TARGETS = (
    *(
        Target(
            "swap",
            f"swap to {name}, request to first token, against llama-server's router",
            f"to_{model}_s",
            "at most",
            0.65,
            ROUTER,
        )
        for model, name in SPELLED.items()
    ),
    *(
        Target(
            "swap",
            f"swap to {name}, seconds above the limit",
            f"to_{model}_s",
            "at most",
            0.08,
            LIMIT,
            relation="difference",
        )
        for model, name in SPELLED.items()
    ),
    Target(
        "back",
        "A, B, and back to a 1,230-token conversation in A, first token, against llama-server's router",
        "ttft_s",
        "at most",
        0.15,
        ROUTER,
    ),
    Target(
        "restart",
        "the same conversation after stop and start of the server, against without saved state",
        "ttft_s",
        "at most",
        0.3,
        WITHOUT_STATE,
    ),
    Target("big-file", "load of a big file, RAM disk against cold disk", "ttft_s", "at most", 0.5, COLD, RAM_DISK),
    *(
        Target(
            "resize",
            f"{name}: context from 2k to 8k, against a full reload",
            "seconds",
            "at most",
            0.3,
            f"{RELOAD}-{model}",
            f"{RESIZE}-{model}",
        )
        for model, name in SPELLED.items()
    ),
    Target(
        "many-swaps",
        f"memory of the server process after {SWAPS} swaps / after {EARLY_SWAPS}",
        "growth",
        "at most",
        1.05,
    ),
    Target(
        "prediction",
        "bytes of a load: the larger of predicted / measured and its inverse",
        "off_by",
        "at most",
        1.1,
    ),
)
