"""Monocrystalline to polycrystalline solar cells: sound or defective, in another material.

Domain shift of industrial inspection. The pictures are those of Buerhop-Lutz et al. 2018 (ELPV),
https://doi.org/10.4229/35thEUPVSEC20182018-5CV.3.15, for non-commercial use. The clean partner is the
monocrystalline cells' test split.
"""

from __future__ import annotations

DOMAIN = {"dataset": "elpv_poly", "clean": "elpv_mono", "split": "test"}
PARAMS: dict[str, object] = {}
