#!/bin/bash
# train.sh EVIDENCE STEPS: counts a quarter of a second a step; told to stop, it saves its count and ends.
#SBATCH --job-name=train
evidence=$1 last=$2
count=0
[ -n "$TIDEWATT_CHECKPOINT" ] && count=$(cat "$TIDEWATT_CHECKPOINT")
trap asked=1 TERM
echo "begin $TIDEWATT_ATTEMPT $(date +%s%3N) $SLURM_CLUSTER_NAME" >>"$evidence"
while [ "$count" -lt "$last" ]; do
    count=$((count + 1))
    echo "step $TIDEWATT_ATTEMPT $count" >>"$evidence"
    sleep 0.25
    if [ -n "$asked" ]; then
        file=saved-${TIDEWATT_ATTEMPT%.*}
        echo "$count" >"$file.draft"
        mv "$file.draft" "$file"
        echo "paused $TIDEWATT_ATTEMPT $(date +%s%3N)" >>"$evidence"
        exit 85
    fi
done
echo "end $TIDEWATT_ATTEMPT $(date +%s%3N)" >>"$evidence"
