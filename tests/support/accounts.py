"""Where every record of a rig (tests/support/rig.py) is, at any moment between two steps."""

from support.rig import Rig

from pipeline.verification import Account, account


def balance(rig: Rig, *, may_be_unknown: bool = False) -> Account:
    """See that every record is accounted for; after a power cut some ends may be known to nobody."""
    found = account(rig.places.log_dir)
    faulty = [one for one in found.faulty if one.emitted is not None or not may_be_unknown]
    assert not faulty, [one.sentence for one in faulty]
    return found


def of(found: Account, **wanted: int) -> None:
    """See that an account balances, and what its sums are."""
    assert found.ok, [one.sentence for one in found.faulty]
    assert {name: found.sums[name] for name in wanted} == wanted
