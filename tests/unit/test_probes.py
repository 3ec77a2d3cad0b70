"""Which kernel programs are loaded, and in what order."""

from __future__ import annotations

from shipper.objects import families


def test_a_login_comes_before_its_program() -> None:
    """Programs at one hook run in the order in which they were loaded: so the program's document has the address."""
    assert families().index("ssh_login") < families().index("exec")


def test_what_records_nothing_is_no_family() -> None:
    """The program that user space runs to change who is watched sends no records, so none names it."""
    assert "control" not in families()
