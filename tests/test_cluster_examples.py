"""The job script and the manifest of docs/howto/cluster.md, as far as they can be checked without a cluster."""

import re
import shlex
import shutil
import subprocess
from typing import Any

import yaml

from harness.study import _parser
from tests.toy import ROOT

SCRIPT = ROOT / "examples" / "slurm.sh"
MANIFEST = ROOT / "examples" / "kuberay.yaml"

FIELDS = {
    "spec": {
        *("activeDeadlineSeconds", "backoffLimit", "clusterSelector", "entrypoint", "entrypointNumCpus"),
        *("entrypointNumGpus", "jobId", "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes"),
        *("submissionMode", "submitterPodTemplate", "suspend", "ttlSecondsAfterFinished"),
    },
    "rayClusterSpec": {
        *("authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "headGroupSpec", "rayVersion"),
        *("gcsFaultToleranceOptions", "workerGroupSpecs"),
    },
    "group": {
        *("groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams", "template"),
        *("serviceType", "resources", "labels"),
    },
    "container": {"name", "image", "env", "envFrom", "ports", "resources", "volumeMounts", "workingDir"},
}
"""Fields of KubeRay's API ray.io/v1 and of a container in Kubernetes' v1."""

QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?")


def test_the_job_script_is_sound() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", SCRIPT], check=True)
    directives = re.findall(r"^#SBATCH (--[a-z-]+)(?:=(\S+))?$", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {"--nodes", "--ntasks-per-node", "--cpus-per-task", "--time", "--signal", "--requeue"} <= set(
        dict(directives)
    )


def test_the_command_accepts_the_options_in_the_examples() -> None:
    usage = next(line for line in SCRIPT.read_text(encoding="utf-8").splitlines() if "sbatch examples/slurm.sh" in line)
    for arguments in (usage.partition("slurm.sh ")[2], manifest()["spec"]["entrypoint"].partition("harness.study ")[2]):
        assert _parser().parse_args(shlex.split(arguments)).window > 0


def manifest() -> Any:
    return yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))


def test_the_manifest_has_the_fields_of_a_ray_job() -> None:
    found = manifest()
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z0-9-]+", found["metadata"]["name"])
    spec, cluster = found["spec"], found["spec"]["rayClusterSpec"]
    assert set(spec) <= FIELDS["spec"]
    assert set(cluster) <= FIELDS["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (cluster["headGroupSpec"], workers):
        assert set(group) <= FIELDS["group"]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert set(container) <= FIELDS["container"]
        resources = container["resources"]
        assert resources["requests"] == resources["limits"], "Ray counts the cores of the limit"
        assert all(isinstance(q, str) and QUANTITY.fullmatch(q) for q in resources["limits"].values())
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
        assert spec["entrypoint"].startswith(f"cd {mounted['study']} && ")


def test_the_manifest_has_the_version_of_ray_that_was_tested() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={manifest()['spec']['rayClusterSpec']['rayVersion']}" in constraints
