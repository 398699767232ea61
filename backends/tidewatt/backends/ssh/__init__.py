"""Another host over SSH, with the same supervisors as this one."""

from tidewatt.backends.ssh.engine import SshEngine as SshEngine
