"""Packages of the wheel; everything else is declared in pyproject.toml.

``examples/`` lies at the repository's root, where people look for it, and is shipped as ``easrec_nni.examples``, so
that ``easrec init`` has it after ``pip install`` too. pyproject.toml could say that only with a hand-kept list of
packages.
"""

from setuptools import find_packages, setup

CODE = ["easrec_nni*", "search_spaces*", "strategies*"]
EXAMPLES = {"easrec_nni.examples": "examples", "easrec_nni.examples.settings": "examples/settings"}

setup(
    packages=[*find_packages(include=CODE), *EXAMPLES],
    package_dir=EXAMPLES,
    package_data={
        "easrec_nni": ["py.typed"],
        "easrec_nni.experiments": ["*.cjs"],
        "easrec_nni.report.rendering": ["*.jinja", "*.css", "*.js"],
        "search_spaces": ["py.typed"],
        "strategies": ["py.typed"],
        **{name: ["*.yml"] for name in EXAMPLES},
    },
)
