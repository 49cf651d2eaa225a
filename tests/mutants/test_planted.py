"""Every planted bug of `make mutants` fits the source as it is."""

from tests.mutants.planted import MUTANTS
from tests.mutants.run import ROOT, check


def test_every_planted_bug_fits_the_source():
    check(MUTANTS, ROOT)
