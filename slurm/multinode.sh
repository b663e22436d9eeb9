#!/usr/bin/env bash
# Let workers on many nodes use one store at the same time, and check everything that they were told.
#
#     slurm/multinode.sh [workers] [records] [contested]          (8, 50, 20)
#
# On a login node this asks Slurm for an allocation; in a job it uses the job's. Without Slurm the workers are
# processes of this machine. The store is made in TIRASTORE_TEST_DIR, which all nodes must see (default: here), and
# removed if all is well. TIRASTORE_TEST_NODES: how many nodes (default: as many as there are, at most one a worker).
# The status is 0 only if every check was made and is right.
set -euo pipefail
TIRASTORE_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$TIRASTORE_HOME/slurm/env.sh"
workers=${1:-8} records=${2:-50} contested=${3:-20}
for number in "$workers" "$records" "$contested"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || { sed -n '2,4s/^# \?//p' "$0" >&2; exit 2; }
done

slurm=
if command -v srun >/dev/null && [[ -z ${TIRASTORE_TEST_LOCALLY:-} ]]; then slurm=yes; fi
if [[ $slurm && -z ${SLURM_JOB_ID:-} ]]; then
    partition=(${SLURM_PARTITION:+--partition="$SLURM_PARTITION"})
    # Without one, salloc takes the default partition, which sinfo marks with an asterisk.
    there=$(sinfo --noheader --Node --format='%N %P' --states=idle,mixed,allocated "${partition[@]}" |
        awk -v named="${SLURM_PARTITION:-}" 'named != "" || /\*$/ { print $1 }' | sort -u | wc -l)
    nodes=${TIRASTORE_TEST_NODES:-$((there < workers ? there : workers))}
    # None, where another partition is chosen by Slurm's own variables: as many as it likes.
    asked=(--ntasks="$workers")
    if ((nodes)); then asked+=(--nodes="$nodes"); fi
    exec salloc --quiet --job-name=tirastore-multinode --time=30 "${asked[@]}" \
        "$0" "$workers" "$records" "$contested"
fi

mkdir -p "${TIRASTORE_TEST_DIR:=$PWD}"
directory=$(mktemp -d "$TIRASTORE_TEST_DIR/multinode.XXXXXX")
chmod 755 "$directory"
said=$(mktemp)
trap 'rm -f "$said"' EXIT
hosts=${SLURM_JOB_NUM_NODES:-1}
hosts=$((hosts < workers ? hosts : workers))
if [[ ! $slurm ]]; then hosts=1; fi

# run TASKS PROGRAM ARGUMENTS...
run() {
    local tasks=$1
    local program=("$TIRASTORE_PYTHON" "$TIRASTORE_HOME/slurm/$2" "${@:3}")
    if [[ $slurm ]]; then
        srun --ntasks="$tasks" --nodes="$((tasks < hosts ? tasks : hosts))" "${program[@]}"
        return
    fi
    for ((rank = 0; rank < tasks; rank++)); do
        SLURM_PROCID=$rank "${program[@]}" <&0 &
    done
    local status=0
    for ((rank = 0; rank < tasks; rank++)); do wait -n || status=$?; done
    return "$status"
}

size=("$directory" "$workers" "$records" "$contested")
for phase in unique contested cross-read overwrite killed claims; do
    # A worker that fails says nothing, which the verifier notices.
    run "$workers" multinode_worker.py "$phase" "${size[@]}" </dev/null >>"$said" || true
done
if run 1 multinode_verifier.py "${size[@]}" "$hosts" <"$said"; then
    rm -rf "$directory"
else
    echo "the store was left in $directory" >&2
    exit 1
fi
