"""How processes end: exit codes, signals, errno and the states of Slurm.

Exit codes: bash(1) EXIT STATUS, docker-run(1), systemd.exec(5) "Process Exit Codes", sysexits(3). Signals: signal(7).
errno: errno(3), with what it stands for in these logs. Slurm: squeue(1) JOB STATE CODES.
"""

from __future__ import annotations

import errno
import os

from sparkdoctor.codes import Code, table

SOURCES = {
    "exit": "https://docs.docker.com/engine/containers/run/#exit-status",
    "signal": "https://man7.org/linux/man-pages/man7/signal.7.html",
    "errno": "https://man7.org/linux/man-pages/man3/errno.3.html",
    "slurm": "https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES",
    "systemd": "https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Process%20Exit%20Codes",
}

SIGNALS = table(
    """
1 SIGHUP | its terminal or session was closed | start it with nohup, tmux, or as a service
2 SIGINT | it was interrupted (Ctrl-C)
3 SIGQUIT | it was told to quit with a core dump
4 SIGILL | it ran an instruction that this CPU does not have, or a damaged program | a binary built for another CPU
5 SIGTRAP | a breakpoint or an assertion of a runtime
6 SIGABRT | it aborted itself: an assertion, an uncaught C++ exception, damaged memory found by the C library | the lines before it say why
7 SIGBUS | it touched memory that could not be provided: a file cut off below it, or shared memory used up | look at df -h /dev/shm and the size of --shm-size
8 SIGFPE | an arithmetic error such as a division by zero
9 SIGKILL | it was killed from outside and could say nothing: the kernel's OOM killer, docker stop or kill after its grace time, or a parent that cleans up | look for the OOM killer first
10 SIGUSR1 | a signal that programs give a meaning of their own
11 SIGSEGV | it touched memory that it does not have: a bug in native code, or libraries that do not fit each other | the faulting library is named in the kernel log
12 SIGUSR2 | a signal that programs give a meaning of their own
13 SIGPIPE | the reader of its output went away
14 SIGALRM | a timer ran out
15 SIGTERM | it was asked to end: docker stop, systemd, a parent that cleans up after another failure | not the cause: look for what failed before
24 SIGXCPU | its limit of processor time was reached
25 SIGXFSZ | its limit of file size was reached
31 SIGSYS | it made a system call that a filter (seccomp) forbids | look at --security-opt seccomp
"""
)
EXITS = table(
    """
1 failure | it ended because of an error of its own | the lines before it say why
2 usage | a wrong command line, or an error of its own | the usage line before it says which argument
64 EX_USAGE | a wrong command line
65 EX_DATAERR | wrong input data
66 EX_NOINPUT | an input file could not be opened
69 EX_UNAVAILABLE | a service is not available
70 EX_SOFTWARE | an internal error
71 EX_OSERR | the system refused something
74 EX_IOERR | an error of input or output
75 EX_TEMPFAIL | a failure that may pass
77 EX_NOPERM | permission denied
78 EX_CONFIG | a wrong configuration
124 timeout | timeout(1) ended it
125 docker | the docker command or daemon itself failed, before the container ran | its message stands just before
126 not executable | the command was found and could not be run: no execute permission, a folder, or a program for another CPU | on a Spark (arm64) look at docker image inspect --format {{.Architecture}}
127 not found | the command, or a library that it needs, was not found | look at entrypoint and command, and at PATH in the image
128 bad exit | an exit code that does not exist was given
200 CHDIR | systemd could not change to WorkingDirectory=
201 NICE | systemd could not set the nice level
202 FDS | systemd could not pass file descriptors
203 EXEC | systemd could not run ExecStart=: not there, not executable, or for another CPU
204 MEMORY | systemd ran out of memory
205 LIMITS | systemd could not set the limits (Limit...=)
209 STDOUT | systemd could not set up StandardOutput=
210 CHROOT | systemd could not change the root folder
214 SETSCHEDULER | systemd could not set the scheduling policy
216 GROUP | systemd could not become Group=
217 USER | systemd could not become User=: does that user exist?
218 CAPABILITIES | systemd could not set the capabilities
219 CGROUP | systemd could not set up the control group
226 NAMESPACE | systemd could not set up the mount namespace: a path of ReadWritePaths= or BindPaths= is missing
228 SECCOMP | systemd could not set the system call filter
233 RUNTIME_DIRECTORY | systemd could not make RuntimeDirectory=
238 STATE_DIRECTORY | systemd could not make StateDirectory=
239 CACHE_DIRECTORY | systemd could not make CacheDirectory=
240 LOGS_DIRECTORY | systemd could not make LogsDirectory=
255 failure | ssh itself failed, or the program ended with -1 | with ssh, its message stands just before
"""
)
SLURM = {
    "BOOT_FAIL": "a node did not boot",
    "CANCELLED": "somebody, or a rule, cancelled it",
    "DEADLINE": "its deadline passed",
    "FAILED": "it ended with an exit code other than 0",
    "NODE_FAIL": "a node of it failed",
    "OUT_OF_MEMORY": "it used more memory than it was given",
    "PREEMPTED": "another job took its place",
    "TIMEOUT": "its time limit was reached",
}
_ERRNO = {
    "EPERM": "the kernel forbids it to this user or container: a capability, a device rule, a seccomp filter",
    "ENOENT": "the file or device is not there: in a container, is it mounted?",
    "EIO": "the device or the disk failed: look at the kernel log",
    "ENXIO": "the device is not there",
    "E2BIG": "arguments and environment are too long",
    "EBADF": "a file that is already closed",
    "EAGAIN": "a limit is reached for now: processes (ulimit -u, pids limit) or locked memory",
    "ENOMEM": "memory is used up, or a limit of it is reached: for ibv_reg_mr the locked memory (ulimit -l), for mmap or fork the machine's",
    "EACCES": "permission denied: owner, mode, or the user in the container",
    "EBUSY": "something else uses it",
    "EEXIST": "it is there already",
    "ENODEV": "there is no such device: is the driver loaded, and is the device given to the container?",
    "ENOTDIR": "a part of the path is not a folder",
    "EISDIR": "a folder where a file is expected",
    "EINVAL": "an argument that the kernel does not take: for ibv_modify_qp a GID, MTU or port that does not fit the other side",
    "EMFILE": "too many open files in this process: ulimit -n",
    "ENFILE": "too many open files on this machine",
    "ENOSPC": "no space left: df -h of the path; /dev/shm is memory (--shm-size)",
    "EROFS": "the file system is mounted read-only",
    "EPIPE": "the reader went away",
    "ENODATA": "no data: for ibv_modify_qp an empty entry of the GID table",
    "ETIME": "a timer ran out",
    "EPROTO": "the other side broke the protocol",
    "ENOTSUP": "the device or kernel does not offer this",
    "EADDRINUSE": "another program listens on this port: ss -ltnp",
    "EADDRNOTAVAIL": "the address is not one of this machine: ip -br addr",
    "ENETDOWN": "the interface is down: ip -br link",
    "ENETUNREACH": "no route to this network: ip route get ADDRESS",
    "ECONNABORTED": "the connection was given up on this side",
    "ECONNRESET": "the other side ended the connection: look at its log",
    "ENOBUFS": "the kernel has no buffer left",
    "ENOTCONN": "there is no connection",
    "ETIMEDOUT": "no answer: a firewall that drops packets, a wrong address, or a machine that is off",
    "ECONNREFUSED": "nobody listens there: the other program has not started, has ended, or listens on another address",
    "EHOSTDOWN": "the machine does not answer: cable, address",
    "EHOSTUNREACH": "no path to this machine: cable, address, or a firewall that rejects",
    "ESTALE": "the file of a network file system is gone",
    "EDQUOT": "the quota of the disk is used up",
    "ENOKEY": "a key is missing",
    "ENOEXEC": "a program for another CPU, or a script without #!",
}
_TEXTS = {os.strerror(number): number for number in sorted(errno.errorcode)}


def exited(number: int) -> Code:
    """Of the exit code of a shell or container (137), or as Python's subprocess reports a signal (-9)."""
    sent = -number if number < 0 else number - 128 if 128 < number < 160 else 0
    if sent in SIGNALS:
        code = SIGNALS[sent]
        return Code(number, code.name, f"ended by {code.name}: {code.meaning}", code.advice)
    if sent:
        return Code(number, f"signal {sent}", f"ended by signal {sent}")
    return EXITS.get(number) or EXITS[1]._replace(number=number)


def signalled(name: str) -> Code | None:
    """Of `SIGKILL` or `9`."""
    if name.isdecimal():
        return SIGNALS.get(int(name))
    return next((code for code in SIGNALS.values() if code.name == name), None)


def errno_of(number: int) -> Code | None:
    """Of a number of Linux."""
    name = errno.errorcode.get(number)
    return None if name is None else Code(number, name, os.strerror(number), _ERRNO.get(name, ""))


def errno_named(name: str) -> Code | None:
    number = getattr(errno, name, None)
    return errno_of(number) if isinstance(number, int) else None


def errno_said(text: str) -> Code | None:
    """Of what strerror(3) gives."""
    number = _TEXTS.get(text)
    return None if number is None else errno_of(number)
