"""How jobs of well-known frameworks are paused by checkpoint.

Every preset is a start: a job's own terms replace what they name, `folder` above all. What the script has to
do is in docs/pausing.md.
"""

from collections.abc import Mapping

from tidewatt.backends.backend import PauseTerms

# Hugging Face Transformers, `TrainingArguments(enable_jit_checkpoint=True)`: SIGTERM makes the trainer save
# at the next step and return; while it saves, `checkpoint-is-incomplete.txt` lies in the checkpoint's folder
# (transformers 5.23, trainer_jit_checkpoint.py). The script passes `--resume_from_checkpoint` on.
HUGGINGFACE = PauseTerms(
    signal="TERM",
    grace_s=120.0,
    file="checkpoint-*",
    unfinished="checkpoint-is-incomplete.txt",
    resume_args=("--resume_from_checkpoint", "{checkpoint}"),
)

# Lightning saves on SIGUSR1 only below Slurm (2.6.6, SLURMEnvironment); elsewhere SIGTERM raises
# SIGTERMException at the end of a batch, and a ModelCheckpoint that saves on exceptions does so then. The
# exception goes on through the script, so that it ends with exit code 1 where nothing catches it.
LIGHTNING = PauseTerms(
    signal="TERM",
    grace_s=120.0,
    exit_codes=(0, 1, 143),
    file="**/*.ckpt",
    resume_args=("--ckpt_path", "{checkpoint}"),
)

# submitit (1.5.4) saves on SIGUSR2, in its own job's pickle, and then asks Slurm to queue the job again;
# on other engines the process ends after it.
SUBMITIT = PauseTerms(signal="USR2", grace_s=120.0)

# A plain PyTorch loop: on SIGTERM it saves to a file of its own choice under a temporary name, renames it,
# and ends with exit code 85. TIDEWATT_CHECKPOINT tells the next run what to load.
PYTORCH = PauseTerms(signal="TERM", grace_s=120.0, exit_codes=(85,), file="*.pt")

# Anything that saves on SIGTERM and then ends with exit code 0 or 143.
PLAIN = PauseTerms(signal="TERM", grace_s=60.0)

PRESETS: Mapping[str, PauseTerms] = {
    "huggingface": HUGGINGFACE,
    "lightning": LIGHTNING,
    "submitit": SUBMITIT,
    "pytorch": PYTORCH,
    "plain": PLAIN,
}
