"""What runs on the machines: POSIX shell scripts, every datum in them quoted.

Debian's dash, Android's mksh with toybox, and busybox all run them. A script answers by marks:
lines of its nonce and words (`say`). It begins by looking whether the machine is still held.
"""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass

NEEDED = "cat chmod df du find mkdir mv rm rmdir setsid sha256sum sleep tail tr wc"
MOST_ERRORS = 1 << 16
# A command outlives its time by this much only where nobody is left to stop it.
GRACE_SECONDS = 10

# A command leads a session of its own, so all that it starts is ended with it. `$0` is the name
# of its files; as it stays in the command line, a number found later is known to be its own.
_COMMAND = """\
echo $$ >"$0.pid"
[ -e "$0.stop" ] && exit
[ "$1" -gt 0 ] && (sleep "$1"; kill -KILL 0) >/dev/null 2>&1 &
shift
("$@")
echo $? >"$0.code"
kill -KILL 0
"""

_FUNCTIONS = """\
owns() {
  read -r p <"$1" || return
  case $p in ''|1|*[!0-9]*) return 1; esac
  case $(tr '\\000' ' ' <"/proc/$p/cmdline") in *"${1%.pid}"*) ;; *) return 1; esac
}
end() { owns "$1" && kill -KILL "-$p"; }
"""


def whole(nonce: str, body: str) -> str:
    """Return a script that is run whole or, where its end was lost on the way, not at all."""
    say = f"say() {{ printf '\\n%s %s\\n' {nonce} \"$*\"; }}"
    return f"{{\nexec 2>/dev/null\n{say}\n{body.rstrip()}\nexit\n}}\n"


def take(cache: str, token: str, owner: str, dead: str = "") -> str:
    """Return what makes the cache folder and the lock; answers `taken`, `held` or a reason.

    Args:
        cache: a shell word that names the folder.
        token: the name of this connection's own folder.
        owner: the line that says who has the lock.
        dead: the line of an owner that is known to be gone.
    """
    return f"""\
{_FUNCTIONS}
missing=
for p in {NEEDED}; do command -v "$p" >/dev/null || missing="$missing $p"; done
[ -z "$missing" ] || {{ say missing$missing; exit; }}
[ -r "/proc/$$/cmdline" ] || {{ say missing /proc; exit; }}
c={cache}
l=$c/lock
umask 077
own() {{ echo {_q(owner)} >"$l/{token}" && mv -f "$l/{token}" "$l/owner" && echo >"$l/beat"; }}
new= stale= busy=
for try in 1 2 3; do
  why=$(mkdir -p "$c/files" "$c/runs" 2>&1) || {{ say unwritable "$why"; exit; }}
  mkdir "$l" && new=1 && break
  [ -d "$l" ] && break
done
chmod 700 "$c"
if [ -z "$new" ]; then
  held=
  read -r held <"$l/owner"
  if [ -n "$held" ] && [ "$held" = {_q(dead)} ]; then
    stale=1
  else
    for f in "$c"/runs/*/*.pid; do owns "$f" && busy=1; done
    recent=$(find "$l" -mmin -2) && [ -z "$recent$busy" ] && stale=1
    # Somebody who was about to take it may have been cut off.
    [ -n "$stale" ] && rmdir "$l/taking"
  fi
  [ -n "$stale" ] && mkdir "$l/taking" || {{ say held "$held"; exit; }}
  for f in "$c"/runs/*/*.pid; do end "$f"; done
  rm -rf "$c/runs"
fi
mkdir -p "$c/runs/{token}" && own || {{ rm -rf "$l"; say unwritable "the disk may be full"; exit; }}
[ -n "$new" ] || rmdir "$l/taking"
say taken "$c"
"""


