"""Passwords that a program reads in raw mode: known by a prompt that asks for one, and by what is not echoed.

In canonical mode the kernel keeps what is read without echo to itself. A program that reads key by key (sudo with
pwfeedback, ssh onward, mysql, fish) looks like a line editor; but that one shows what is typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PROMPT_CHARS = 256
_KEPT = 1024
"""Bytes of which the last line's last PROMPT_CHARS are taken: control sequences are not counted."""
_ENDS = re.compile(rb"[\r\n\x03\x04]")
# ECMA-48: CSI, then OSC, DCS, PM, APC, SOS up to ST or BEL, then other escapes.
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]|\x1b|[\x00-\x08\x0b-\x1f\x7f]"
)
_WORDS = (
    r"pass ?words?|pass ?phrase|pass ?code|passwd|pin|token|otp|secret",
    r"(?:verification|security|one.time|2fa|mfa) ?code",
    r"passwor[td]|kennwort|geheimzahl|bestätigungscode",
    r"mot de passe|phrase (?:de passe|secrète)|code (?:secret|de vérification)",
    r"contraseña|clave|frase (?:de paso|de contraseña)|código de verificación",
    r"parola d.ordine|frase d.accesso|codice (?:segreto|di verifica)",
    r"senha|palavra.passe|frase.(?:passe|secreta)|código de verificação",
    r"wachtwoord(?:zin)?|wachtzin|verificatiecode",
    r"парол[ьяе]|(?:парольн|кодов)\w+ фраз\w+|код подтверждения|пин.код",
)
_PROMPT = re.compile(
    rf"(?:(?<!\w)(?:{'|'.join(_WORDS)})(?!\w)|密码|密碼|口令|验证码|驗證碼|パスワード|パスフレーズ|暗証番号)"
    r".{0,200}[:>?\uff1a\uff1e\uff1f][ \t]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_MASK = re.compile(r"[*\u2022\u25cf\u2219\xb7\u25e6\u25a0\u2588\u25aa\uff0a\s]+")
"""What programs show for a key: sudo an asterisk, fish a circle; and blanks, by which they take it back."""
_CLASSES = ((0, "0"), (8, "1-8"), (16, "9-16"), (32, "17-32"))


def length_class(length: int) -> str:
    """Roughly how long a secret is: 0, 1-8, 9-16, 17-32 or 33+ bytes. The length itself would tell too much."""
    return next((name for most, name in _CLASSES if length <= most), "33+")


def last_line(shown: bytes) -> str:
    """The last line of what was shown, at most its last 256 characters, without control sequences."""
    text = CONTROL.sub("", shown.decode(errors="replace").rpartition("\n")[2].rpartition("\r")[2])
    return text[-PROMPT_CHARS:]


def asks(line: str) -> bool:
    """Whether a line ends in a prompt for something secret, in one of eleven languages."""
    return _PROMPT.search(line) is not None


def _line(before: bytes, content: bytes) -> bytes:
    """The end of the last line: of earlier ones, which may have secrets in them, a worker's state keeps nothing."""
    content = content[-_KEPT:]
    newline = content.rfind(b"\n")
    return content[newline + 1 :] if newline >= 0 else (before + content)[-_KEPT:]


@dataclass(slots=True, eq=False)
class Keys:
    """What a program reads key by key, as far as it may be a secret. No key is kept, only how many there were.

    A small machine: idle → (a key in raw mode without echo, at a prompt for a secret) → reading → (Return, ctrl-c,
    ctrl-d, or the terminal is set to another mode) → idle, with a secret; or, where what is typed is shown → idle.
    """

    reader: int = 0
    """Process id of who reads; 0: nothing secret is being read."""
    length: int = 0
    """Bytes so far."""
    prompt: str = ""
    """The line that asked."""
    shown: bytes = b""
    """The end of the line that the terminal shows."""
    written: bytes = b""
    """The end of the line that programs wrote to it: it is told before it is shown."""

    @property
    def secret(self) -> bool:
        """Whether what is consumed now is taken for a secret."""
        return self.reader != 0

    def show(self, content: bytes) -> None:
        """The terminal showed something."""
        self.shown = _line(self.shown, content)

    def write(self, writer: int, content: bytes) -> None:
        """A program wrote something in raw mode or without a newline last: perhaps a prompt, perhaps an echo.

        Lines of another process than the reader are no echo: background jobs end theirs.
        """
        self.written = _line(self.written, content)
        if not self.reader or (writer != self.reader and b"\n" in content):
            return
        text = _MASK.sub("", CONTROL.sub("", content.decode(errors="replace")))
        if text and text != _MASK.sub("", self.prompt):
            self.reader = self.length = 0
            self.prompt = ""

    def read(self, reader: int, content: bytes) -> int | None:
        """Keys were read in raw mode without echo. Returns how long the secret is that they end, None where none."""
        if self.reader != reader:
            line = next((line for line in map(last_line, (self.written, self.shown)) if asks(line)), None)
            if line is None:
                return None
            self.reader, self.length, self.prompt = reader, 0, line
        end = _ENDS.search(content)
        self.length += end.start() if end else len(content)
        return self.end() if end else None

    def end(self) -> int | None:
        """The terminal was set to another mode, or is gone. Returns how long the secret is that ends, None for none."""
        length = self.length if self.reader else None
        if length is not None:
            self.reader = self.length = 0
            self.prompt, self.shown, self.written = "", b"", b""
        return length
