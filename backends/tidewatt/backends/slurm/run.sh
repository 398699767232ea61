# Runs one attempt inside its allocation: claims it, becomes the parent of the job, and says how it ended.
# The variables that it needs stand before it; every word of the user's is in them, quoted.

umask 077
unset TZ SLURM_TIME_FORMAT
now() { date +%s%3N; }

text() { # a JSON string of words of ours
    local word=${1//\\/\\\\}
    word=${word//\"/\\\"}
    printf '"%s"' "$word"
}

keep() { # durably puts stdin into the file $1
    local draft="$HERE/.$1.$$.$RANDOM"
    cat >"$draft" && { sync "$draft" 2>/dev/null || :; } && mv -f "$draft" "$HERE/$1"
}

# link(2) never replaces: of all who try, one has two names for its draft. A lost reply of a network file
# system may report failure, so the count of names decides.
claim() {
    local draft="$HERE/.claim.$SLURM_JOB_ID.$$.$RANDOM" boot line fields
    read -r boot </proc/sys/kernel/random/boot_id
    line=$(</proc/$$/stat)
    read -r -a fields <<<"${line##*) }"
    STARTED=$(now)
    printf '{"process": {"boot_id": "%s", "pid": %d, "start_ticks": %s}, "started_ms": %s, "mono_s": %s, "slurm": "%s", "restarts": %d, "node": "%s"}\n' \
        "$boot" $$ "${fields[19]}" "$STARTED" "$(cut -d' ' -f1 /proc/uptime)" \
        "$SLURM_JOB_ID" "${SLURM_RESTART_COUNT:-0}" "$(hostname)" >"$draft" || return 2
    sync "$draft" 2>/dev/null
    ln "$draft" "$HERE/claim" 2>/dev/null
    local names
    names=$(stat -c %h "$draft")
    rm -f "$draft"
    [ "$names" = 2 ] && return 0
    [ -e "$HERE/claim" ] && return 1
    return 2
}

finish() { # code, why it ended ("" by itself), sentence, whether its checkpoint is whole, where that is
    printf '{"ended_ms": %s, "code": %d, "stop": %s, "reason": %s, "whole": %s, "path": %s}\n' \
        "$(now)" "$1" "$(text "$2")" "$(text "$3")" "${4:-null}" "$(text "${5:-}")" | keep slurm.exit
}

CHILD= KILLER= WHY= ASKED=
end() { # asks the job to end, once: for the reason that was left here, else because Slurm says so
    INTERRUPTED=1
    [ -n "$CHILD" ] || return
    local signal=TERM grace=$GRACE
    if [ -e "$HERE/slurm.stop" ]; then
        [ "$WHY" = stop ] && return
        WHY=stop
    elif [ -e "$HERE/slurm.pause" ] && [ -n "$PAUSE_SIGNAL" ]; then
        [ -n "$WHY" ] && return
        WHY=pause signal=$PAUSE_SIGNAL grace=$PAUSE_GRACE
        SIZE=$(stat -c %s "$OUT" 2>/dev/null || echo 0)
        touch "$HERE/slurm.pausing"
    else
        [ -n "$WHY" ] && return
        WHY=slurm
    fi
    kill -s "$signal" -- "-$CHILD" 2>/dev/null
    [ -n "$KILLER" ] && kill -KILL -- "-$KILLER" 2>/dev/null
    set -m
    (sleep "$grace"; kill -KILL -- "-$CHILD" 2>/dev/null) </dev/null >/dev/null 2>&1 &
    KILLER=$!
    set +m
}

pass() { # hands a signal on
    INTERRUPTED=1
    [ -n "$CHILD" ] && kill -s "$1" -- "-$CHILD" 2>/dev/null
}

NEWEST=
newest() { # finds the newest checkpoint by its glob
    local IFS= file
    shopt -s nullglob globstar
    cd "$WORK/$PAUSE_FOLDER" 2>/dev/null || cd "$PAUSE_FOLDER" 2>/dev/null || return
    for file in $PAUSE_FILE; do
        if [ -z "$NEWEST" ] || [ "$file" -nt "$NEWEST" ]; then NEWEST=$file; fi
    done
    NEWEST=${NEWEST:+$(realpath "$NEWEST")}
}

whole() { # why the checkpoint after the pause signal is not whole, by each of the signs that were named
    local code=$1 file
    if [ -z "$PAUSE_CODES$PAUSE_FILE$PAUSE_LINE" ] && [ "$code" != 0 ] && [ "$code" != $((128 + $(kill -l "$PAUSE_SIGNAL"))) ]; then
        echo "it ended with exit code $code"
        return 1
    fi
    if [ -n "$PAUSE_CODES" ]; then
        case " $PAUSE_CODES " in *" $code "*) ;; *) echo "it ended with exit code $code"; return 1 ;; esac
    fi
    if [ -n "$PAUSE_FILE" ]; then
        # Not "newer than": the kernel stamps files with its last tick, and a quick save comes in the same.
        if [ -z "$NEWEST" ] || [ "$HERE/slurm.pausing" -nt "$NEWEST" ]; then
            echo "no file $PAUSE_FILE is younger than the signal"
            return 1
        fi
        if [ -n "$PAUSE_UNFINISHED" ]; then
            for file in "$(dirname "$NEWEST")"/$PAUSE_UNFINISHED "$NEWEST"/$PAUSE_UNFINISHED; do
                [ -e "$file" ] && { echo "$file says that it is unfinished"; return 1; }
            done
        fi
    fi
    if [ -n "$PAUSE_LINE" ] && ! tail -c "+$((SIZE + 1))" "$OUT" | grep -Fxq -- "$PAUSE_LINE"; then
        echo "its output does not say $PAUSE_LINE"
        return 1
    fi
    return 0
}

