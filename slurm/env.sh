# shellcheck shell=bash
# What all scripts of this directory need. Source it on the login node before `sbatch`; jobs source it themselves.
#
#   TIRASTORE_HOME      the checkout; default: the directory that jobs are submitted from
#   TIRASTORE_MODULES   modules to load, such as "python/3.11 rust gcc"; default: none
#   TIRASTORE_PYTHON    the interpreter that has tirastore; default: .venv/bin/python of the checkout
#   TIRASTORE_DB        the store; default: measurements.db in the checkout
#   SLURM_PARTITION     where jobs run; default: Slurm's own

TIRASTORE_HOME=${TIRASTORE_HOME:-${SLURM_SUBMIT_DIR:-$PWD}}
if [[ ! -f $TIRASTORE_HOME/slurm/env.sh ]]; then
    echo "$TIRASTORE_HOME is no checkout of tirastore: submit from there, or set TIRASTORE_HOME" >&2
    # Not exit: it would end the shell of whoever sources this. Scripts have `set -e`.
    return 2
fi
if [[ -n ${TIRASTORE_MODULES:-} ]]; then
    # shellcheck disable=SC2086 # a list
    module load $TIRASTORE_MODULES
fi
TIRASTORE_PYTHON=${TIRASTORE_PYTHON:-$TIRASTORE_HOME/.venv/bin/python}
TIRASTORE_DB=${TIRASTORE_DB:-$TIRASTORE_HOME/measurements.db}
export TIRASTORE_HOME TIRASTORE_PYTHON TIRASTORE_DB

# srun knows SLURM_PARTITION; sbatch and salloc have names of their own for it.
if [[ -n ${SLURM_PARTITION:-} ]]; then
    export SBATCH_PARTITION=$SLURM_PARTITION SALLOC_PARTITION=$SLURM_PARTITION
fi
