#!/usr/bin/env bash
# A study on several nodes of a SLURM cluster. From a clone on a shared folder, with its .venv:
#   sbatch examples/slurm.sh --data PATH/TO/WIDERFACE --window 48 --workers 48 --storage postgresql+psycopg://…
# Everything after the script's name goes to harness.study. Ten minutes before its time ends, the job leaves with a
# report and is queued again; so is one whose node fails. It then resumes.
#SBATCH --job-name=featherface-study
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
# For trainings on GPUs: #SBATCH --gpus-per-node=1, and --device cuda --gpus-per-trial 0.25 at the end of the command.
set -euo pipefail

source .venv/bin/activate
head=$(hostname)
ip=$(hostname --ip-address | cut --delimiter=' ' --fields=1)
port=$((20000 + SLURM_JOB_ID % 20000))
RAY_AUTH_TOKEN=$(od --address-radix=n --read-bytes=32 --format=x1 /dev/urandom | tr --delete ' \n')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token

on() { srun --overlap --nodes="$1" --ntasks="$1" "${@:2}" --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats --block & }

on 1 --nodelist="$head" ray start --head --node-ip-address="$ip" --port="$port" --include-dashboard=false
until (: >"/dev/tcp/$ip/$port") 2>/dev/null; do sleep 1; done
others=$((SLURM_JOB_NUM_NODES - 1))
if ((others > 0)); then
    on "$others" --exclude="$head" ray start --address="$ip:$port"
fi

python -m harness.study --engine ray --address "$ip:$port" "$@" &
study=$!
trap 'kill -TERM "$study"; wait "$study" || true; scontrol requeue "$SLURM_JOB_ID"' TERM
wait "$study"