paused() { # after the job has ended: says how, then gives its place back and keeps its turn in the queue
    local code=$1 why good=true
    if [ "$code" = 0 ] && [ -n "$PAUSE_CODES" ]; then
        case " $PAUSE_CODES " in *" 0 "*) ;; *) finish 0 "" ""; return ;; esac # it was done just then
    fi
    [ -n "$PAUSE_FILE" ] && newest
    if [ "$code" = 137 ] && ! kill -0 -- "-$KILLER" 2>/dev/null; then
        why="it was killed: no checkpoint within its ${PAUSE_GRACE} s" good=false
    else
        why=$(whole "$code") || good=false
    fi
    finish "$code" pause "$why" "$good" "$NEWEST"
    rm -f "$HERE/slurm.pause"
    local name there=(-M "$SLURM_CLUSTER_NAME")
    name=$(timeout 20 scontrol show config 2>/dev/null | sed -n 's/^ClusterName *= *//p')
    [ "$name" = "$SLURM_CLUSTER_NAME" ] && there=()
    if timeout 20 scontrol "${there[@]}" requeuehold "$SLURM_JOB_ID" >>"$HERE/slurm.out" 2>&1; then
        trap - TERM # Slurm ends this now; an end by itself would end the job
        sleep 60
    fi
}

claim
case $? in
    1) echo "tidewatt: $ATTEMPT was started or withdrawn before: nothing to do" >&2; exit 0 ;;
    2) echo "tidewatt: $HERE/claim cannot be written" >&2; exit 111 ;;
esac
trap end TERM
for each in HUP INT QUIT USR1 USR2 WINCH; do trap "pass $each" "$each"; done

. "$HERE/slurm.env"
rm -f "$HERE/slurm.env"
export SLURM_JOB_ID TIDEWATT_JOB_ID TIDEWATT_ATTEMPT TIDEWATT_MARKS="$HERE/marks"
mkdir -p "$HERE/marks"
if ! cd "$WORK"; then
    finish 126 "" "the job's folder $WORK cannot be entered on $(hostname): bring it back or submit from another one"
    exit 126
fi
export PWD
if ! { : >>"$OUT" && : >>"$ERR"; } 2>/dev/null; then
    finish 126 "" "the output file $OUT cannot be opened on $(hostname): choose another one"
    exit 126
fi
if command -v nvidia-smi >/dev/null && [ -n "$CUDA_VISIBLE_DEVICES" ]; then
    timeout 20 nvidia-smi -i "$CUDA_VISIBLE_DEVICES" --query-gpu=uuid --format=csv,noheader 2>/dev/null | keep slurm.gpus
fi
[ ${#METER[@]} -gt 0 ] && "${METER[@]}" start $$ </dev/null >>"$HERE/meter.log" 2>&1

if ! type -P -- "${COMMAND[0]}" >/dev/null; then
    finish 127 "" "the command \`${COMMAND[0]}\` does not exist in $WORK on $(hostname), nor in PATH"
    exit 127
fi
set -m # the job has a process group of its own
(umask "$UMASK"; exec "${COMMAND[@]}") </dev/null >>"$OUT" 2>>"$ERR" &
CHILD=$!
LIMITER=
if [ -n "$LIMIT" ]; then
    (sleep "$LIMIT"; [ -e "$HERE/slurm.stop" ] || echo "time limit" | keep slurm.stop; kill -TERM $$) \
        </dev/null >/dev/null 2>&1 &
    LIMITER=$!
fi
set +m
[ -e "$HERE/slurm.stop" ] || [ -e "$HERE/slurm.pause" ] && end

code=0
while :; do # a signal ends `wait`, too
    INTERRUPTED=
    wait "$CHILD"
    code=$?
    [ -n "$INTERRUPTED" ] || break
done
[ ${#METER[@]} -gt 0 ] && "${METER[@]}" end $$ </dev/null >>"$HERE/meter.log" 2>&1
case $WHY in
    pause) paused "$code" ;;
    stop) finish "$code" "$(cat "$HERE/slurm.stop")" "" ;;
    slurm) finish "$code" slurm "" ;;
    *) finish "$code" "" "" ;;
esac
for each in $KILLER $LIMITER; do kill -KILL -- "-$each" 2>/dev/null; done
exit "$code"
