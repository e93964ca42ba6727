"""A plugin of pytest: the conformance suite's repositories sign with Ed25519 unless a test asks for something else."""

from tuf_conformance._internal.repository_simulator import RepositorySimulator

RepositorySimulator.new_signer.__defaults__ = ("ed25519", "ed25519")