@dataclass(frozen=True)
class Holder:
    """What a connection holds on a machine.

    Attributes:
        cache: the folder that is kept.
        token: the name of the connection's own folder.
        owner: the line in the lock.
    """

    cache: str
    token: str
    owner: str

    @property
    def own(self) -> str:
        """The connection's own folder."""
        return f"{self.cache}/runs/{self.token}"

    def _guard(self) -> str:
        lock = _q(f"{self.cache}/lock")
        return f"""\
held=
read -r held <{lock}/owner
[ "$held" = {_q(self.owner)} ] || {{ say lost "$held"; exit; }}
echo >{lock}/beat
"""

    def renew(self) -> str:
        """Return what says that the machine is still held; answers `held`."""
        return f"{self._guard()}say held\n"

    def folder(self, path: str) -> str:
        """Return what makes a private folder; answers `made`."""
        return f"""\
{self._guard()}
why=$(mkdir -m 700 {_q(path)} 2>&1) && say made || say unwritable "$why"
"""

    def run(self, name: str, argv: tuple[str, ...], timeout: int) -> str:
        """Return what runs a command.

        Answers `begin`, the output, `exit` with the exit code (nothing where the command was
        stopped), the end of the standard error, `over`.

        Args:
            name: path of the command's files, without their endings.
            argv: the program and its arguments.
            timeout: seconds after which the machine stops the command by itself; 0 for never.
        """
        words = shlex.join((name, str(timeout), *argv))
        return f"""\
{self._guard()}
n={_q(name)}
exec 3>&1
say begin
setsid sh -c {_q(_COMMAND)} {words} </dev/null 2>&1 >&3 3>&- | tail -c {MOST_ERRORS} >"$n.err"
code=
read -r code <"$n.code"
say exit $code
cat "$n.err"
say over
rm -f "$n.pid" "$n.code" "$n.err"
"""

    def stop(self, name: str) -> str:
        """Return what ends a command and all that it started; answers `stopped`."""
        return f"""\
{_FUNCTIONS}
echo >{_q(name + ".stop")}
end {_q(name + ".pid")}
say stopped
"""

    def receive(self, destination: str, size: int, *, keep: bool) -> str:
        """Return what looks whether a file can come; answers `free` with what `df` says.

        Args:
            destination: of the file.
            size: bytes.
            keep: whether a file of that size, if it is there, is the one; answers `have`.
        """
        folder, file = _q(folder_of(destination)), _q(_file(destination))
        have = f"[ -f {file} ] && [ $(wc -c <{file}) -eq {size} ] && {{ say have; exit; }}"
        return f"""\
{self._guard()}
{have if keep else ""}
[ -d {folder} ] || {{ say nofolder; exit; }}
[ -d {file} ] && {{ say folder; exit; }}
say free $(df -Pk {folder} | tail -n 1)
"""

    def accept(self, partial: str, destination: str, digest: str, *, executable: bool) -> str:
        """Return what gives a file that came its name, if it came whole; answers `whole`."""
        file = _q(_file(partial))
        return f"""\
s=$(sha256sum <{file})
s=${{s%% *}}
n=$(wc -c <{file})
if [ "$s" = {digest} ]; then
  {f"chmod 700 {file}" if executable else ""}
  why=$(mv -f {file} {_q(_file(destination))} 2>&1) && {{ say whole; exit; }}
fi
rm -f {file}
[ "$s" = {digest} ] && say unwritable "$why" || say changed $n "$s"
"""

    def write(self, partial: str) -> str:
        """Return what writes the standard input to a file; answers `unwritable` if it cannot."""
        file = _q(_file(partial))
        return f"""\
why=$(cat 2>&1 >{file}) || {{ rm -f {file}; say unwritable "$why"; exit; }}
"""

    def remove(self, *paths: str) -> str:
        """Return what removes files; answers `removed`."""
        return f"rm -f {' '.join(_q(_file(path)) for path in paths)}\nsay removed\n"

    def send(self, path: str) -> str:
        """Return what sends a file; answers `file` with size and digest, the content, `over`."""
        file = _q(_file(path))
        return f"""\
{self._guard()}
[ -d {file} ] && {{ say folder; exit; }}
[ -f {file} ] || {{ say none; exit; }}
[ -r {file} ] || {{ say unreadable; exit; }}
s=$(sha256sum <{file})
say file $(wc -c <{file}) ${{s%% *}}
cat {file}
say over
"""

    def clean(self) -> str:
        """Return what removes all that is kept; answers `freed` with the size before and after."""
        return f"""\
{self._guard()}
c={_q(self.cache)}
size() {{ s=$(du -sk "$c"); echo ${{s%%[!0-9]*}}; }}
before=$(size)
for f in "$c"/* "$c"/.[!.]*; do
  case $f in "$c/lock"|"$c/runs") continue; esac
  rm -rf "$f" || {{ chmod -R u+rwx "$f"; rm -rf "$f"; }}
done
mkdir "$c/files"
say freed $before $(size)
"""

    def leave(self) -> str:
        """Return what removes all but the kept files, and gives the lock back; answers `left`."""
        return f"""\
{_FUNCTIONS}
c={_q(self.cache)}
held=
read -r held <"$c/lock/owner"
if [ "$held" = {_q(self.owner)} ]; then
  for f in "$c"/runs/*/*.pid; do end "$f"; done
  rm -rf "$c/runs" || {{ chmod -R u+rwx "$c/runs"; rm -rf "$c/runs"; }}
  rm -rf "$c/lock"
  rmdir "$c/files"
  rmdir "$c"
fi
say left
"""


def folder_of(path: str) -> str:
    """Return the folder that a path is in, on a machine with POSIX paths."""
    return posixpath.dirname(_file(path))


def _q(text: str) -> str:
    return shlex.quote(text)


def _file(path: str) -> str:
    """Return the path so that no program takes it for an option."""
    return path if path.startswith("/") else f"./{path}"
