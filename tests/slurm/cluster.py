"""A Slurm of one node on this machine's loopback, for as long as it is needed.

``python -m tests.slurm.cluster COMMAND ...`` runs a command with the cluster's environment. What
it starts it ends, by process id; everything that it writes is below one temporary folder. It needs
root and Debian's packages slurm-wlm and munge, whose own services are left alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])

#: Real sizes are not checked (config_overrides): rules ask for more than a small machine has.
CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MpiDefault=none
ReturnToService=2
MinJobAge=3600
KillWait=5
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 Port={node} CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def unavailable() -> str | None:
    """Why no cluster can be brought up here; None where one can."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing:
        return f"Slurm is not installed (Debian: slurm-wlm, munge): no {', '.join(missing)}"
    if os.geteuid():
        return "bringing up a Slurm of one's own takes root"
    return None


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]
    finally:
        for opened in sockets:
            opened.close()


class Cluster:
    """Munge, a controller and a node of two CPUs; a context manager.

    Raises RuntimeError, with the daemons' logs, where they do not come up.
    """

    def __init__(self, cpus: int = 2, memory: int = 64_000) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.processes: list[subprocess.Popen[bytes]] = []
        control, node = free_ports(2)
        self.ports = (control, node)
        host = socket.gethostname().partition(".")[0]
        self.configuration = CONFIGURATION.format(
            host=host, folder=self.folder, control=control, node=node, cpus=cpus, memory=memory
        )
        self.environment = os.environ | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(self.folder / "bin"), PATH]),
        }

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if len(self.processes) == 3:
            # Jobs that are left would outlive the node's daemon.
            self._run("scancel", "--user=root", "--full")
            self._wait("every job to end", lambda: not self._run("squeue", "--noheader"))
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    def _start(self) -> None:
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(self.configuration, encoding="utf-8")
        # The plugin drops SLURM_CONF from the environment that a job's srun has: it counts on
        # /etc/slurm, which is not ours to write.
        srun = self.folder / "bin/srun"
        found = f"{self.environment['SLURM_CONF']} exec {shutil.which('srun', path=PATH)}"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={found} "$@"\n', encoding="utf-8")
        srun.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        # Munge refuses a path that others may write to; the folder is of mode 0700.
        munge = {
            "key-file": key,
            "socket": self.folder / "munge.socket",
            "pid-file": self.folder / "munged.pid",
            "log-file": self.folder / "munged.log",
            "seed-file": self.folder / "munged.seed",
        }
        options = [f"--{name}={path}" for name, path in munge.items()]
        self._launch("munged", "--foreground", "--num-threads=2", "--force", *options)
        self._wait("munged's socket", munge["socket"].exists)
        self._launch("slurmctld", "-D", "-c")
        self._launch("slurmd", "-D", "-c")
        self._wait("an idle node", lambda: "idle" in self._run("sinfo", "--noheader", "-o", "%T"))

    def _launch(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.out", "wb") as output:
            # A session of its own: Ctrl-C is ours to pass on, jobs first.
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=30
        )
        return done.stdout

    def _wait(self, what: str, there: object, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not there():
            ended = [p.args[0] for p in self.processes if p.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = (*self.folder.glob("*.out"), *self.folder.glob("*.log"))
                said = "\n".join(f"--- {p.name}\n{p.read_text()[-2000:]}" for p in logs)
                raise RuntimeError(f"no {what} after {seconds} s, ended: {ended}\n{said}")
            time.sleep(0.2)


def main() -> None:
    """Run the command line's command with a cluster; its exit status is this one's."""
    if reason := unavailable():
        raise SystemExit(reason)
    with Cluster() as cluster:
        status = subprocess.run(sys.argv[1:], env=cluster.environment, check=False).returncode
    raise SystemExit(status)


if __name__ == "__main__":
    main()
